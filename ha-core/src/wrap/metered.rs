use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;
use crate::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term,
};
use crate::seam::{Deadline, Moment, Seam};
use crate::telemetry::record;

/// Counts and times every call through the `metrics` facade.
///
/// As [`BACKEND_CALLS`](crate::telemetry::names::BACKEND_CALLS), whose `outcome` is `ok`, for commits `applied`,
/// `conflict` or `fenced`, for attempts on a latch `won` or `held`, else `error`; and as
/// [`BACKEND_CALL_SECONDS`](crate::telemetry::names::BACKEND_CALL_SECONDS).
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn Backend>,
    meter: Meter,
}

#[derive(Debug, Clone)]
struct Meter {
    backend: &'static str,
    seam: Seam,
}

impl Meter {
    fn count(&self, operation: &'static str, outcome: &'static str) {
        record::backend_call(self.backend, operation, outcome, None);
    }

    fn done<T>(
        &self,
        operation: &'static str,
        began: Moment,
        result: Result<T, Error>,
        outcome: impl FnOnce(&T) -> &'static str,
    ) -> Result<T, Error> {
        let took: Duration = self.seam.now().since(began);
        let outcome = result.as_ref().map_or("error", outcome);
        record::backend_call(self.backend, operation, outcome, Some(took));
        result
    }
}

impl Metered {
    /// Counts and times the calls to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, seam: Seam) -> Self {
        let backend = inner.profile().name;
        Self { inner, meter: Meter { backend, seam } }
    }
}

fn ok<T>(_: &T) -> &'static str {
    "ok"
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Metered {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let began = self.meter.seam.now();
        self.meter.done("read", began, self.inner.read(key).await, ok)
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let began = self.meter.seam.now();
        self.meter.done("list", began, self.inner.list(below).await, ok)
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let result = self.inner.changed(scope, seen).await;
        self.meter.count("changed", if result.is_ok() { "ok" } else { "error" });
        result
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let began = self.meter.seam.now();
        self.meter.done("commit", began, self.inner.commit(commit).await, |outcome| match outcome {
            Outcome::Applied { .. } => "applied",
            Outcome::Conflict { .. } => "conflict",
            Outcome::Fenced => "fenced",
        })
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let began = self.meter.seam.now();
        let inner = self.meter.done("open_session", began, self.inner.open_session(options).await, ok)?;
        Ok(Box::new(MeteredSession { inner, meter: self.meter.clone() }))
    }

    async fn close(&self) -> Result<(), Error> {
        let began = self.meter.seam.now();
        self.meter.done("close", began, self.inner.close().await, ok)
    }
}

#[derive(Debug)]
struct MeteredSession {
    inner: Box<dyn Session>,
    meter: Meter,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for MeteredSession {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let began = self.meter.seam.now();
        let result = self.inner.try_acquire(latch, holder, over).await;
        self.meter.done("acquire", began, result, |acquire| match acquire {
            Acquire::Won(_) => "won",
            Acquire::Held { .. } => "held",
        })
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        let began = self.meter.seam.now();
        self.meter.done("release", began, self.inner.release(latch).await, ok)
    }

    fn valid_until(&self) -> Deadline {
        self.inner.valid_until()
    }

    async fn ended(&self) -> Ended {
        self.inner.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        let began = self.meter.seam.now();
        self.meter.done("close_session", began, self.inner.close().await, ok)
    }
}
