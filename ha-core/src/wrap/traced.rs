use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tracing::{debug, trace, warn};

use crate::Error;
use crate::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term,
};
use crate::seam::Deadline;

/// Tells `tracing` of every call: reads and waits at `TRACE`, what changes something at `DEBUG`,
/// failures at `WARN`. Keys, counts and outcomes are logged; values are not.
#[derive(Debug)]
pub struct Traced {
    inner: Arc<dyn Backend>,
}

impl Traced {
    /// Traces the calls to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner }
    }
}

fn warned<T>(
    operation: &'static str,
    subject: &(dyn fmt::Display + Sync),
    result: Result<T, Error>,
) -> Result<T, Error> {
    if let Err(error) = &result {
        warn!(operation, %subject, ?error, "backend call failed");
    }
    result
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Traced {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let found = warned("read", key, self.inner.read(key).await)?;
        trace!(%key, found = found.is_some(), "read");
        Ok(found)
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let snapshot = warned("list", below, self.inner.list(below).await)?;
        trace!(%below, entries = snapshot.entries.len(), "listed");
        Ok(snapshot)
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let change = warned("changed", scope, self.inner.changed(scope, seen).await)?;
        trace!(%scope, mark = ?change.mark(), "woken");
        Ok(change)
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let outcome = warned("commit", &commit.id, self.inner.commit(commit).await)?;
        let epoch = commit.guard.as_ref().map(|fence| fence.term.epoch);
        let keys: Vec<&Key> = commit.writes.iter().map(|write| &write.key).collect();
        match &outcome {
            Outcome::Applied { .. } => debug!(write_id = %commit.id, epoch, ?keys, "commit applied"),
            Outcome::Conflict { key, .. } => debug!(write_id = %commit.id, epoch, %key, "commit in conflict"),
            Outcome::Fenced => warn!(write_id = %commit.id, epoch, ?keys, "commit fenced"),
        }
        Ok(outcome)
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let inner = warned("open session", &options.label, self.inner.open_session(options).await)?;
        debug!(session = inner.id(), silence = ?options.silence, "session opened");
        Ok(Box::new(TracedSession { inner }))
    }

    async fn close(&self) -> Result<(), Error> {
        warned("close", &"backend", self.inner.close().await)
    }
}

#[derive(Debug)]
struct TracedSession {
    inner: Box<dyn Session>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for TracedSession {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let acquire = warned("acquire", latch, self.inner.try_acquire(latch, holder, over).await)?;
        match &acquire {
            Acquire::Won(term) => debug!(%latch, session = self.id(), epoch = term.epoch, ?over, "latch taken"),
            Acquire::Held { by, .. } => debug!(%latch, session = self.id(), epoch = by.term.epoch, "latch is held"),
        }
        Ok(acquire)
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        warned("release", latch, self.inner.release(latch).await)?;
        debug!(%latch, session = self.id(), "latch released");
        Ok(())
    }

    fn valid_until(&self) -> Deadline {
        self.inner.valid_until()
    }

    async fn ended(&self) -> Ended {
        let ended = self.inner.ended().await;
        debug!(session = self.id(), ?ended, "session over");
        ended
    }

    async fn close(&self) -> Result<(), Error> {
        warned("close session", &self.id(), self.inner.close().await)
    }
}
