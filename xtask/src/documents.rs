//! Documents that are generated from the code and kept in the repository for readers.

use std::fs;

use crate::process;
use crate::steps::{Context, Verdict};

/// A document, and what prints it.
struct Generated {
    document: &'static str,
    package: &'static str,
    /// The flag of cargo that names the program.
    program: &'static str,
}

const GENERATED: [Generated; 2] = [
    Generated { document: "docs/conformance.md", package: "ha-testkit", program: "--bin conformance-doc" },
    Generated { document: "docs/configuration.md", package: "ha", program: "--example configuration-doc" },
];

/// Fails if a document differs from what the code would print now.
///
/// # Errors
/// The first difference, or why there is nothing to compare.
pub(crate) fn check(context: &mut Context) -> Result<Verdict, String> {
    for generated in &GENERATED {
        let (document, now) = (generated.document, generated.print(context)?);
        let stored = fs::read_to_string(context.root.join(document));
        let stored = stored.map_err(|error| format!("{document} could not be read ({error}); {REPAIR}"))?;
        if let Some(what) = difference(&stored, &now) {
            return Err(format!("{document} is not current: {what}; {REPAIR}"));
        }
    }
    Ok(Verdict::Passed)
}

const REPAIR: &str = "run `cargo xtask docs` and commit the result";

/// Writes what the code prints now.
///
/// # Errors
/// There is no generator, it failed, or a document could not be written.
pub(crate) fn rewrite(context: &Context) -> Result<(), String> {
    for generated in &GENERATED {
        let (document, now) = (generated.document, generated.print(context)?);
        fs::write(context.root.join(document), now)
            .map_err(|error| format!("{document} could not be written: {error}"))?;
        println!("{document} is current");
    }
    Ok(())
}

impl Generated {
    fn print(&self, context: &Context) -> Result<String, String> {
        let Self { document, package, program } = self;
        if context.member(package).is_none() {
            return Err(format!("the workspace has no crate `{package}`, which prints {document}"));
        }
        let words = format!("run --quiet --package {package} --all-features {program}");
        let text = process::capture(process::cargo(&context.root, &words))?;
        match text.trim().is_empty() {
            true => Err(format!("`{program}` printed nothing")),
            false => Ok(text),
        }
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
