//! What a service that uses one backend has to compile.

use std::collections::BTreeSet;

use crate::process;
use crate::steps::{Context, Verdict};

/// The crate that users depend on; its features choose the backends.
const FACADE: &str = "ha";
/// The backend that needs nothing outside the process: what every user pays at least.
const SMALLEST: &str = "embedded";
/// Lines of the dependency tree must stay below this, whatever the operating system.
const LINES_LIMIT: usize = 90;

/// Fails if the smallest choice of features is too large, or if choosing one backend compiles another.
///
/// # Errors
/// One of the two, or the facade lacks a backend's feature, or cargo could not resolve the tree.
pub(crate) fn check(context: &mut Context) -> Result<Verdict, String> {
    let crates: Vec<&str> = context.backends().map(|(name, _)| name).collect();
    let facade = context.member(FACADE).ok_or_else(|| format!("the workspace has no crate `{FACADE}`"))?;
    for (own_crate, feature) in context.backends() {
        if !facade.features.contains(feature) {
            return Err(format!("`{FACADE}` has no feature `{feature}` for the crate `{own_crate}`"));
        }
        let words =
            format!("tree --package {FACADE} --edges normal --no-default-features --features {feature} --prefix none");
        let tree = process::capture(process::cargo(&context.root, &words))?;
        alone(&tree, feature, own_crate, &crates)?;
        let lines = distinct_lines(&tree);
        println!("{FACADE} with `{feature}`: {lines} lines of dependency tree, no other backend");
        if feature == SMALLEST && lines >= LINES_LIMIT {
            return Err(format!(
                "`{FACADE}` with `{feature}` must stay below {LINES_LIMIT} lines (see `cargo {words}`)"
            ));
        }
    }
    Ok(Verdict::Passed)
}

/// As `sort -u | wc -l` counts them.
fn distinct_lines(tree: &str) -> usize {
    tree.lines().filter(|line| !line.trim().is_empty()).collect::<BTreeSet<_>>().len()
}

fn alone(tree: &str, feature: &str, own_crate: &str, backends: &[&str]) -> Result<(), String> {
    let compiled: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if !compiled.contains(own_crate) {
        return Err(format!("`{FACADE}` with `{feature}` does not depend on `{own_crate}`"));
    }
    match backends.iter().find(|other| **other != own_crate && compiled.contains(**other)) {
        Some(other) => Err(format!("`{FACADE}` with only `{feature}` also compiles `{other}`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "ha v0.1.0 (x)\nha-a v0.1.0 (x)\nbytes v1.0.0\nbytes v1.0.0\nbytes v1.0.0 (*)\n\n";

    #[test]
    fn equal_lines_count_once() {
        assert_eq!(distinct_lines(TREE), 4);
    }

    #[test]
    fn a_second_backend_in_the_tree_is_found() {
        assert_eq!(alone(TREE, "a", "ha-a", &["ha-a", "ha-b"]), Ok(()));
        let both = format!("{TREE}ha-b v0.1.0\n");
        let message = alone(&both, "a", "ha-a", &["ha-a", "ha-b"]).unwrap_err();
        assert!(message.contains("also compiles `ha-b`"), "{message}");
    }

    #[test]
    fn a_feature_that_brings_no_backend_is_found() {
        let message = alone(TREE, "b", "ha-b", &["ha-a", "ha-b"]).unwrap_err();
        assert!(message.contains("does not depend on `ha-b`"), "{message}");
    }
}
