//! The kit itself: what happens around a case.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ha_core::Error;
use ha_core::backend::Backend;
use ha_core::seam::Seam;
use ha_embedded::Embedded;
use ha_testkit::registry::{Case, Level};
use ha_testkit::run::{self, OnBackend, Running, Verdict};
use ha_testkit::{BackendFactory, Capability, Fixture, Missing, Store, async_trait};

#[derive(Clone, Default)]
struct Factory {
    torn_down: Arc<AtomicBool>,
}

struct Namespace(Embedded, Seam, Arc<AtomicBool>);

#[async_trait]
impl BackendFactory for Factory {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        let seam = Seam::system();
        Ok(Arc::new(Namespace(Embedded::new(seam.clone()), seam, Arc::clone(&self.torn_down))))
    }
}

#[async_trait]
impl Store for Namespace {
    fn seam(&self) -> Seam {
        self.1.clone()
    }

    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(self.0.connect()))
    }

    async fn tear_down(&self) {
        self.2.store(true, Ordering::SeqCst);
    }
}

fn case(needs: &'static [Capability]) -> Case {
    Case { name: "b_99_a_case", claim: "", level: Level::Backend, needs }
}

fn judge(
    needs: &'static [Capability],
    can: &[Capability],
    body: fn(Fixture) -> Running,
) -> (Result<Verdict, ()>, bool) {
    let factory = Factory::default();
    let opened = OnBackend(factory.clone());
    let verdict = catch_unwind(AssertUnwindSafe(|| run::block_on(run::judge(&case(needs), &opened, can, body))));
    (verdict.map_err(drop), factory.torn_down.load(Ordering::SeqCst))
}

#[test]
fn teardown_runs_after_success_and_after_a_panic() {
    assert_eq!(judge(&[], &[], |_| Box::pin(async {})), (Ok(Verdict::Passed), true));
    assert_eq!(judge(&[], &[], |_| Box::pin(async { panic!("the claim does not hold") })), (Err(()), true));
}

#[test]
fn a_panic_beside_the_case_fails_it() {
    let body = |f: Fixture| -> Running { Box::pin(async move { f.go(async { panic!("beside the case") }).await }) };
    assert_eq!(judge(&[], &[], body), (Err(()), true));
}

#[test]
fn a_capability_that_is_not_declared_is_a_skip_that_names_it() {
    let (verdict, opened) = judge(&[Capability::Restart], &[Capability::Freeze], |_| Box::pin(async {}));
    assert!(matches!(&verdict, Ok(Verdict::Skipped(why)) if why.contains("Restart")), "{verdict:?}");
    assert!(!opened, "nothing was opened for a case that does not run");
}

#[test]
fn a_capability_that_is_declared_and_missing_turns_red() {
    let body = |f: Fixture| -> Running { Box::pin(async move { f.store().restart().await }) };
    assert_eq!(judge(&[Capability::Restart], &[Capability::Restart], body), (Err(()), true));
}
