//! Links between the documents.

use std::collections::BTreeMap;

use super::Finding;
use crate::tree::{File, Tree};

/// The file or folder is part of the repository and, if the link names a heading of a document, so is the heading.
pub(super) fn every_relative_link_resolves(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().filter(|file| file.is_markdown()).flat_map(|file| broken(tree, file)).collect()
}

fn broken(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in prose(&file.text) {
        for target in targets(&without_code(line)) {
            if let Some(what) = problem(tree, file, &target) {
                findings.push(Finding { path: file.path.clone(), line: at, what });
            }
        }
    }
    findings
}

fn problem(tree: &Tree, file: &File, target: &str) -> Option<String> {
    if is_elsewhere(target) {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = (if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) }) else {
        return Some(format!("`{target}` leads out of the repository"));
    };
    if !tree.exists(&path) {
        return Some(format!("`{target}` leads to `{path}`, which does not exist"));
    }
    let document = tree.file(&path).filter(|file| !heading.is_empty() && file.is_markdown())?;
    let known = headings(&document.text).iter().any(|known| known == heading);
    (!known).then(|| format!("`{target}`: `{path}` has no such heading"))
}

/// Whether the link has a scheme (`https:`, `mailto:`).
fn is_elsewhere(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// The path from the root; `None` if it climbs above it. A leading `/` means the root, as hosts show it.
fn resolve(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if path.starts_with('/') {
        parts.clear();
    }
    for part in path.split('/') {
        match part {
            "" | "." => (),
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The lines outside fenced code, with their numbers from one.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, None) => lines.push((at + 1, line)),
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => (),
        }
    }
    lines
}

/// The line with what stands between backticks taken out; an unpaired backtick is text.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let is_code = |at: usize| at % 2 == 1 && at + 1 < parts.len();
    parts.iter().enumerate().filter(|(at, _)| !is_code(*at)).map(|(_, part)| *part).collect()
}

/// The targets of `[text](target "title")`, `![alt](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let definition =
        line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let first_word =
        |target: &str| target.split_whitespace().next().map(|word| word.trim_matches(['<', '>']).to_owned());
    inline.chain(definition).filter_map(first_word).collect()
}

/// The anchors that a host makes of a document's headings.
fn headings(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let titles = prose(text)
        .into_iter()
        .filter_map(|(_, line)| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    titles
        .map(|title| {
            let anchor = anchor(title.trim());
            let times = seen.entry(anchor.clone()).or_default();
            *times += 1;
            if *times == 1 { anchor } else { format!("{anchor}-{}", *times - 1) }
        })
        .collect()
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::places;
    use crate::tree::of;

    fn found(path: &str, text: &str) -> Vec<String> {
        let others = [("README.md", "# Top\n## A `b`, c!\n## Top\n"), ("docs/x/y.md", ""), ("logo.png", "")];
        let tree =
            Tree { files: of(&others).files.into_iter().chain(of(&[(path, text)]).files).collect(), ..Tree::default() };
        places(&every_relative_link_resolves(&tree))
    }

    #[test]
    fn a_link_to_nothing_is_found_in_every_form() {
        for text in [
            "[a](no.md)",
            "![a](no.png)",
            "[a]: no.md",
            "[a](no.md \"t\")",
            "[a](<no.md>)",
            "[a](../..)",
            "x [a](README.md) [b](no)",
        ] {
            assert_eq!(found("new.md", &format!("\n{text}")), ["new.md:2"], "{text}");
        }
    }

    #[test]
    fn links_are_followed_from_the_folder_of_their_document() {
        for text in
            ["[a](../../README.md)", "[a](y.md)", "[a](./y.md)", "[a](..)", "[a](../../logo.png)", "[a](/docs/x/)"]
        {
            assert_eq!(found("docs/x/new.md", text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(found("docs/x/new.md", "[a](README.md)"), ["docs/x/new.md:1"]);
    }

    #[test]
    fn a_heading_that_a_link_names_must_exist() {
        for heading in ["top", "a-b-c", "top-1"] {
            assert_eq!(found("new.md", &format!("[a](README.md#{heading})")), Vec::<String>::new(), "{heading}");
        }
        for text in ["[a](README.md#no)", "[a](README.md#top-2)", "# Own\n[a](#other)"] {
            assert_eq!(found("new.md", text).len(), 1, "{text}");
        }
        assert_eq!(found("new.md", "# Own\n[a](#own)"), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_relative_link_is_left_alone() {
        for text in
            ["[a](https://example.org/x)", "[a](mailto:a@b)", "`[a](no.md)`", "```\n[a](no.md)\n```", "[a] (no.md)"]
        {
            assert_eq!(found("new.md", text), Vec::<String>::new(), "{text}");
        }
    }
}
