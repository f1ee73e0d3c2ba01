//! Running one case: open, run, tear down, report.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::factory::{BackendFactory, Capability, Missing};
use crate::fixture::Fixture;
use crate::registry::Case;

/// No case takes this long unless something hangs.
const CASE_MAX: Duration = Duration::from_secs(120);

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

/// Runs one case as the body of a test: opens a namespace, runs, tears down, and only then lets
/// a panic go on.
///
/// # Panics
/// The claim does not hold; or what the factory needs is missing and `CI` is set.
pub fn test(
    place: &str,
    case: &Case,
    factory: impl BackendFactory,
    can: &[Capability],
    body: impl FnOnce(Fixture) -> Running,
) {
    let verdict = block_on(judge(case, &factory, can, body));
    if let Verdict::Skipped(why) = verdict {
        println!("SKIPPED {place} {} {}: {why}", case.id(), case.name);
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
/// As [`test`].
pub async fn judge(
    case: &Case,
    factory: &dyn BackendFactory,
    can: &[Capability],
    body: impl FnOnce(Fixture) -> Running,
) -> Verdict {
    if let Some(lacking) = case.needs.iter().find(|need| !can.contains(need)) {
        return Verdict::Skipped(format!("the test declares that this backend has no {lacking}"));
    }
    let store = match factory.open().await {
        Ok(store) => store,
        Err(Missing(what)) if std::env::var_os("CI").is_some() => panic!("missing in CI: {what}"),
        Err(Missing(what)) => return Verdict::Skipped(format!("missing here: {what}")),
    };
    let fixture = Fixture::new(Arc::clone(&store));
    let seam = fixture.seam().clone();
    let within = seam.timeout(CASE_MAX, body(fixture));
    let outcome = AssertUnwindSafe(within).catch_unwind().await;
    store.tear_down().await;
    match outcome {
        Ok(Some(())) => Verdict::Passed,
        Ok(None) => panic!("{} {} hangs: not over after {CASE_MAX:?}", case.id(), case.name),
        Err(panic) => resume_unwind(panic),
    }
}
