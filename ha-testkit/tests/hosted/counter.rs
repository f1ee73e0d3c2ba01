//! A handle that counts its sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{
    Acquire, Backend, Change, Commit, EarlyEnd, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile,
    ReadGuarantee, Scope, Session, SessionOptions, Snapshot, Term,
};
use ha_core::seam::Deadline;
use ha_core::{Error, ErrorKind};
use ha_testkit::hosted::{Hooked, host};
use ha_testkit::process::role;

/// A handle that opens sessions, a little later, and counts those that live as its waiters.
#[derive(Debug, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>, String);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "a counter").because("it opens sessions and nothing else")
}

#[async_trait]
impl Session for Counted {
    fn id(&self) -> &str {
        &self.1
    }

    async fn try_acquire(&self, _: &Latch, _: Bytes, _: Option<&Term>) -> Result<Acquire, Error> {
        Err(unsupported())
    }

    async fn release(&self, _: &Latch) -> Result<(), Error> {
        Err(unsupported())
    }

    fn valid_until(&self) -> Deadline {
        Deadline::NEVER
    }

    async fn ended(&self) -> Ended {
        std::future::pending().await
    }

    async fn close(&self) -> Result<(), Error> {
        Err(unsupported())
    }
}

#[async_trait]
impl Backend for Counter {
    fn profile(&self) -> Profile {
        Profile::new("counter", 1, 2, 3).with_reads(ReadGuarantee::Monotonic).with_early_ends([EarlyEnd::Gossip])
    }

    async fn read(&self, _: &Key) -> Result<Option<Entry>, Error> {
        Err(unsupported())
    }

    async fn list(&self, _: &Prefix) -> Result<Snapshot, Error> {
        tokio::task::yield_now().await;
        panic!("a handle with a mistake")
    }

    async fn changed(&self, _: &Scope, _: &Mark) -> Result<Change, Error> {
        Err(unsupported())
    }

    async fn commit(&self, _: &Commit) -> Result<Outcome, Error> {
        Err(unsupported())
    }

    async fn open_session(&self, _: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Counted(Arc::clone(&self.0), number.to_string())))
    }

    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Hooked for Counter {
    fn freeze(&self, _: &str, _: bool) -> Result<(), Error> {
        Err(unsupported())
    }

    fn waiting(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A process with a handle that counts.
#[test]
fn counter() {
    role("counter::counter", async |_: (), stage| {
        host(stage, async { Ok(Arc::new(Counter::default()) as Arc<dyn Hooked>) }).await;
    });
}
