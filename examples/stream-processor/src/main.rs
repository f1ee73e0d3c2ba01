//! To be documented.
fn main() {}
