use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Draw;
use crate::Error;
use crate::backend::{Commit, Expect, Fence, Key, Latch, Prefix, Revision, Term, WriteId};
use crate::journal::{Entry, JournalOptions, Operation, Registration, SnapshotName, State, Why};

/// The journal that all entries and snapshots are said to belong to.
const JOURNAL: u128 = 7;

/// There is a point at every entry, so every state has a snapshot that can be read.
fn options() -> JournalOptions {
    JournalOptions::default().with_points(1, u64::MAX)
}

/// Reads an entry of a journal, as it is and under a checksum that fits, writes it again, and replays it: the second
/// reading finds the same, and what it amounts to has a snapshot that can be read.
///
/// # Errors
/// As the reading.
pub fn journal_entry(bytes: &[u8]) -> Result<(), Error> {
    let read = |bytes: &Bytes| {
        let entry = Entry::decode(1, bytes, JOURNAL)?;
        let again = entry.encode().expect("what was read was written once");
        assert_eq!(Entry::decode(1, &again, JOURNAL)?, entry, "written otherwise than it was read");
        let mut state = begun()?;
        replay(&mut state, &entry, again.len());
        Ok(())
    };
    let sealed = read(&sealed("ha-journal-entry", bytes));
    read(&Bytes::copy_from_slice(bytes)).or(sealed)
}

/// Reads a snapshot of a journal, as it is and under a checksum that fits, writes it again, and goes on from it: the
/// second reading finds the same, and the entries that follow can be replayed.
///
/// # Errors
/// As the reading.
pub fn journal_snapshot(bytes: &[u8]) -> Result<(), Error> {
    let name = SnapshotName { number: 2, floor: 1 };
    let read = |bytes: &Bytes| {
        let mut state = State::decode_snapshot(name, bytes, JOURNAL, options())?;
        let again = state.capture().encode().expect("what was read was written once");
        let second = State::decode_snapshot(name, &again, JOURNAL, options())?;
        assert_eq!(second.capture().encode()?, again, "written otherwise than it was read");
        for bytes in journal_entries()? {
            replay(&mut state, &Entry::decode(3, &bytes, JOURNAL)?, bytes.len());
        }
        Ok(())
    };
    let sealed = read(&sealed("ha-journal-snapshot", bytes));
    read(&Bytes::copy_from_slice(bytes)).or(sealed)
}

/// A state with a latch that is held.
fn begun() -> Result<State, Error> {
    let mut state = State::new(JOURNAL, options());
    for bytes in journal_entries()? {
        let next = state.position() + 1;
        state.apply(next, &Entry::decode(next, &bytes, JOURNAL)?, bytes.len())?;
    }
    Ok(state)
}

/// Applies it twice, as two writers may have put the same content under two numbers.
fn replay(state: &mut State, entry: &Entry, bytes: usize) {
    for _ in 0..2 {
        let answers = state.apply(state.position() + 1, entry, bytes).expect("it is the next one");
        assert_eq!(answers.len(), entry.operations.len());
    }
    let (name, snapshot) = (state.point().expect("a point at each entry"), state.capture().encode());
    let snapshot = snapshot.expect("every state has a snapshot");
    let read = State::decode_snapshot(name, &snapshot, JOURNAL, options()).expect("what was just written");
    assert_eq!(read.capture().encode().expect("a snapshot"), snapshot);
}

/// The same content behind the first line that it should have.
fn sealed(magic: &str, bytes: &[u8]) -> Bytes {
    let rest = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes, |end| &bytes[end + 1..]);
    let digest: String = Sha256::digest(rest).iter().map(|byte| format!("{byte:02x}")).collect();
    [format!("{magic} 1 {digest}\n").as_bytes(), rest].concat().into()
}

/// Entries to begin with: an empty one, one that writes, checks and removes, and one that takes a latch.
///
/// # Errors
/// None, as long as they are entries.
pub fn journal_entries() -> Result<Vec<Bytes>, Error> {
    let commit = Commit::new(WriteId::from_bits(1, 2))
        .put(Key::new("a/b")?, Expect::Absent, "text".into())
        .put(Key::new("a/c")?, Expect::Revision(Revision::from_native(7)), Bytes::from_static(&[0, 255, 10]))
        .remove(Key::new("a/d")?, Revision::from_native(9))
        .check(Key::new("a/e")?, Expect::Absent);
    let put = Commit::new(WriteId::from_bits(3, 4)).put(Key::new("a/b")?, Expect::Absent, "text".into());
    let registers = Some(Registration { label: "jm-1".into(), silence_ms: 10_000, testimony: Some("boot 7".into()) });
    let (session, latch) = ("session-1".into(), Latch::below(&Prefix::new("leader")?));
    let take = Operation::Acquire { session, registers, latch, holder: "holder".into(), over: None };
    let entry = |operations| Entry { journal: JOURNAL, id: 3, operations }.encode();
    Ok(vec![
        entry(Vec::new())?,
        entry(vec![Operation::Commit(commit)])?,
        entry(vec![take, Operation::Commit(put), Operation::Renew { session: "session-1".into() }])?,
    ])
}

