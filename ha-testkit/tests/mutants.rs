//! Every deliberately broken backend is caught by the case that is meant for it.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ha_testkit::mutants::{CAN, Defect, ModelFactory};
use ha_testkit::registry::Case;
use ha_testkit::{backend, run};

fn run_case(case: &Case, defect: Defect) -> run::Verdict {
    let body = |fixture| backend::body(case.name, fixture).expect("a case of the backend suite");
    run::block_on(run::judge(case, &run::OnBackend(ModelFactory::new(defect)), CAN, body))
}

/// The case must pass on the sound model, and fail on the broken one by saying `expected`.
fn assert_caught(defect: Defect, id: &str, expected: &str) {
    let cases = backend::cases();
    let case = cases.iter().find(|case| case.id() == id).expect("the case that is meant to catch it");
    assert_eq!(run_case(case, Defect::None), run::Verdict::Passed, "{id} on the sound model");
    let panic = match catch_unwind(AssertUnwindSafe(|| run_case(case, defect))) {
        Ok(verdict) => panic!("mutant {defect:?} survived {id} {}: {verdict:?}", case.name),
        Err(panic) => panic,
    };
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without a text");
    assert!(text.contains(expected), "mutant {defect:?} failed {id} for another reason: {text}");
    // Not by the macro: the test runner hides what that prints when a test passes.
    let _ = writeln!(std::io::stdout(), "mutant {defect:?}: caught by {id} {}", case.name);
}

macro_rules! mutants {
    ($($name:ident: $defect:ident $id:literal $expected:literal;)*) => {
        mod mutants {
            $(#[test]
            fn $name() {
                super::assert_caught(ha_testkit::mutants::Defect::$defect, $id, $expected);
            })*
        }
    };
}

mutants! {
    fence_ignored: FenceIgnored "B-20" "passed";
    fence_before_the_write: FenceBeforeTheWrite "B-24" "applied under the old term after";
    conflict_outranks_fenced: ConflictOutranksFenced "B-22" "a deposed leader's commit that conflicts";
    revision_reused: RevisionReused "B-08" "came back";
    epoch_restarts_after_release: EpochRestartsAfterRelease "B-26" "the epoch must grow over release";
    epoch_restarts_after_key_removal: EpochRestartsAfterKeyRemoval "B-29" "the epoch must grow over removal";
    commit_not_atomic: CommitNotAtomic "B-01" "half a commit was seen";
    identical_write_swallowed: IdenticalWriteSwallowed "B-07" "the same bytes were swallowed";
    applied_twice: AppliedTwice "B-06" "a second time";
    wake_up_lost: WakeUpLost "B-67" "a removal wakes the watcher";
    prefix_without_separator: PrefixWithoutSeparator "B-61" "what lies below jobs/1";
    another_cluster_visible: AnotherClusterVisible "B-64" "what one sees";
    deadline_from_the_answer: DeadlineFromTheAnswer "B-49" "before the leader's own deadline";
    take_over_of_a_newer_term: TakeOverOfAnyTerm "B-44" "ended the term";
    release_by_anybody: ReleaseByAnybody "B-37" "the commit must be applied";
    latch_taken_again: LatchTakenAgain "B-34" "a session must not take a latch twice";
    foreign_edit_ignored: ForeignEditIgnored "B-59" "the leader must be fenced by the edit";
}
