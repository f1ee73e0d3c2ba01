//! Entry points of decoders that are not public, for tests with hostile bytes. No part of the library's interface: it
//! is there with the cargo feature `fuzzing` alone, which nothing but tests and `fuzz/` asks for.

use ha_core::Error;
use ha_core::journal::SnapshotName;

use crate::{identity, names};

/// Reads the file that says which journal a directory holds, or else a name that was found in it: what is taken for
/// ours is spelt as we would.
///
/// # Errors
/// As the reading of the file.
pub fn file(bytes: &[u8]) -> Result<(), Error> {
    // No more is read of the file.
    let bytes = &bytes[..bytes.len().min(4096)];
    let name = String::from_utf8_lossy(bytes);
    let number = names::parse_entry(&name);
    let snapshot = names::parse_snapshot(&name);
    assert!(number.is_none_or(|number| names::entry(number) == name));
    assert!(snapshot.is_none_or(|snapshot| names::snapshot(snapshot) == name));
    let is_plain = || !name.contains(['/', '\0']) && !name.starts_with('.');
    let is_ours = number.is_some() || snapshot.is_some() || names::is_staged(&name) || names::is_holder(&name);
    assert!(!is_ours || is_plain(), "{name:?} could lead elsewhere");
    if is_ours { Ok(()) } else { identity::parse(bytes, "identity").map(drop) }
}

/// Names of these numbers are read as the same numbers, and sort as they do.
///
/// # Panics
/// They are not: that is what is looked for.
pub fn names_and_back(first: u64, second: u64) {
    assert_eq!(names::parse_entry(&names::entry(first)), Some(first));
    assert_eq!(names::entry(first).cmp(&names::entry(second)), first.cmp(&second));
    let name = SnapshotName { number: first.max(second), floor: first.min(second) };
    let read = names::parse_snapshot(&names::snapshot(name));
    assert_eq!(read, (first != second).then_some(name));
    assert!(names::is_staged(&names::staged(first, second)) && names::is_holder(&names::staged(first, second)));
}
