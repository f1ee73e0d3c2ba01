//! Every deliberately broken backend, and every service set up wrongly, is caught by the case that is meant for it.

#![allow(clippy::unwrap_used, reason = "the helpers of this test are test code too")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use ha_core::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, ServicesOptions};
use ha_testkit::mutants::{CAN, Defect, ModelFactory};
use ha_testkit::registry::{Case, Level};
use ha_testkit::sim::Sabotage;
use ha_testkit::{
    BackendFactory, Deployment, EmbeddedFactory, Missing, ServicesFactory, Store, async_trait, backend, run, services,
};

fn run_case(case: &Case, defect: Defect) -> run::Verdict {
    if case.level == Level::Services {
        let body = |cluster| services::body(case.name, cluster).expect("a case of the suite of the services");
        return run::block_on(run::judge(case, &services::OnServices(ModelFactory::new(defect)), CAN, body));
    }
    let body = |fixture| backend::body(case.name, fixture).expect("a case of the backend suite");
    run::block_on(run::judge(case, &run::OnBackend(ModelFactory::new(defect)), CAN, body))
}

/// The case must pass on the sound model, and fail on the broken one by saying `expected`.
fn assert_caught(defect: Defect, id: &str, expected: &str) {
    let cases = [backend::cases(), services::cases()].concat();
    let case = cases.iter().find(|case| case.id() == id).expect("the case that is meant to catch it");
    let (sound, broken) = (|| run_case(case, Defect::None), || run_case(case, defect));
    assert_caught_by(case, &format!("{defect:?}"), expected, sound, broken);
}

fn assert_caught_by(
    case: &Case,
    mutant: &str,
    expected: &str,
    sound: impl FnOnce() -> run::Verdict,
    broken: impl FnOnce() -> run::Verdict,
) {
    let (id, name) = (case.id(), case.name);
    assert_eq!(sound(), run::Verdict::Passed, "{id} on the sound model");
    let panic = match catch_unwind(AssertUnwindSafe(broken)) {
        Ok(verdict) => panic!("mutant {mutant} survived {id} {name}: {verdict:?}"),
        Err(panic) => panic,
    };
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without a text");
    assert!(text.contains(expected), "mutant {mutant} failed {id} for another reason: {text}");
    // Not by the macro: the test runner hides what that prints when a test passes.
    let _ = writeln!(std::io::stdout(), "mutant {mutant}: caught by {id} {name}");
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
    // The same defects, seen from the services: what the clauses are there for.
    services_fence_ignored: FenceIgnored "X-01" "a deposed leader must be refused";
    services_fence_ignored_between_check_and_write: FenceIgnored "X-02" "a deposed leader must be refused";
    services_fence_ignored_late: FenceIgnored "X-03" "has arrived late";
    services_fence_ignored_discards: FenceIgnored "CP-22" "a deposed leader must be refused";
    services_epoch_restarts: EpochRestartsAfterRelease "X-04" "after";
}

/// Services that are set up wrongly over a sound backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// What a process follows never changes again after its first look.
    DeafForEver,
    /// The cluster's id is left out.
    OneClusterForAll,
    /// A session is never renewed, and nobody looks at its deadline.
    BlindToItsDeadline,
}

#[derive(Debug, Clone, Copy)]
struct Faulted(Fault);

struct Wrong(Arc<dyn Store>, Fault);

#[async_trait]
impl ServicesFactory for Faulted {
    async fn open(&self) -> Result<Arc<dyn Deployment>, Missing> {
        let store = BackendFactory::open(&EmbeddedFactory::new()).await?;
        Ok(Arc::new(Wrong(store, self.0)))
    }
}

impl Deployment for Wrong {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0)
    }

    fn start(
        &self,
        backend: Arc<dyn Backend>,
        storage: StateStorage,
        options: &ServicesOptions,
    ) -> Result<HaServices, Error> {
        let mut options = options.clone();
        if self.1 == Fault::OneClusterForAll {
            options.cluster_id = "default".into();
        }
        let misled = |inner| Arc::new(Misled { inner, fault: self.1, seen: Mutex::default() }) as Arc<dyn Backend>;
        let backend = match self.1 {
            Fault::None | Fault::OneClusterForAll => backend,
            Fault::BlindToItsDeadline => misled(Sabotage::EndlessDeadline.of(backend)),
            Fault::DeafForEver => misled(backend),
        };
        HaServices::new(backend, storage, &options, self.0.seam())
    }
}

/// A handle that misleads the services.
#[derive(Debug)]
struct Misled {
    inner: Arc<dyn Backend>,
    fault: Fault,
    seen: Mutex<BTreeMap<Prefix, Snapshot>>,
}

impl Misled {
    /// Whether what others do is never seen.
    fn is_deaf(&self) -> bool {
        matches!(self.fault, Fault::DeafForEver | Fault::BlindToItsDeadline)
    }
}

#[async_trait]
impl Backend for Misled {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.read(key).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let known = self.seen.lock().unwrap().get(below).cloned();
        if let Some(known) = known.filter(|_| self.is_deaf()) {
            return Ok(known);
        }
        let snapshot = self.inner.list(below).await?;
        self.seen.lock().unwrap().insert(below.clone(), snapshot.clone());
        Ok(snapshot)
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        match (self.fault, scope) {
            (_, Scope::Below(below)) if self.is_deaf() && *seen == Mark::UNSEEN => {
                Ok(Change::Snapshot(self.list(below).await?))
            }
            // Blind to its deadline, it must not learn from the latch either that it is over; but whoever
            // waits for that latch hears that it is free.
            (Fault::DeafForEver, _) | (Fault::BlindToItsDeadline, Scope::Below(_)) => std::future::pending().await,
            _ => self.inner.changed(scope, seen).await,
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.inner.commit(commit).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.inner.open_session(options).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

fn assert_fault_caught(fault: Fault, id: &str, expected: &str) {
    let cases = services::cases();
    let case = cases.iter().find(|case| case.id() == id).expect("the case that is meant to catch it");
    let run_case = |fault| {
        let body = |cluster| services::body(case.name, cluster).expect("a case of the suite of the services");
        run::block_on(run::judge(case, &services::OnServices(Faulted(fault)), CAN, body))
    };
    assert_caught_by(case, &format!("{fault:?}"), expected, || run_case(Fault::None), || run_case(fault));
}

mod mutants_of_processes {
    use super::{Fault, assert_fault_caught};

    #[test]
    fn a_process_that_is_deaf_for_ever() {
        // Its first look may come late, and then shows the first leader; what comes after it is missed in any case.
        assert_fault_caught(Fault::DeafForEver, "LR-02", "in vain");
    }

    #[test]
    fn one_cluster_for_all() {
        assert_fault_caught(Fault::OneClusterForAll, "X-25", "in vain");
    }

    #[test]
    fn a_process_that_does_not_look_at_its_deadline() {
        assert_fault_caught(Fault::BlindToItsDeadline, "X-06", "two leaders at one instant");
    }
}
