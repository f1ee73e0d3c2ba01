//! `docs/proof.md` says what is so: every check, every promise, and every test that it names is there.

use std::path::{Path, PathBuf};

use ha_testkit::checks;
use ha_testkit::sim::{Noticed, mutants};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_check_stands_there_with_the_sentence_that_it_proves() {
    let page = read("docs/proof.md");
    for check in checks::all() {
        let (name, promise) = (check.name(), check.promise());
        let row = page.lines().find(|line| line.starts_with(&format!("| {name} |")));
        let row = row.unwrap_or_else(|| panic!("no row for the check {name:?}"));
        assert!(row.contains(promise), "the row of {name:?} does not say: {promise}");
    }
}

#[test]
fn every_mutant_stands_there_with_where_it_is_found() {
    let page = read("docs/proof.md");
    for mutant in mutants() {
        let row = page.lines().find(|line| line.starts_with(&format!("| {} |", mutant.name())));
        let row = row.unwrap_or_else(|| panic!("no row for the mutant {}", mutant.name()));
        let found = match mutant.noticed {
            Noticed::Within(seeds) => format!(" within {seeds} seeds |"),
            Noticed::Elsewhere { case, .. } => format!("; {case} |"),
        };
        assert!(row.ends_with(&found), "the row of {} does not end with {found:?}: {row}", mutant.name());
    }
}

#[test]
fn every_promise_of_the_readme_has_its_check_there() {
    let (page, readme) = (read("docs/proof.md"), read("README.md"));
    let promised = readme.split("## What is promised").nth(1).and_then(|rest| rest.split("\n## ").next());
    let headings: Vec<&str> = promised
        .expect("the README says what is promised")
        .lines()
        .filter_map(|line| line.strip_prefix("* **")?.split("**").next())
        .map(|heading| heading.trim_end_matches('.'))
        .collect();
    assert!(headings.len() >= 5, "{headings:?}");
    for heading in headings {
        assert!(page.contains(&format!("### {heading}\n")), "no section for the promise {heading:?}");
    }
}

#[test]
fn every_test_that_is_named_there_exists() {
    for document in ["docs/proof.md", "docs/decisions/bugs.md"] {
        let page = read(document);
        let mut named = 0;
        for word in quoted(&page) {
            let (file, test) = word.split_once("::").map_or((word, None), |(file, test)| (file, Some(test)));
            let is_file = file.contains('/') && !file.contains(' ') && (test.is_some() || file.contains("/tests"));
            if !is_file {
                continue;
            }
            named += 1;
            assert!(root().join(file).exists(), "{document} names {file}, which is not there");
            let Some(test) = test else { continue };
            let source = read(file);
            let stands = [format!("fn {test}("), format!("{test}:")].iter().any(|form| source.contains(form));
            assert!(stands, "{document} names {test}, which is not in {file}");
        }
        assert!(named >= 5, "{document} names {named} tests: are its paths between backticks?");
    }
}
