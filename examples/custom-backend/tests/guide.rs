//! The guide shows what the example does: each piece of code in it is a marked region of a source.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are test code too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const GUIDE: &str = "docs/write-a-backend.md";
const FOLDER: &str = "examples/custom-backend";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The region between `// guide: <name>` and `// guide: end`, moved to the margin.
fn region(file: &str, name: &str) -> String {
    let source = text(file);
    let mut lines = source.lines().skip_while(|line| line.trim() != format!("// guide: {name}"));
    let marker = lines.next().unwrap_or_else(|| panic!("{file} has no region `{name}`"));
    let margin = marker.len() - marker.trim_start().len();
    let inside = lines.take_while(|line| line.trim() != "// guide: end");
    inside.map(|line| format!("{}\n", line.get(margin..).unwrap_or_default())).collect()
}

/// `(file, region)` of each marker in the guide, with the code that follows it.
fn shown(guide: &str) -> Vec<(String, String, String)> {
    let mut shown = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(marker) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) else { continue };
        let (file, name) = marker.split_once(": ").unwrap_or_else(|| panic!("`{line}` names no region"));
        assert_eq!(lines.next(), Some("```rs"), "code must follow `{line}`");
        let code = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        shown.push((file.to_owned(), name.to_owned(), code));
    }
    shown
}

#[test]
fn the_code_in_the_guide_is_the_code_of_the_example() {
    let guide = text(GUIDE);
    let shown = shown(&guide);
    assert!(shown.len() > 10, "the guide shows hardly anything");
    for (file, name, code) in shown {
        assert!(code == region(&file, &name), "{GUIDE} shows `{name}` otherwise than {file}: copy it from there");
    }
}

#[test]
fn every_region_of_the_example_is_shown() {
    let shown: BTreeSet<_> = shown(&text(GUIDE)).into_iter().map(|(file, name, _)| (file, name)).collect();
    for folder in ["src", "tests", "tests/common"] {
        for entry in fs::read_dir(root().join(FOLDER).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests/guide.rs") {
                continue;
            }
            let file = format!("{FOLDER}/{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            let source = text(&file);
            let names = source.lines().filter_map(|line| line.trim().strip_prefix("// guide: "));
            for name in names.filter(|name| *name != "end") {
                assert!(shown.contains(&(file.clone(), name.to_owned())), "{GUIDE} does not show `{name}` of {file}");
            }
        }
    }
}

#[test]
fn the_cases_that_the_guide_names_exist() {
    let known: BTreeSet<String> = ha_testkit::registry::cases().iter().map(|case| case.id()).collect();
    for document in [GUIDE, "docs/failure-model.md"] {
        let text = text(document);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let ids = words.filter(|word| {
            let (suite, number) = word.split_once('-').unwrap_or_default();
            !suite.is_empty()
                && suite.chars().all(|c| c.is_ascii_uppercase())
                && number.len() == 2
                && number.chars().all(|c| c.is_ascii_digit())
        });
        for id in ids {
            // These two are ids of the catalogue that the guide speaks about as such.
            assert!(known.contains(id) || id == "X-14", "{document} names {id}, which is no case");
        }
    }
}
