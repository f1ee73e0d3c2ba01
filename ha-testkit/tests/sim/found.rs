//! What is broken on purpose is found, within a stated number of seeds.
//!
//! Not every defect of the model can be seen from where the services stand:
//! * `ConflictOutranksFenced`: either answer says that nothing was applied.
//! * `IdenticalWriteSwallowed`: records carry the id of their write, so no two are identical.
//! * `WakeUpLost`: it costs time only; what is followed is read again once in each silence.
//! * `LatchTakenAgain`: the services open another session for another attempt.
//! * `ForeignEditIgnored`: the leader goes on under a term that is still its own.
//! * `AnotherClusterVisible`: there is one cluster in a world.
//!
//! `RevisionReused` and `DeadlineFromTheAnswer` need several rare things at once, and were not found within 60 seeds.
//! The cases of the conformance suite find all of these (`tests/mutants.rs`).

use ha_testkit::mutants::Defect;
use ha_testkit::sim::{Sabotage, Scenario, Storage, simulate};

/// Says after how many seeds it was found, and by which checks.
#[track_caller]
fn assert_found(what: &str, within: u64, scenario: impl Fn(u64) -> Scenario) {
    for seed in 0..within {
        let ran = simulate(scenario(seed));
        if !ran.findings.is_empty() {
            let checks: Vec<&str> = ran.findings.iter().map(|finding| finding.check.as_str()).collect();
            println!("{what}: found by seed {seed}: {}", checks.join(", "));
            return;
        }
    }
    panic!("{what} was not found by {within} seeds");
}

macro_rules! defects {
    ($($name:ident: $defect:ident within $seeds:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_found(stringify!($defect), $seeds, |seed| Scenario::of(seed).with_defect(Defect::$defect));
        })*
    };
}

macro_rules! sabotages {
    ($($name:ident: $sabotage:ident on $storage:ident within $seeds:literal;)*) => {
        $(#[test]
        fn $name() {
            let scenario = |seed| Scenario::of(seed).on(Storage::$storage).with_sabotage(Sabotage::$sabotage);
            assert_found(stringify!($sabotage), $seeds, scenario);
        })*
    };
}

defects! {
    a_fence_that_is_not_looked_at: FenceIgnored within 30;
    a_fence_that_is_looked_at_too_early: FenceBeforeTheWrite within 30;
    commits_that_are_not_atomic: CommitNotAtomic within 30;
    epochs_that_restart_after_a_release: EpochRestartsAfterRelease within 30;
    epochs_that_restart_after_an_edit: EpochRestartsAfterKeyRemoval within 30;
    commits_that_are_applied_twice: AppliedTwice within 30;
    prefixes_without_an_end: PrefixWithoutSeparator within 30;
    evidence_that_ends_any_term: TakeOverOfAnyTerm within 30;
    latches_that_anybody_releases: ReleaseByAnybody within 30;
}

sabotages! {
    unfenced_commits_on_the_model: Unfenced on Model within 30;
    unfenced_commits_on_a_journal: Unfenced on Journal within 30;
    unknown_told_as_not_applied_on_the_model: UnknownIsNotApplied on Model within 30;
    unknown_told_as_not_applied_on_a_journal: UnknownIsNotApplied on Journal within 30;
    unknown_told_as_applied_on_the_model: UnknownIsApplied on Model within 30;
    unknown_told_as_applied_on_a_journal: UnknownIsApplied on Journal within 30;
    lists_that_are_old_on_the_model: OldLists on Model within 10;
    lists_that_are_old_on_a_journal: OldLists on Journal within 10;
    deaf_processes_on_the_model: Deaf on Model within 10;
    deaf_processes_on_a_journal: Deaf on Journal within 10;
    endless_deadlines_on_the_model: EndlessDeadline on Model within 30;
    endless_deadlines_on_a_journal: EndlessDeadline on Journal within 30;
}
