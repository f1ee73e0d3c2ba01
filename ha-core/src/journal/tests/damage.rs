use super::*;
use crate::journal::SnapshotName;
use crate::{Error, ErrorKind};

/// An entry with each kind of operation and some values.
fn entry() -> Bytes {
    let guard = Fence { latch: latch("leader"), term: Term { epoch: 3, native: session(1) } };
    let commit = Commit::new(WriteId::from_bits(1, 2)).guarded_by(guard);
    let commit = commit.put(key("a"), Expect::Absent, "value".into()).put(key("b"), Expect::Absent, Bytes::new());
    let operations = vec![
        Operation::Commit(commit.remove(key("c"), Revision::from_native(2)).check(key("d"), Expect::Absent)),
        acquire(1, &latch("leader"), true, None),
        Operation::Renew { session: session(1) },
        Operation::Release { session: session(1), latch: latch("leader") },
        end(1, Why::Silent { renewals: 1 }),
    ];
    Entry { journal: JOURNAL, id: 5, operations }.encode().unwrap()
}

fn options() -> JournalOptions {
    JournalOptions::default().with_points(5, u64::MAX)
}

fn snapshot() -> (SnapshotName, Bytes) {
    let (_, state) = random_journal(11, 10, options());
    (state.point().unwrap(), state.encode_snapshot().unwrap())
}

fn read_snapshot(bytes: &Bytes) -> Result<State, Error> {
    State::decode_snapshot(snapshot_name(), bytes, JOURNAL, options())
}

fn snapshot_name() -> SnapshotName {
    SnapshotName { number: 10, floor: 5 }
}

/// Damages a file in every way that a disk, a crash or a hand can; each must be refused.
fn every_damage_is_refused(file: &Bytes, read: impl Fn(&Bytes) -> Result<(), Error>) {
    read(file).unwrap();
    let refused = |bytes: Vec<u8>, how: &dyn Fn() -> String| {
        let error = read(&bytes.into()).expect_err(&how());
        // A damaged digit of the version can look like a later one.
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NewerFormat), "{}: {error}", how());
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        error.kind() == ErrorKind::NewerFormat
    };
    let mut newer = 0;
    for bit in 0..file.len() * 8 {
        let mut bytes = file.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        newer += usize::from(refused(bytes, &|| format!("bit {bit}")));
    }
    assert!(newer <= 8, "only flips in the version's one digit: {newer}");
    for kept in 0..file.len() {
        refused(file[..kept].to_vec(), &|| format!("{kept} bytes are left"));
        let mut zeroed = file.to_vec();
        zeroed[kept..].fill(0);
        refused(zeroed, &|| format!("zeros from {kept} on"));
        let mut holed = file.to_vec();
        holed[..=kept].fill(0);
        refused(holed, &|| format!("zeros up to {kept}"));
        let mut shortened = file.to_vec();
        shortened.remove(kept);
        if shortened != file[..] {
            refused(shortened, &|| format!("without byte {kept}"));
        }
    }
    for more in [&b"\n"[..], b"\0", b"x", &file[..]] {
        refused([&file[..], more].concat(), &|| format!("with {} bytes more", more.len()));
    }
}

#[test]
fn a_damaged_entry_is_refused() {
    every_damage_is_refused(&entry(), |bytes| Entry::decode(9, bytes, JOURNAL).map(drop));
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let (name, bytes) = snapshot();
    assert_eq!(name, snapshot_name());
    every_damage_is_refused(&bytes, |bytes| read_snapshot(bytes).map(drop));
}

