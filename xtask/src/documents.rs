//! Documents that are generated from the code and kept in the repository for readers.

use std::fs;

use crate::process;
use crate::steps::{Context, Verdict};

/// The generator's package and binary, and the document that it prints.
const PACKAGE: &str = "ha-testkit";
const BINARY: &str = "conformance-doc";
const DOCUMENT: &str = "docs/conformance.md";

/// Fails if the document differs from what the code would print now.
///
/// # Errors
/// The first difference, or why there is nothing to compare.
pub(crate) fn check(context: &mut Context) -> Result<Verdict, String> {
    if !has_generator(context) {
        return Ok(Verdict::Skipped(format!(
            "the workspace has no binary `{BINARY}` in `{PACKAGE}` that prints {DOCUMENT}"
        )));
    }
    let generated = generate(context)?;
    let stored = fs::read_to_string(context.root.join(DOCUMENT));
    let stored = stored.map_err(|error| format!("{DOCUMENT} could not be read ({error}); {REPAIR}"))?;
    match difference(&stored, &generated) {
        None => Ok(Verdict::Passed),
        Some(what) => Err(format!("{DOCUMENT} is not current: {what}; {REPAIR}")),
    }
}

const REPAIR: &str = "run `cargo xtask docs` and commit the result";

/// Writes what the code prints now.
///
/// # Errors
/// There is no generator, it failed, or the document could not be written.
pub(crate) fn rewrite(context: &Context) -> Result<(), String> {
    if !has_generator(context) {
        return Err(format!("the workspace has no binary `{BINARY}` in `{PACKAGE}`, so there is nothing to generate"));
    }
    let generated = generate(context)?;
    let path = context.root.join(DOCUMENT);
    fs::write(path, generated).map_err(|error| format!("{DOCUMENT} could not be written: {error}"))?;
    println!("{DOCUMENT} is current");
    Ok(())
}

fn has_generator(context: &Context) -> bool {
    context.member(PACKAGE).is_some_and(|member| member.binaries.contains(BINARY))
}

fn generate(context: &Context) -> Result<String, String> {
    let words = format!("run --quiet --package {PACKAGE} --all-features --bin {BINARY}");
    let text = process::capture(process::cargo(&context.root, &words))?;
    match text.trim().is_empty() {
        true => Err(format!("`{BINARY}` printed nothing")),
        false => Ok(text),
    }
}

/// Where the two first differ, in words.
fn difference(stored: &str, generated: &str) -> Option<String> {
    if stored == generated {
        return None;
    }
    let (mut old, mut new) = (stored.lines(), generated.lines());
    for line in 1.. {
        let show = |text: Option<&str>| text.map_or("nothing more".to_owned(), |text| format!("`{text}`"));
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old != new => {
                return Some(format!("line {line} is {}, the code says {}", show(old), show(new)));
            }
            _ => (),
        }
    }
    Some("the line ends differ".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        for (stored, generated, what) in [
            ("a\nb\n", "a\nc\n", "line 2 is `b`, the code says `c`"),
            ("a\n", "a\nb\n", "line 2 is nothing more, the code says `b`"),
            ("a\nb\n", "a\n", "line 2 is `b`, the code says nothing more"),
            ("a", "a\n", "the line ends differ"),
        ] {
            assert_eq!(difference(stored, generated).as_deref(), Some(what));
        }
    }
}
