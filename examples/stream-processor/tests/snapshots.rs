//! Snapshots from outside: intact ones are continued, all others are refused, by a typed error.

mod common;

use std::fs;

use common::Dice;
use sha2::{Digest, Sha256};
use stream_processor::{Engine, ErrorKind, ExecutionPlan, Snapshot, sink};

/// A snapshot with open windows, rejects and at least one pending part.
async fn taken(plan: &ExecutionPlan) -> Snapshot {
    let engine = Engine::start(plan.clone(), None, 1).await.expect("starts");
    engine.progress().reached(8000).await;
    let snapshot = engine.trigger(1).await.expect("answers");
    assert!(!snapshot.is_final(), "the test wants one from the middle");
    snapshot
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut bytes = format!("stream-processor snapshot 1 {digest}\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn body(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == b'\n').expect("the header ends");
    &bytes[end + 1..]
}

fn json_plan(directory: &std::path::Path) -> ExecutionPlan {
    common::plan_over(directory, &common::json_input(&mut Dice::new(1), 20_000))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_altered_byte_is_noticed() {
    // Fails if a damaged snapshot is taken for a good one, or decoding it panics.
    let directory = tempfile::tempdir().unwrap();
    let snapshot = taken(&json_plan(directory.path())).await;
    let good = snapshot.encode().unwrap();
    assert_eq!(Snapshot::decode(&good).unwrap(), snapshot);
    for seed in 0..150 {
        let mut dice = Dice::new(seed);
        let mut bytes = good.to_vec();
        match dice.roll(3) {
            0 => bytes.truncate(dice.roll(good.len() as u64) as usize),
            1 => bytes.push(dice.roll(256) as u8),
            _ => {
                let area = if seed % 2 == 0 { 120 } else { good.len() as u64 };
                bytes[dice.roll(area) as usize] ^= 1 + dice.roll(255) as u8;
            }
        }
        let error = Snapshot::decode(&bytes).expect_err(&format!("seed {seed}"));
        assert!(matches!(error.kind(), ErrorKind::CorruptSnapshot | ErrorKind::UnknownFormat), "seed {seed}: {error}");
    }
    for seed in 0..150 {
        let mut dice = Dice::new(seed);
        let length = dice.roll(300) as usize;
        Snapshot::decode(&dice.bytes(length)).expect_err(&format!("seed {seed}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_checksum_makes_no_snapshot_dangerous() {
    // Fails if contents that no engine writes make a task panic or hang, or lead to files elsewhere.
    let directory = tempfile::tempdir().unwrap();
    let plan = json_plan(directory.path());
    let good = taken(&plan).await.encode().unwrap();
    let mut accepted = 0;
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let mut forged = body(&good).to_vec();
        for _ in 0..=dice.roll(2) {
            let place = dice.roll(forged.len() as u64) as usize;
            // A digit in place of a digit keeps the grammar, and gets past the first gate.
            forged[place] =
                if forged[place].is_ascii_digit() { b'0' + dice.roll(10) as u8 } else { dice.roll(128) as u8 };
        }
        let Ok(snapshot) = Snapshot::decode(&sealed(&forged)) else { continue };
        accepted += 1;
        if accepted == 20 {
            break;
        }
        let Ok(engine) = Engine::start(plan.clone(), Some(snapshot), 1000 + seed).await else { continue };
        if let Err(error) = common::within_deadline(&format!("seed {seed}"), engine.finished()).await {
            panic!("seed {seed}: {error}");
        }
        let last = engine.trigger(u64::MAX).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(last.is_final(), "seed {seed}");
    }
    assert!(accepted > 10, "the forgeries never get past the gate: {accepted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_beyond_all_bounds_are_refused() {
    // Fails if a sum of restored numbers can overflow later.
    let directory = tempfile::tempdir().unwrap();
    let good = taken(&json_plan(directory.path())).await.encode().unwrap();
    let text = std::str::from_utf8(body(&good)).unwrap();
    for field in ["records", "byte", "accepted", "blank", "late", "time_max_ms", "count", "window_ms", "parallelism"] {
        let start = text.find(&format!("\"{field}\":")).expect(field) + field.len() + 3;
        let end = start + text[start..].find(|next: char| !next.is_ascii_digit()).expect("JSON goes on");
        let forged = format!("{}{}{}", &text[..start], u64::MAX, &text[end..]);
        let error = Snapshot::decode(&sealed(forged.as_bytes())).expect_err(field);
        assert_eq!(error.kind(), ErrorKind::CorruptSnapshot, "{field}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_format_is_told_apart_from_damage() {
    let directory = tempfile::tempdir().unwrap();
    let good = taken(&json_plan(directory.path())).await.encode().unwrap();
    let newer = String::from_utf8(good.to_vec()).unwrap().replacen("snapshot 1 ", "snapshot 2 ", 1);
    assert_eq!(Snapshot::decode(newer.as_bytes()).unwrap_err().kind(), ErrorKind::UnknownFormat);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_fits_only_its_own_plan_and_a_later_attempt() {
    // Fails if state is continued that means something else, or two attempts could write one file.
    let directory = tempfile::tempdir().unwrap();
    let plan = json_plan(directory.path());
    let snapshot = taken(&plan).await;
    let other = ExecutionPlan { window_ms: 999, ..plan.clone() };
    for (plan, attempt) in [(other, 2), (plan.clone(), 1), (plan.clone(), 0)] {
        let error = Engine::start(plan, Some(snapshot.clone()), attempt).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    }
    let engine = Engine::start(plan, Some(snapshot), 2).await.unwrap();
    for id in [0, 1] {
        assert_eq!(engine.trigger(id).await.unwrap_err().kind(), ErrorKind::CheckpointId);
    }
    assert_eq!(engine.trigger(5).await.unwrap().checkpoint(), 5, "a gap is no harm, and a refusal neither");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_part_that_is_gone_or_altered_stops_the_recovery() {
    // Fails if rows that a completed checkpoint counts on can vanish unnoticed.
    for damage in ["gone", "altered", "published and altered"] {
        let directory = tempfile::tempdir().unwrap();
        let plan = json_plan(directory.path());
        let snapshot = taken(&plan).await;
        let part = common::names(&common::pending(&plan)).into_iter().find(|name| name.starts_with("part-")).unwrap();
        let path = common::pending(&plan).join(&part);
        match damage {
            "gone" => fs::remove_file(&path).unwrap(),
            _ => {
                let mut bytes = fs::read(&path).unwrap();
                bytes[10] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
        }
        if damage == "published and altered" {
            fs::rename(&path, plan.output.join(&part)).unwrap();
        }
        let error = sink::commit(&plan.output, &snapshot).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DamagedOutput, "{damage}");
        assert!(error.to_string().contains(&part), "{error}");
        let error = Engine::start(plan, Some(snapshot), 2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DamagedOutput, "{damage}");
    }
}
