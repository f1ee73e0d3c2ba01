//! The document of all options says what the code says.

use std::path::Path;

#[test]
fn the_document_of_the_options_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let stored = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(stored == ha::config::reference(), "docs/configuration.md is out of date; run: cargo xtask docs");
}
