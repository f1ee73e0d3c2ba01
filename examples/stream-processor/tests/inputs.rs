//! Inputs as they come: nothing stops the job, and everything is accounted for.

mod common;

use std::path::Path;

use common::Dice;
use stream_processor::source::{Reason, spool};
use stream_processor::{Engine, ErrorKind, ExecutionPlan, Snapshot, SourceSpec, verify};

/// Runs the plan to its end in one go, and checks the output and the account against the single pass.
async fn run(plan: &ExecutionPlan) -> Snapshot {
    let engine = Engine::start(plan.clone(), None, 1).await.expect("a readable input starts");
    common::within_deadline("the end of the input", engine.finished()).await.expect("no input makes the job fail");
    let snapshot = engine.trigger(1).await.expect("the last snapshot");
    engine.commit(&snapshot).await.expect("the output is writable");
    let verdict = common::judge(plan);
    assert!(verdict.is_exact(), "{verdict}");
    let expected = verify::expected(plan).expect("readable");
    assert!(snapshot.is_final());
    assert_eq!(snapshot.position().cursor, expected.cursor);
    assert_eq!(snapshot.position().late, expected.late);
    let cursor = &snapshot.position().cursor;
    assert_eq!(cursor.records, cursor.accepted + cursor.blank + cursor.rejects.total(), "a record is unaccounted for");
    snapshot
}

fn rows(plan: &ExecutionPlan) -> Vec<(u64, String, u64)> {
    let expected = verify::expected(plan).expect("readable");
    let flat = expected
        .rows
        .into_iter()
        .flat_map(|(start_ms, keys)| keys.into_iter().map(move |(key, aggregate)| (start_ms, key, aggregate.count)));
    flat.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_input_is_a_finished_job_without_output() {
    // Fails if the end is only seen after a record, or an empty part is published.
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan_over(directory.path(), b"");
    let snapshot = run(&plan).await;
    assert_eq!(snapshot.events(), 0);
    assert_eq!(common::names(&plan.output), ["pending"]);
    let none = common::plan(&directory.path().join("other"), SourceSpec::Generator { seed: 1, events: 0 });
    assert_eq!(run(&none).await.events(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_ends_of_both_kinds_and_a_missing_last_one_make_no_difference() {
    // Fails if a carriage return sticks to a key, or the last line is dropped without its end.
    for input in ["é b\nä\n\nlast", "é b\r\nä\r\n\r\nlast\r\n", "\u{feff}é b\nä\r\n \nlast\r"] {
        let directory = tempfile::tempdir().unwrap();
        let plan = common::plan_over(directory.path(), input.as_bytes());
        let snapshot = run(&plan).await;
        let cursor = &snapshot.position().cursor;
        assert_eq!((cursor.records, cursor.accepted, cursor.blank), (4, 3, 1), "{input:?}");
        assert_eq!(rows(&plan), [(0, "last".into(), 1), (0, "ä".into(), 1), (0, "é".into(), 1)], "{input:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_a_mebibyte_is_rejected_once_and_the_next_one_is_read() {
    // Fails if a piece of a huge line is taken for a line of its own, or its record is counted twice.
    let mut input = b"before\n".to_vec();
    input.extend(vec![b'x'; 1 << 20]);
    input.extend_from_slice(b"\nbetween\n");
    input.extend(vec![b'y'; 64 * 1024]);
    input.extend_from_slice(b"\r\n");
    input.extend(vec![b'z'; 64 * 1024 + 1]);
    input.extend_from_slice(b"\nafter\n");
    input.extend(vec![b'!'; 1 << 20]);
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan_over(directory.path(), &input);
    let snapshot = run(&plan).await;
    let cursor = &snapshot.position().cursor;
    assert_eq!((cursor.records, cursor.accepted, cursor.byte), (7, 4, input.len() as u64));
    let account: Vec<_> = cursor.rejects.iter().map(|(reason, rejected)| (reason, rejected.count)).collect();
    assert_eq!(account, [(Reason::TooLong, 3)]);
    let first = &cursor.rejects.iter().next().unwrap().1.first;
    assert_eq!(first[0], 7, "the place is where the line starts");
    assert!(cursor.rejects.to_string().contains("3 rejected, longer than 64 KiB; first at byte [7, "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_are_processed_to_the_end() {
    // Fails (by a panic, an error or a wrong output) if any bytes are special.
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let length = dice.roll(200_000) as usize;
        let mut bytes = dice.bytes(length);
        if seed % 2 == 0 {
            // Mostly printable, with braces and quotes: gets further into the parser.
            for byte in &mut bytes {
                *byte = b"{}\":,key page ts value 0123456789\\u-+e.\n\n\r\0\xc3\xa9"[usize::from(*byte) % 45];
            }
        }
        let directory = tempfile::tempdir().unwrap();
        println!("seed {seed}");
        run(&common::plan_over(directory.path(), &bytes)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_json_is_processed_to_the_end() {
    // Fails if a line that is nearly right is worse than one that is plainly wrong.
    for seed in 300..310 {
        let mut dice = Dice::new(seed);
        let mut bytes = common::json_input(&mut dice, 500);
        for _ in 0..300 {
            let place = dice.roll(bytes.len() as u64) as usize;
            bytes[place] = dice.roll(256) as u8;
        }
        let directory = tempfile::tempdir().unwrap();
        println!("seed {seed}");
        let snapshot = run(&common::plan_over(directory.path(), &bytes)).await;
        assert!(snapshot.position().cursor.rejects.total() > 0, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_shrank_is_refused_rather_than_continued() {
    // Fails if a restored position behind the end counts as the end.
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan_over(directory.path(), b"one\ntwo\nthree\n");
    let snapshot = run(&plan).await;
    common::plan_over(directory.path(), b"one\n");
    let error = Engine::start(plan.clone(), Some(snapshot.clone()), 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    // The negative: one that grew after its end was seen adds nothing to the finished output.
    common::plan_over(directory.path(), b"one\ntwo\nthree\nfour\n");
    let engine = Engine::start(plan, Some(snapshot.clone()), 2).await.unwrap();
    engine.finished().await.unwrap();
    assert_eq!(engine.trigger(2).await.unwrap().events(), snapshot.events());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_input_names_itself() {
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan(directory.path(), SourceSpec::File { path: directory.path().join("nowhere") });
    let error = Engine::start(plan.clone(), None, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(!plan.output.exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_spooled_input_has_its_name_only_when_it_is_complete() {
    // Fails if a broken pipe leaves a shorter input that looks like a whole one.
    struct Broken(usize);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::other("broken"));
            }
            self.0 -= 1;
            buffer[0] = b'x';
            Ok(1)
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("spool");
    assert_eq!(spool(Broken(3), &to).unwrap_err().kind(), ErrorKind::Io);
    assert!(!Path::new(&to).exists());
    assert_eq!(spool(&b"one\ntwo\n"[..], &to).unwrap(), 8);
    assert_eq!(std::fs::read(&to).unwrap(), b"one\ntwo\n");
    assert_eq!(common::names(directory.path()), ["spool"]);
}