/// Snapshots to begin with: an empty one, and one of a journal in which a latch is held.
///
/// # Errors
/// None, as long as they are snapshots.
pub fn journal_snapshots() -> Result<Vec<Bytes>, Error> {
    let empty = r#"{"journal":"00000000000000000000000000000007","number":2,"floor":1,"point":2,"bytes_since_point":0,"sequence":0,"entries":[],"latches":[],"epochs":[],"sessions":[]}"#;
    let mut begun = vec![sealed("ha-journal-snapshot", format!("-\n{empty}\n").as_bytes())];
    let mut state = State::new(JOURNAL, options());
    for (number, bytes) in (1..).zip(journal_entries()?.iter().skip(1)) {
        state.apply(number, &Entry::decode(number, bytes, JOURNAL)?, bytes.len())?;
    }
    begun.push(state.capture().encode()?);
    Ok(begun)
}

/// An entry whose content is drawn. It is read as it was written, byte for byte.
///
/// # Panics
/// It is not: that is what is looked for.
pub fn drawn_entry(draw: &mut Draw<'_>) -> Bytes {
    let operations = (0..draw.below(5)).map(|_| operation(draw)).collect();
    let entry = Entry { journal: JOURNAL, id: draw.wide(), operations };
    let bytes = entry.encode().expect("an entry that may be written");
    let read = Entry::decode(1, &bytes, JOURNAL).expect("what was just written");
    assert_eq!(read, entry);
    assert_eq!(read.encode().expect("what was just read"), bytes, "the form is canonical");
    bytes
}

/// The second snapshot of a journal whose entries are drawn. It is read as it was written, byte for byte.
///
/// # Panics
/// It is not: that is what is looked for.
pub fn drawn_snapshot(draw: &mut Draw<'_>) -> Bytes {
    let mut state = State::new(JOURNAL, options());
    for number in 1..=2 {
        let operations = (0..draw.below(12)).map(|_| operation(draw)).collect();
        let entry = Entry { journal: JOURNAL, id: draw.wide(), operations };
        state.apply(number, &entry, 1).expect("it is the next one");
    }
    let (name, bytes) = (state.point().expect("a point"), state.capture().encode().expect("a snapshot"));
    let read = State::decode_snapshot(name, &bytes, JOURNAL, options()).expect("what was just written");
    assert_eq!(read.capture().encode().expect("what was just read"), bytes, "the form is canonical");
    bytes
}

fn operation(draw: &mut Draw<'_>) -> Operation {
    let session = || format!("session-{}", 1).into();
    match draw.below(6) {
        0 | 1 => Operation::Commit(commit(draw)),
        2 => Operation::Acquire {
            session: format!("session-{}", draw.below(3)).into(),
            registers: draw.maybe(|draw| Registration {
                label: draw.text(40),
                silence_ms: 1 + draw.number() % 86_400_000,
                testimony: draw.maybe(|draw| draw.text(40)),
            }),
            latch: latch(draw),
            holder: draw.bytes(40),
            over: draw.maybe(term),
        },
        3 => Operation::Renew { session: session() },
        4 => Operation::Release { session: session(), latch: latch(draw) },
        _ => {
            let silent = Why::Silent { renewals: draw.number() };
            Operation::End { session: session(), why: draw.of(&[Why::Closed, Why::Revoked, Why::Dead, silent]) }
        }
    }
}

fn latch(draw: &mut Draw<'_>) -> Latch {
    Latch::below(&Prefix::new(draw.of(&["leader", "latches/a", "latches/b"])).expect("a place"))
}

fn term(draw: &mut Draw<'_>) -> Term {
    Term { epoch: draw.number(), native: draw.text(20).as_str().into() }
}

fn commit(draw: &mut Draw<'_>) -> Commit {
    let mut commit = Commit::new(WriteId::from_bits(draw.number(), draw.number()));
    if let Some(fence) = draw.maybe(|draw| Fence { latch: latch(draw), term: term(draw) }) {
        commit = commit.guarded_by(fence);
    }
    for at in 0..draw.below(4) {
        // No key twice.
        let key = Key::new(format!("{}/{at}", draw.name(20))).expect("two names are a key");
        let revision = Revision::from_native(draw.number());
        let expect = if draw.below(2) == 0 { Expect::Absent } else { Expect::Revision(revision) };
        commit = match draw.below(4) {
            0 => commit.remove(key, revision),
            1 => commit.check(key, expect),
            _ => commit.put(key, expect, draw.bytes(60)),
        };
    }
    commit
}
