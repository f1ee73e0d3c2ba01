//! What is broken on purpose is found, within the number of seeds that `sim::mutants` states; what cannot be seen from
//! where the services stand is named there, with the case that notices it (`tests/mutants.rs` shows that it does).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ha_testkit::mutants::Defect;
use ha_testkit::sim::{Broken, Mutant, Noticed, Sabotage, mutants, simulate};
use ha_testkit::{backend, services};

/// Seeds that find what most seeds do not, looked at first: it is then known that it is found, with less work. One that
/// does not find it any more costs time only.
const FIRST: &[(&str, u64)] = &[
    ("ConflictOutranksFenced", 14),
    ("EpochRestartsAfterRelease", 8),
    ("DeadlineFromTheAnswer", 3),
    ("Unfenced (journal)", 9),
    ("ReleaseByAnybody", 5),
    ("RevisionReused", 11),
    ("EndlessDeadline (journal)", 3),
    ("EpochRestartsAfterKeyRemoval", 5),
    ("CommitNotAtomic", 2),
    ("ForeignEditIgnored", 7),
    ("FenceIgnored", 3),
    ("Unfenced (model)", 3),
    ("UnknownIsApplied (model)", 1),
];

/// Says after how many seeds it was found, and by which checks; or that it was not.
fn look_for(mutant: &Mutant, seeds: u64) -> Result<String, String> {
    let first = FIRST.iter().filter(|(name, seed)| *name == mutant.name() && *seed < seeds).map(|(_, seed)| *seed);
    for seed in first.chain(0..seeds) {
        let ran = simulate(mutant.scenario(seed));
        if !ran.findings.is_empty() {
            let checks: Vec<&str> = ran.findings.iter().map(|finding| finding.check.as_str()).collect();
            return Ok(format!("{}: found by seed {seed}: {}", mutant.name(), checks.join(", ")));
        }
    }
    Err(format!("{} was not found by {seeds} seeds", mutant.name()))
}

#[test]
fn every_mutant_that_can_be_seen_is_found_within_its_seeds() {
    let all = mutants();
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(mutant) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Noticed::Within(seeds) = mutant.noticed else { continue };
            match look_for(mutant, seeds) {
                Ok(found) => println!("{found}"),
                Err(text) => missed.lock().unwrap_or_else(PoisonError::into_inner).push(text),
            }
        }
    };
    std::thread::scope(|scope| drop([scope.spawn(work), scope.spawn(work)]));
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn every_mutant_has_its_entry() {
    // The table has no rest, so a defect without an entry does not compile; this is about the lists that it is made of.
    let all = mutants();
    let defects = all.iter().filter(|mutant| matches!(mutant.broken, Broken::Store(_))).count();
    assert_eq!(defects, Defect::ALL.len() - 1, "all but `None`");
    assert_eq!(all.len() - defects, 2 * Sabotage::ALL.len(), "each on the model and on a journal");
    let names: BTreeSet<String> = all.iter().map(Mutant::name).collect();
    assert_eq!(names.len(), all.len(), "each stands there once");
    assert!(all.iter().all(|mutant| mutant.noticed != Noticed::Within(0)));
}

#[test]
fn what_the_simulation_cannot_see_is_caught_by_a_case_that_there_is() {
    let ids: BTreeSet<String> = [backend::cases(), services::cases()].concat().iter().map(|case| case.id()).collect();
    let caught = include_str!("../mutants.rs");
    for mutant in mutants() {
        let (Broken::Store(defect), Noticed::Elsewhere { why, case }) = (mutant.broken, mutant.noticed) else {
            continue;
        };
        assert!(ids.contains(case), "{}: there is no case {case}", mutant.name());
        assert!(!why.is_empty(), "{}: without a reason", mutant.name());
        let line = format!(": {defect:?} \"{case}\"");
        assert!(caught.contains(&line), "{}: tests/mutants.rs does not show that {case} catches it", mutant.name());
    }
}

#[test]
fn services_that_are_set_up_wrongly_are_told_of_by_name() {
    // `tests/mutants.rs` has its own, for the suite of the services: each is a sabotage here, or is said to be none.
    let told = include_str!("../../src/sim/mutants.rs");
    let tests = include_str!("../mutants.rs");
    let (_, faults) = tests.split_once("enum Fault {").unwrap();
    let (faults, _) = faults.split_once('}').unwrap();
    let names = faults.lines().map(str::trim).filter(|line| line.ends_with(',') && !line.starts_with("//"));
    for name in names.map(|line| line.trim_end_matches(',')).filter(|name| *name != "None") {
        assert!(told.contains(&format!("`{name}`")), "say in sim/mutants.rs where `{name}` is noticed");
    }
}
