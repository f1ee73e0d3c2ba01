//! Entry points of decoders that are not public, for tests with hostile bytes. No part of the library's interface: it
//! is there with the cargo feature `fuzzing` alone, which nothing but tests and `fuzz/` asks for.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::backend::{Commit, Entry, Expect, Key, Revision, WriteId};
use crate::election::HolderInformation;
use crate::evidence::{Identity, Presence, PresenceWithdrawal};
use crate::journal::{Entry as Journaled, JournalOptions, Operation, SnapshotName, State};
use crate::record;

/// The journal that all entries and snapshots are said to belong to.
pub const JOURNAL: u128 = 7;

/// Reads an entry of a journal, as it is and under a checksum that fits, and writes it again: the second reading finds
/// the same.
///
/// # Errors
/// As the reading.
pub fn journal_entry(bytes: &[u8]) -> Result<(), Error> {
    let read = |bytes: &Bytes| {
        let entry = Journaled::decode(1, bytes, JOURNAL)?;
        let again = entry.encode().expect("what was read was written once");
        assert_eq!(Journaled::decode(1, &again, JOURNAL)?, entry, "written otherwise than it was read");
        Ok(())
    };
    let sealed = read(&sealed("ha-journal-entry", bytes));
    read(&Bytes::copy_from_slice(bytes)).or(sealed)
}

/// Reads a snapshot of a journal, as it is and under a checksum that fits.
///
/// # Errors
/// As the reading.
pub fn journal_snapshot(bytes: &[u8]) -> Result<(), Error> {
    let name = SnapshotName { number: 2, floor: 1 };
    let read = |bytes: &Bytes| State::decode_snapshot(name, bytes, JOURNAL, JournalOptions::default()).map(drop);
    let sealed = read(&sealed("ha-journal-snapshot", bytes));
    read(&Bytes::copy_from_slice(bytes)).or(sealed)
}

/// The same content behind the first line that it should have.
fn sealed(magic: &str, bytes: &[u8]) -> Bytes {
    let rest = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes, |end| &bytes[end + 1..]);
    let digest: String = Sha256::digest(rest).iter().map(|byte| format!("{byte:02x}")).collect();
    [format!("{magic} 1 {digest}\n").as_bytes(), rest].concat().into()
}

/// Entries to begin with: an empty one, and one that writes, checks and removes.
///
/// # Errors
/// None, as long as they are entries.
pub fn journal_entries() -> Result<Vec<Bytes>, Error> {
    let commit = Commit::new(WriteId::from_bits(1, 2))
        .put(Key::new("a/b")?, Expect::Absent, "text".into())
        .put(Key::new("a/c")?, Expect::Revision(Revision::from_native(7)), Bytes::from_static(&[0, 255, 10]))
        .remove(Key::new("a/d")?, Revision::from_native(9))
        .check(Key::new("a/e")?, Expect::Absent);
    let entry = |operations| Journaled { journal: JOURNAL, id: 3, operations }.encode();
    Ok(vec![entry(Vec::new())?, entry(vec![Operation::Commit(commit)])?])
}

/// Reads what stands in a latch and beside it, of which presence makes evidence.
///
/// # Errors
/// As the reading.
pub fn presence(bytes: &[u8]) -> Result<(), Error> {
    let (key, value) = (Key::new("leader/latch")?, Bytes::copy_from_slice(bytes));
    let entry = Entry { key, value, revision: Revision::from_native(1), held: None };
    let told = record::decode::<HolderInformation>(&entry);
    let withdrawn = record::decode::<PresenceWithdrawal>(&entry);
    told.map(drop).or(withdrawn.map(drop))
}

/// Reads an address and an identity, as they stand in such a record.
pub fn identity(bytes: &[u8]) -> bool {
    let identity = String::from_utf8(bytes.to_vec()).map(|text| Identity::try_from(text).is_ok());
    serde_json::from_slice::<Presence>(bytes).is_ok() || identity.unwrap_or(false)
}

/// Snapshots to begin with: the beginning of a journal of two entries.
///
/// # Errors
/// None, as long as they are snapshots.
pub fn journal_snapshots() -> Result<Vec<Bytes>, Error> {
    let empty = r#"{"journal":"00000000000000000000000000000007","number":2,"floor":1,"point":2,"bytes_since_point":0,"sequence":0,"entries":[],"latches":[],"epochs":[],"sessions":[]}"#;
    let mut begun = vec![sealed("ha-journal-snapshot", format!("-\n{empty}\n").as_bytes())];
    let mut state = State::new(JOURNAL, JournalOptions::default());
    for (number, bytes) in (1..).zip(journal_entries()?) {
        let entry = Journaled::decode(number, &bytes, JOURNAL)?;
        state.apply(number, &entry, bytes.len())?;
    }
    begun.push(state.capture().encode()?);
    Ok(begun)
}

/// Records of holders to begin with.
///
/// # Errors
/// None, as long as they are records.
pub fn holders() -> Result<Vec<Bytes>, Error> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
    let identity = Identity::try_from("000000000000000700000000000000ff".to_owned());
    let presence = identity.ok().map(|identity| Presence { address, identity });
    let (label, took_over_from) = ("jm-1".to_owned(), identity.ok());
    let holder = HolderInformation { label, since_unix_ms: 1, silence_ms: Some(10_000), presence, took_over_from };
    let holder = record::encode(&holder, WriteId::from_bits(1, 2), 0)?;
    let withdrawals =
        identity.ok().map(|identity| record::encode(&PresenceWithdrawal { identity }, WriteId::from_bits(3, 4), 5));
    Ok(withdrawals.transpose()?.into_iter().chain([holder]).collect())
}
