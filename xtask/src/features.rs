//! What users may choose compiles, each choice by itself.

use crate::process;
use crate::steps::{Context, Verdict};

/// The crate whose features users choose.
const FACADE: &str = "ha";

/// Compiles the facade and what it is made of with no feature, with each alone, and with all.
///
/// The workspace as a whole is always built with everything on, which hides what only compiles beside something else.
///
/// # Errors
/// The first choice that does not compile, or that warns.
pub(crate) fn check(context: &mut Context) -> Result<Verdict, String> {
    let facade = context.member(FACADE).ok_or_else(|| format!("the workspace has no crate `{FACADE}`"))?;
    let choices = choices(facade.features.iter().map(String::as_str));
    for choice in &choices {
        // Only the library: its tests have all features on elsewhere. Clippy holds every crate of ours to its lints, and
        // compiles what lies below them once.
        let words = format!("clippy --quiet --package {FACADE} --lib {choice} -- -D warnings");
        process::run(process::cargo(&context.root, words.trim()))?;
    }
    println!("{FACADE}: {} choices of features compile without a warning", choices.len());
    Ok(Verdict::Passed)
}

/// The flags of each choice. `default` is a choice of others.
fn choices<'f>(features: impl Iterator<Item = &'f str>) -> Vec<String> {
    let alone = features
        .filter(|feature| *feature != "default")
        .map(|feature| format!("--no-default-features --features {feature}"));
    std::iter::once("--no-default-features".to_owned()).chain(alone).chain(["--all-features".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_tried_alone_beside_none_and_all() {
        let expected = ["--no-default-features", "--no-default-features --features a", "--all-features"];
        assert_eq!(choices(["default", "a"].into_iter()), expected);
    }
}
