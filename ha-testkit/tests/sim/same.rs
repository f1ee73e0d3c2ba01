//! One seed, one history.

use std::process::Command;

use ha_testkit::history::write_lines;
use ha_testkit::sim::{Scenario, Storage, simulate};

fn history_of(seed: u64, storage: Storage) -> String {
    write_lines(&simulate(Scenario::of(seed).on(storage)).history)
}

/// The first place where they differ, which says more than two histories.
#[track_caller]
fn assert_same(one: &str, other: &str, of: &str) {
    if one != other {
        let at = one.lines().zip(other.lines()).position(|(one, other)| one != other);
        let line = |all: &str| at.and_then(|at| all.lines().nth(at)).unwrap_or("the end").to_owned();
        panic!("{of}: the histories differ at line {at:?}:\n{}\n{}", line(one), line(other));
    }
}

#[test]
fn one_seed_has_one_history_byte_for_byte() {
    for storage in [Storage::Model, Storage::Journal] {
        let (one, other) = (history_of(7, storage), history_of(7, storage));
        assert!(one.lines().count() > 100, "something must have happened");
        assert_same(&one, &other, &format!("seed 7 on the {}", storage.name()));
    }
    assert_ne!(history_of(7, Storage::Model), history_of(8, Storage::Model));
}

#[test]
fn one_seed_has_one_history_in_another_process_too() {
    let folder = tempfile::tempdir().unwrap();
    for storage in [Storage::Model, Storage::Journal] {
        let file = folder.path().join(storage.name());
        let mut program = Command::new(env!("CARGO_BIN_EXE_simulate"));
        program.args(["--seed", "12", "--backend", storage.name(), "--history"]).arg(&file);
        assert!(program.output().unwrap().status.success(), "seed 12 on the {}", storage.name());
        let theirs = std::fs::read_to_string(&file).unwrap();
        assert_same(&history_of(12, storage), &theirs, storage.name());
    }
}
