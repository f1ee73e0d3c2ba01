//! Running one case: open, run, tear down, report.

use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use ha_core::seam::Seam;

use crate::factory::{BackendFactory, Capability, Missing};
use crate::fixture::Fixture;
use crate::registry::Case;

/// No case takes this long unless something hangs, or the store is far slower than the largest cases
/// bear: they make a thousand commits, and leave ten thousand keys.
const CASE_MAX: Duration = Duration::from_secs(300);

/// A running case.
pub type Running = Pin<Box<dyn Future<Output = ()>>>;

/// How a case ended, if it did not panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// What it claims holds.
    Passed,
    /// It was not run, for this reason.
    Skipped(String),
}

/// A place that cases of one suite run in, freshly opened.
pub struct Opened<F> {
    /// What the case works on.
    pub fixture: F,
    /// Time, for the deadline of the case.
    pub seam: Seam,
    /// Removes what the case left behind.
    pub tear_down: Running,
}

impl<F: fmt::Debug> fmt::Debug for Opened<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("fixture", &self.fixture).finish_non_exhaustive()
    }
}

/// Opens the places that cases of one suite run in. A suite on another level than backends brings
/// its own implementation, and runs by the same macros.
#[async_trait(?Send)]
pub trait Open {
    /// What its cases work on.
    type Fixture;
    /// Opens a place that no other case uses.
    ///
    /// # Errors
    /// [`Missing`]: what it needs is not here.
    async fn open(&self) -> Result<Opened<Self::Fixture>, Missing>;
}

/// Cases on a namespace of a backend.
#[derive(Debug)]
pub struct OnBackend<T>(pub T);

#[async_trait(?Send)]
impl<T: BackendFactory> Open for OnBackend<T> {
    type Fixture = Fixture;
    async fn open(&self) -> Result<Opened<Fixture>, Missing> {
        let store = self.0.open().await?;
        let fixture = Fixture::new(Arc::clone(&store));
        let seam = fixture.seam().clone();
        Ok(Opened { fixture, seam, tear_down: Box::pin(async move { store.tear_down().await }) })
    }
}

/// Runs one case as the body of a test: opens a place, runs, tears down, and only then lets a
/// panic go on.
///
/// # Panics
/// The claim does not hold; or what the factory needs is missing and `CI` is set.
pub fn test<O: Open>(place: &str, case: &Case, open: O, can: &[Capability], body: impl FnOnce(O::Fixture) -> Running) {
    let verdict = block_on(judge(case, &open, can, body));
    if let Verdict::Skipped(why) = verdict {
        // Not by the macro: the test runner hides what that prints when a test passes.
        tell(format_args!("SKIPPED {place} {} {}: {why}", case.id(), case.name));
    }
}

/// Runs a future on a fresh runtime with two threads, so that races really happen.
///
/// # Panics
/// As the future does; or the machine has no threads left.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime with two threads").block_on(future)
}

/// Runs one case on the current runtime.
///
/// # Panics
/// As [`test()`].
pub async fn judge<O: Open>(
    case: &Case,
    open: &O,
    can: &[Capability],
    body: impl FnOnce(O::Fixture) -> Running,
) -> Verdict {
    if let Some(lacking) = case.needs.iter().find(|need| !can.contains(need)) {
        return Verdict::Skipped(format!("the test does not declare {lacking} in `can`"));
    }
    let Opened { fixture, seam, tear_down } = match open.open().await {
        Ok(opened) => opened,
        Err(Missing(what)) if std::env::var_os("CI").is_some() => panic!("missing in CI: {what}"),
        Err(Missing(what)) => return Verdict::Skipped(format!("missing here: {what}")),
    };
    let within = seam.timeout(CASE_MAX, body(fixture));
    let outcome = AssertUnwindSafe(within).catch_unwind().await;
    tear_down.await;
    match outcome {
        Ok(Some(())) => Verdict::Passed,
        Ok(None) => panic!("{}", not_over(case)),
        Err(panic) => resume_unwind(panic),
    }
}

fn not_over(case: &Case) -> String {
    let (id, name) = (case.id(), case.name);
    format!(
        "{id} {name} is not over after {CASE_MAX:?}: something hangs, or the store is too slow for this case; \
         run it alone and see whether calls still return (docs/write-a-backend.md, step 12)"
    )
}

/// Prints a line past the test runner's own capture: how much was tried, how long something took, what was skipped and
/// why. It is for people; nothing is decided by it.
pub fn tell(line: impl std::fmt::Display) {
    // Standard error may be closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}
