use super::*;
use crate::ErrorKind;
use crate::journal::ENTRY_FRAME_BYTES;

const MIB: usize = 1024 * 1024;

fn round_trip(operations: Vec<Operation>) -> Bytes {
    let entry = Entry { journal: JOURNAL, id: u128::MAX, operations };
    let bytes = entry.encode().unwrap();
    assert_eq!(Entry::decode(1, &bytes, JOURNAL).unwrap(), entry);
    let most: usize = entry.operations.iter().map(Operation::bytes_at_most).sum();
    assert!(bytes.len() <= ENTRY_FRAME_BYTES + most, "{} bytes, {most} were reckoned with", bytes.len());
    bytes
}

fn commit() -> Commit {
    Commit::new(WriteId::from_bits(u64::MAX, u64::MAX))
}

fn refused(operations: Vec<Operation>, kind: ErrorKind) {
    let error = Entry { journal: JOURNAL, id: 1, operations }.encode().unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
}

#[test]
fn an_entry_can_be_read_by_a_person() {
    let commit = Commit::new(WriteId::from_bits(0, 7)).put(key("a/b"), Expect::Absent, "some text".into());
    let bytes = round_trip(vec![Operation::Commit(commit), end(1, Why::Silent { renewals: 3 })]);
    let text = std::str::from_utf8(&bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("ha-journal-entry 1 ") && lines[0].len() == "ha-journal-entry 1 ".len() + 64);
    let head = concat!(
        r#"{"journal":"0123456789abcdef0011223344556677","id":"ffffffffffffffffffffffffffffffff","operations":["#,
        r#"{"commit":{"id":"00000000000000000000000000000007","#,
        r#""writes":[{"key":"a/b","expect":null,"bytes":9}]}},"#,
        r#"{"end":{"session":"session-1","why":{"silent":{"renewals":3}}}}]}"#
    );
    assert_eq!(lines[1..], [head, "some text"]);
}

#[test]
fn whatever_is_written_is_read_again() {
    round_trip(vec![]);
    let longest = Key::from_stored(["x".repeat(128).as_str(); 31].join("/")).unwrap();
    let hostile =
        Registration::new(&"\u{1}\"\\\u{2028}🙂\n".repeat(500), Duration::from_secs(86_400), Some("\0".repeat(1024)));
    let native = "\u{7f}\u{1b}\0\"".repeat(64);
    let term = Term { epoch: u64::MAX, native: native.as_str().into() };
    let everything = commit()
        .guarded_by(Fence { latch: latch("jobs/1"), term: term.clone() })
        .put(key("empty"), Expect::Absent, Bytes::new())
        .put(key("lines"), Expect::Revision(Revision::from_native(u64::MAX)), "\n\n{}\nha-journal-entry 1\n".into())
        .put(longest.clone(), Expect::Absent, Bytes::from_static(&[0, 255, 10, 0]))
        .remove(key("gone"), Revision::from_native(0))
        .check(key("checked"), Expect::Absent)
        .check(key("checked-too"), Expect::Revision(Revision::from_native(5)));
    let attempt = Operation::Acquire {
        session: "s".repeat(128).into(),
        registers: Some(hostile),
        latch: Latch::below(&Prefix::root()),
        holder: vec![b'\n'; MIB].into(),
        over: Some(term),
    };
    let whys = [Why::Closed, Why::Revoked, Why::Dead, Why::Silent { renewals: u64::MAX }];
    let mut operations = vec![Operation::Commit(everything), Operation::Commit(commit()), attempt];
    operations.extend(whys.map(|why| end(7, why)));
    operations.push(Operation::Renew { session: session(1) });
    operations.push(Operation::Release { session: session(1), latch: latch("jobs/1") });
    for operation in &operations {
        round_trip(vec![operation.clone()]);
    }
    round_trip(operations);
    let mut dice = Dice(3);
    let (_, state) = random_journal(3, 50, JournalOptions::default());
    for _ in 0..200 {
        round_trip((0..dice.below(6)).map(|_| random_operation(&mut dice, &state)).collect());
    }
}

#[test]
fn the_largest_commit_fits_into_an_entry_and_large_values_are_not_copied() {
    let mut largest = commit();
    for at in 0..7 {
        largest = largest.put(key(&format!("large/{at}")), Expect::Absent, vec![at; MIB].into());
    }
    for at in 7..1024 {
        largest = largest.put(key(&format!("small/{at}")), Expect::Absent, vec![0; 900].into());
    }
    let largest = Operation::Commit(largest);
    assert!(largest.bytes_at_most() < 9 * MIB);
    round_trip(vec![largest]);
    let one = Operation::Commit(commit().put(key("one"), Expect::Absent, vec![7; MIB].into()));
    let bytes = round_trip(vec![one]);
    let entry = Entry::decode(1, &bytes, JOURNAL).unwrap();
    let Operation::Commit(commit) = &entry.operations[0] else { panic!("it is a commit") };
    let value = commit.writes[0].value.as_ref().unwrap();
    assert!(bytes.as_ptr_range().contains(&value.as_ptr()), "a slice of the entry");
}

#[test]
fn a_part_of_a_millisecond_of_silence_counts_as_a_whole_one() {
    for (silence_us, silence_ms) in [(1, 1), (1000, 1), (1001, 2), (10_000_500, 10_001)] {
        let registers = Registration::new("a", Duration::from_micros(silence_us), None);
        assert_eq!(registers.silence_ms, silence_ms, "{silence_us} us");
    }
}

#[test]
fn what_nobody_could_read_is_not_written() {
    let put = |at: &str, bytes: usize| Operation::Commit(commit().put(key(at), Expect::Absent, vec![0; bytes].into()));
    let removal = crate::backend::Write { key: key("a"), expect: Expect::Absent, value: None };
    let senseless = Commit { writes: vec![removal], ..commit() };
    refused(vec![Operation::Commit(senseless)], ErrorKind::Invalid);
    refused(vec![put("leader/latch", 1)], ErrorKind::Invalid);
    refused(vec![put("leader/epoch", 1)], ErrorKind::Invalid);
    refused(vec![put("a", MIB + 1)], ErrorKind::TooLarge);
    let twice = commit().put(key("a"), Expect::Absent, "1".into()).check(key("a"), Expect::Absent);
    refused(vec![Operation::Commit(twice)], ErrorKind::Invalid);
    refused(vec![put("a", MIB); 17], ErrorKind::TooLarge);
    refused(vec![end(1, Why::Dead); 4097], ErrorKind::TooLarge);
    let far = Key::from_stored(["x"; 3000].join("/")).unwrap();
    refused(vec![Operation::Commit(commit().check(far, Expect::Absent))], ErrorKind::TooLarge);
    for id in ["", "../x", "a/b", &"x".repeat(129)] {
        refused(vec![Operation::Renew { session: id.into() }], ErrorKind::Invalid);
    }
    for silence_ms in [0, 86_400_001] {
        let registers = Some(Registration { silence_ms, ..registration() });
        let (session, latch) = (session(1), latch("leader"));
        let attempt = Operation::Acquire { session, registers, latch, holder: Bytes::new(), over: None };
        refused(vec![attempt], ErrorKind::Invalid);
    }
    let native = "x".repeat(257).as_str().into();
    refused(vec![acquire(1, &latch("leader"), true, Some(Term { epoch: 1, native }))], ErrorKind::TooLarge);
    let no_latch = Latch::from_key(key("leader/x"));
    refused(vec![Operation::Release { session: session(1), latch: no_latch }], ErrorKind::Invalid);
}
