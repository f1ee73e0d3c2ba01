//! The document says what is so.

use std::path::Path;

use ha_testkit::document::{PLACES, document};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_document_is_current() {
    assert!(read("docs/conformance.md") == document(), "docs/conformance.md is out of date; run: cargo xtask docs");
}

#[test]
fn what_the_document_says_is_declared_is_declared_in_the_tests() {
    for place in PLACES {
        let source: String = read(place.file).split_whitespace().collect();
        let name = place.module.rsplit("::").next().unwrap();
        let can: Vec<String> = place.can.iter().map(ToString::to_string).collect();
        // The factory stands between the two; the next place begins after a semicolon.
        let declared = source.split(['{', ';']).find(|part| part.starts_with(&format!("{name},")));
        let declared = declared.unwrap_or_else(|| panic!("{} is not in {}", place.module, place.file));
        assert!(declared.ends_with(&format!("can:[{}]", can.join(","))), "{}: {declared}", place.module);
    }
}
