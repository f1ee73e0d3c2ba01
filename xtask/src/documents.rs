//! Documents that are generated from the code and kept in the repository for readers.
//!
//! That each is current is a test of the crate that prints it.

use std::fs;

use crate::process;
use crate::steps::Context;

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
