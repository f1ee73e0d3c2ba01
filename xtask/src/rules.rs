//! The rules that no compiler checks: the layers stay apart, and the repository stays readable and portable.
//!
//! Each rule is one function from the repository's files to what breaks it, and each is tested to be able to fail.
//! A backend knows keys and bytes and nothing of what is stored with it; the core's services know a backend only as
//! the trait. That is what lets a new backend come without an edit to the services, and this is where it is kept true.

use std::fmt;

use crate::tree::Tree;

mod hygiene;
mod layering;
mod links;
mod mapping;
mod portability;
mod words;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from one; zero when the file as a whole is meant.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule with the sentence that it enforces.
const RULES: [(&str, Rule); 8] = [
    ("a backend's sources do not speak of what is stored with it", layering::backends_know_only_keys_and_bytes),
    ("the core's code names no backend", layering::the_core_names_no_backend),
    ("every crate takes its lints from the workspace", hygiene::every_crate_inherits_the_lints),
    ("no source file is longer than 500 lines", hygiene::no_file_is_too_long),
    ("no test and no example is switched off", hygiene::nothing_is_ignored),
    ("no file is bound to one machine or one package host", portability::nothing_is_bound_to_a_machine),
    ("every name of ours in the table of Flink's names exists", mapping::every_name_of_ours_exists),
    ("every relative link in a document leads somewhere", links::every_relative_link_resolves),
];

/// Applies every rule and prints what breaks one.
///
/// # Errors
/// At least one rule is broken; the message says how many places there are.
pub(crate) fn check(tree: &Tree) -> Result<(), String> {
    let mut found = 0;
    for (sentence, rule) in RULES {
        let findings = rule(tree);
        found += findings.len();
        println!("{} {sentence}", if findings.is_empty() { "ok    " } else { "BROKEN" });
        findings.iter().for_each(|finding| println!("       {finding}"));
    }
    match found {
        0 => Ok(()),
        found => Err(format!("{found} places break a rule of the repository (listed above)")),
    }
}

/// The lines of `text` for which `what` has something to say, as findings in `path`.
fn by_line<'a>(path: &str, text: &'a str, what: impl Fn(&'a str) -> Option<String>) -> Vec<Finding> {
    let finding = |(at, line)| what(line).map(|what| Finding { path: path.to_owned(), line: at + 1, what });
    text.lines().enumerate().filter_map(finding).collect()
}

/// `path:line` of each finding, for tests.
#[cfg(test)]
fn places(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::of;

    #[test]
    fn one_broken_rule_fails_the_check() {
        assert_eq!(check(&of(&[("README.md", "[a](LICENSE)"), ("LICENSE", "")])), Ok(()));
        let message = check(&of(&[("README.md", "[a](LICENSE) [b](NOTICE)")])).unwrap_err();
        assert!(message.starts_with("2 places"), "{message}");
    }
}
