//! Prints `docs/conformance.md`.

fn main() {
    print!("{}", ha_testkit::document::document());
}