#[test]
fn what_belongs_elsewhere_is_refused_with_what_it_is() {
    let error = Entry::decode(9, &entry(), JOURNAL ^ 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().starts_with("read a journal entry 9: corrupt: it is of the journal 0123"), "{error}");
    let (name, bytes) = snapshot();
    let foreign = State::decode_snapshot(name, &bytes, 1, options()).unwrap_err();
    assert!(
        foreign.to_string().starts_with("read a journal snapshot 10-5: corrupt: it is of the journal"),
        "{foreign}"
    );
    for name in [SnapshotName { number: 11, floor: 5 }, SnapshotName { number: 10, floor: 4 }] {
        let renamed = State::decode_snapshot(name, &bytes, JOURNAL, options()).unwrap_err();
        assert!(renamed.to_string().contains("it is the one that is named 10-5"), "{renamed}");
    }
    assert_eq!(Entry::decode(9, &bytes, JOURNAL).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(read_snapshot(&entry()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_newer_version_is_told_from_damage() {
    for version in ["2", "17", "4294967295"] {
        let newer = format!("ha-journal-entry {version} and whatever it may say");
        let error = Entry::decode(9, &newer.into(), JOURNAL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerFormat);
        assert!(error.to_string().contains("upgrade this process"), "{error}");
    }
    for version in ["0", "", "-1", "+2", "x", "99999999999999999999"] {
        let odd = format!("ha-journal-entry {version} and whatever it may say");
        assert_eq!(Entry::decode(9, &odd.into(), JOURNAL).unwrap_err().kind(), ErrorKind::Corrupt, "{version}");
    }
}

/// The same file with something replaced and the right checksum.
fn forged(file: &Bytes, from: &str, to: &str) -> Bytes {
    let text = std::str::from_utf8(content(file)).unwrap();
    assert!(text.contains(from), "{from} is in {text}");
    resealed(file, text.replacen(from, to, 1).as_bytes())
}

/// Changes some of the content at random: digits above all, because most other changes end in the parser.
fn mutated(dice: &mut Dice, file: &Bytes) -> Bytes {
    let mut bytes = content(file).to_vec();
    for _ in 0..=dice.below(3) {
        let start = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
        let digits = bytes.iter().skip(start).position(u8::is_ascii_digit);
        let at = if dice.one_in(4) { start } else { digits.map_or(start, |offset| start + offset) };
        match dice.below(4) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, *dice.of(b"0123456789")),
            2 => bytes[at] = *dice.of(b"0123456789"),
            _ => bytes[at] = *dice.of(b"\n\"{}[],:/x\0\xff"),
        }
    }
    resealed(file, &bytes)
}

#[test]
fn whatever_a_right_checksum_covers_is_refused_or_is_sound() {
    let (mut dice, mut read) = (Dice(1), 0);
    let (file, (name, snapshot)) = (entry(), snapshot());
    for _ in 0..8_000 {
        let forgery = mutated(&mut dice, &file);
        if let Ok(entry) = Entry::decode(9, &forgery, JOURNAL) {
            let mut state = State::new(JOURNAL, options());
            assert_eq!(state.apply(1, &entry, forgery.len()).unwrap().len(), entry.operations.len());
            assert_eq!(Entry::decode(9, &entry.encode().unwrap(), JOURNAL).unwrap(), entry);
            read += 1;
        }
    }
    assert!(read > 400, "the changes are not too coarse: {read}");
    let mut read = 0;
    for _ in 0..1_000 {
        let forgery = mutated(&mut dice, &snapshot);
        if let Ok(mut state) = State::decode_snapshot(name, &forgery, JOURNAL, options()) {
            let again = State::decode_snapshot(name, &state.encode_snapshot().unwrap(), JOURNAL, options()).unwrap();
            assert_eq!(again.encode_snapshot().unwrap(), state.encode_snapshot().unwrap());
            for _ in 0..20 {
                let operation = random_operation(&mut dice, &state);
                one(&mut state, operation);
            }
            read += 1;
        }
    }
    assert!(read > 20, "the changes are not too coarse: {read}");
}

#[test]
fn an_entry_that_no_writer_makes_is_refused_although_its_checksum_is_right() {
    let file = entry();
    assert!(Entry::decode(9, &forged(&file, "\"a\"", "\"z\""), JOURNAL).is_ok(), "the forgery itself is sound");
    for (from, to) in [
        (r#""bytes":5"#, r#""bytes":4"#),
        (r#""bytes":5"#, r#""bytes":18446744073709551615"#),
        (r#""bytes":5"#, r#""bytes":-1"#),
        (r#""bytes":5"#, r#""bytes":null"#),
        (r#""bytes":5"#, r#""bytes":5,"also":1"#),
        (r#""key":"a""#, r#""key":"../a""#),
        (r#""key":"a""#, r#""key":"b""#),
        (r#""key":"a""#, r#""key":"x/latch""#),
        (r#""latch":"leader/latch""#, r#""latch":"leader""#),
        (r#""expect":2,"bytes":null"#, r#""expect":null,"bytes":null"#),
        (r#""silence_ms":10000"#, r#""silence_ms":0"#),
        (r#"{"renew":{"session":"session-1"}}"#, r#"{"renew":{"session":"../../x"}}"#),
        (r#"{"renew":{"#, r#"{"forget":{"#),
        (r#""id":"0000"#, r#""id":"+000"#),
        ("\nvalue\n", "\nvalue\nmore\n"),
        ("\nvalue\n", "\nvalue"),
    ] {
        let error = Entry::decode(9, &forged(&file, from, to), JOURNAL).expect_err(to);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{to}: {error}");
        assert!(!error.to_string().contains("checksum"), "{to}: {error}");
    }
    let deep = forged(&file, r#""operations":["#, &format!(r#""operations":[{}"#, "[".repeat(100_000)));
    assert_eq!(Entry::decode(9, &deep, JOURNAL).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_snapshot_of_no_possible_state_is_refused_although_its_checksum_is_right() {
    let mut state = State::new(JOURNAL, JournalOptions::default().with_points(1, 1));
    let commit = Commit::new(WriteId::from_bits(1, 2)).put(key("a"), Expect::Absent, "value".into());
    publish(&mut state, vec![Operation::Commit(commit), acquire(1, &latch("leader"), true, None)]);
    let (name, file) = (state.point().unwrap(), state.encode_snapshot().unwrap());
    let read = |bytes: &Bytes| State::decode_snapshot(name, bytes, JOURNAL, options());
    assert!(read(&forged(&file, r#""sequence":3"#, r#""sequence":4"#)).is_ok(), "the forgery itself is sound");
    let largest = format!("{}", u64::MAX);
    for (from, to) in [
        (r#""sequence":3"#, format!(r#""sequence":{largest}"#)),
        (r#""sequence":3"#, r#""sequence":2"#.into()),
        (r#""point":1"#, r#""point":0"#.into()),
        (r#""bytes_since_point":0"#, r#""bytes_since_point":1"#.into()),
        (r#""renewals":0"#, format!(r#""renewals":{largest}"#)),
        (r#""taken":["leader/latch"]"#, r#""taken":[]"#.into()),
        (r#""taken":["leader/latch"]"#, r#""taken":["leader/latch","leader/latch"]"#.into()),
        (r#""taken":["leader/latch"]"#, r#""taken":["leader/epoch","leader/latch"]"#.into()),
        (r#""session":"session-1""#, r#""session":"session-2""#.into()),
        (r#""epochs":[{"key":"leader/latch","epoch":2"#, r#""epochs":[{"key":"leader/latch","epoch":1"#.into()),
        (r#""epochs":[{"key":"leader/latch""#, r#""epochs":[{"key":"leader/else""#.into()),
        (r#"{"key":"a","revision":1"#, r#"{"key":"z","revision":1"#.into()),
        (r#"{"key":"a","revision":1"#, r#"{"key":"a","revision":0"#.into()),
        (r#"{"key":"leader/latch","revision""#, r#"{"key":"leader/lost","revision""#.into()),
        (r#""bytes":5"#, r#""bytes":500"#.into()),
    ] {
        let error = read(&forged(&file, from, &to)).expect_err(&to);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{to}: {error}");
        assert!(!error.to_string().contains("checksum"), "{to}: {error}");
    }
}
