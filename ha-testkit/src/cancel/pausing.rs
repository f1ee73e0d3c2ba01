use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term,
};
use ha_core::seam::{Deadline, Seam};

/// How long a call is on its way, and its answer on the way back.
pub(super) const PAUSE: Duration = Duration::from_micros(100);

/// A backend whose every call waits once before it is carried out, and once more before its answer arrives; and that
/// counts the sessions and the watches which its user has not let go of.
#[derive(Debug, Clone)]
pub struct Pausing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Arc<dyn Backend>,
    seam: Seam,
    sessions: AtomicUsize,
    calls: AtomicUsize,
}

impl Pausing {
    /// Calls to that backend wait by that seam.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, seam: Seam) -> Self {
        Self(Arc::new(Inner { backend, seam, sessions: 0.into(), calls: 0.into() }))
    }

    /// How many sessions were opened and not dropped.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.sessions.load(SeqCst)
    }

    /// How many calls are under way, watches among them.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    async fn paused<T>(&self, call: impl Future<Output = T>) -> T {
        let _counted = Counted::new(&self.0.calls);
        self.0.seam.sleep(PAUSE).await;
        let answer = call.await;
        self.0.seam.sleep(PAUSE).await;
        answer
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, SeqCst);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Pausing {
    fn profile(&self) -> Profile {
        self.0.backend.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.paused(self.0.backend.read(key)).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.paused(self.0.backend.list(below)).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.paused(self.0.backend.changed(scope, seen)).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.paused(self.0.backend.commit(commit)).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let opening = async {
            let session = self.0.backend.open_session(options).await?;
            self.0.sessions.fetch_add(1, SeqCst);
            // Made before the answer is on its way: whoever gives up meanwhile drops the session with it.
            Ok(Box::new(PausingSession { session, over: self.clone() }) as Box<dyn Session>)
        };
        self.paused(opening).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.paused(self.0.backend.close()).await
    }
}

#[derive(Debug)]
struct PausingSession {
    session: Box<dyn Session>,
    over: Pausing,
}

impl Drop for PausingSession {
    fn drop(&mut self) {
        self.over.0.sessions.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for PausingSession {
    fn id(&self) -> &str {
        self.session.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        self.over.paused(self.session.try_acquire(latch, holder, over)).await
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.over.paused(self.session.release(latch)).await
    }

    fn valid_until(&self) -> Deadline {
        self.session.valid_until()
    }

    async fn ended(&self) -> Ended {
        self.session.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.over.paused(self.session.close()).await
    }
}
