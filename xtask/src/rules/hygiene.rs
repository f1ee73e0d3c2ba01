//! What keeps every crate under the same lints, every file short and every test running.

use super::{Finding, by_line, words};
use crate::source::{Kind, only};
use crate::tree::{File, Tree};

const LINES_MAX: usize = 500;

pub(super) fn every_crate_inherits_the_lints(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.members.iter().map(|member| format!("{}/Cargo.toml", member.folder));
    let inherits = |path: &String| tree.file(path).is_some_and(|file| inherits_lints(&file.text));
    let what = || "needs `[lints]` with `workspace = true`".to_owned();
    manifests.filter(|path| !inherits(path)).map(|path| Finding { path, line: 0, what: what() }).collect()
}

fn inherits_lints(manifest: &str) -> bool {
    let mut section = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        section == "[lints]"
            && line.split_once('=').is_some_and(|(key, value)| (key.trim(), value.trim()) == ("workspace", "true"))
    })
}

pub(super) fn no_file_is_too_long(tree: &Tree) -> Vec<Finding> {
    let lines = |file: &File| file.text.lines().count();
    let long = tree.files.iter().filter(|file| file.is_rust() && lines(file) > LINES_MAX);
    long.map(|file| {
        let what = format!("{} lines; split it, {LINES_MAX} is the most", lines(file));
        Finding { path: file.path.clone(), line: 0, what }
    })
    .collect()
}

/// A test that does not run proves nothing and looks as if it did; the same goes for examples in the documentation.
pub(super) fn nothing_is_ignored(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(ignored).collect()
}

fn ignored(file: &File) -> Vec<Finding> {
    let attribute = |line: &str| {
        let is_ignore =
            line.contains("#[ignore") || line.contains("cfg_attr") && words::first_of(line, &["ignore"]).is_some();
        is_ignore.then(|| "a switched-off test: repair it or remove it".to_owned())
    };
    let fence = |line: &str| {
        let text = line.trim_start_matches(['/', '!', ' ', '*']);
        let info = text.strip_prefix("```").unwrap_or_default();
        info.split([',', ' '])
            .any(|word| word == "ignore")
            .then(|| "a switched-off example: make it run, or `text`".to_owned())
    };
    if file.is_markdown() {
        return by_line(&file.path, &file.text, fence);
    }
    if !file.is_rust() {
        return Vec::new();
    }
    let mut findings = by_line(&file.path, &only(&file.text, &[Kind::Code]), attribute);
    findings.extend(by_line(&file.path, &only(&file.text, &[Kind::Comment]), fence));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Member;
    use crate::rules::places;
    use crate::tree::of;

    fn manifest(text: &str) -> Tree {
        let member = Member { folder: "a".into(), ..Member::default() };
        Tree { members: vec![member], ..of(&[("a/Cargo.toml", text)]) }
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_found() {
        for text in [
            "",
            "[lints]\n",
            "[lints]\nworkspace = false",
            "[package]\nworkspace = true",
            "[lints]\n[a]\nworkspace = true",
        ] {
            assert_eq!(places(&every_crate_inherits_the_lints(&manifest(text))), ["a/Cargo.toml:0"], "{text}");
        }
        assert_eq!(every_crate_inherits_the_lints(&manifest("[a]\nx = 1\n\n[lints]\nworkspace = true\n")), []);
    }

    #[test]
    fn the_first_line_too_many_is_found() {
        let lines = |count| "\n".repeat(count);
        assert_eq!(no_file_is_too_long(&of(&[("a.rs", &lines(500)), ("a.md", &lines(501))])), []);
        assert_eq!(places(&no_file_is_too_long(&of(&[("a.rs", &lines(501))]))), ["a.rs:0"]);
    }

    #[test]
    fn a_switched_off_test_is_found_in_every_spelling() {
        for text in
            ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(miri, ignore)]", "/// ```ignore", "//! ```rust,ignore"]
        {
            assert_eq!(places(&nothing_is_ignored(&of(&[("a.rs", text)]))), ["a.rs:1"], "{text}");
        }
        assert_eq!(places(&nothing_is_ignored(&of(&[("a.md", "x\n```rust,ignore\n```")]))), ["a.md:2"]);
    }

    #[test]
    fn speaking_of_ignoring_is_not_switching_off() {
        for text in ["// never #[ignore]", "let a = \"#[ignore]\";", "fn ignore() {}", "/// ```no_run", "/// `ignore`"]
        {
            assert_eq!(nothing_is_ignored(&of(&[("a.rs", text), ("a.toml", "#[ignore]")])), [], "{text}");
        }
    }
}
