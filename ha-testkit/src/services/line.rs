use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term,
};
use ha_core::seam::{Deadline, Seam};
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

/// The line between one process and the store: sees what goes over it, and can let the process
/// grow old on it.
///
/// A process that is [unaware](Line::make_unaware) learns of nothing that happens to its latches:
/// it stands for one that was paused between a check and the write after it. Only the store can
/// stop what it writes.
#[derive(Debug, Clone)]
pub struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Arc<dyn Backend>,
    seam: Seam,
    sessions: Mutex<Vec<String>>,
    latches: Mutex<BTreeSet<Key>>,
    unaware: AtomicBool,
    refusing: AtomicBool,
    /// Commits wait while this is true.
    holding: watch::Sender<bool>,
    held: AtomicUsize,
    calls: AtomicUsize,
    watching: AtomicUsize,
    /// The sessions that were opened and neither closed nor dropped.
    open_sessions: AtomicUsize,
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

impl Line {
    pub(super) fn new(backend: Arc<dyn Backend>, seam: Seam) -> Self {
        Self(Arc::new(Inner {
            backend,
            seam,
            sessions: Mutex::default(),
            latches: Mutex::default(),
            unaware: false.into(),
            refusing: false.into(),
            holding: watch::Sender::new(false),
            held: 0.into(),
            calls: 0.into(),
            watching: 0.into(),
            open_sessions: 0.into(),
        }))
    }

    /// From now on the process learns nothing about its latches any more.
    pub fn make_unaware(&self) {
        self.0.unaware.store(true, SeqCst);
    }

    /// Whether everything is refused as denied.
    pub fn refuse(&self, refusing: bool) {
        self.0.refusing.store(refusing, SeqCst);
    }

    /// Commits are held up just before they are sent, until [`Line::let_go`].
    pub fn hold(&self) {
        self.0.holding.send_replace(true);
    }

    /// Sends what was held up.
    pub fn let_go(&self) {
        self.0.holding.send_replace(false);
    }

    /// How many commits are held up.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(SeqCst)
    }

    /// How many calls have gone over the line.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    /// How many watches are waiting.
    #[must_use]
    pub fn watching(&self) -> usize {
        self.0.watching.load(SeqCst)
    }

    /// The sessions that were ever opened, in their order.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many sessions this process still keeps.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.0.open_sessions.load(SeqCst)
    }

    fn call(&self, operation: &'static str) -> Result<(), Error> {
        self.0.calls.fetch_add(1, SeqCst);
        if self.0.refusing.load(SeqCst) {
            return Err(Error::new(ErrorKind::Denied, operation).because("injected: access is denied"));
        }
        Ok(())
    }

    /// Does not return if the process must not learn about its latches.
    async fn unless_unaware(&self, concerned: impl Fn(&Key) -> bool) {
        let concerned = self.0.latches.lock().unwrap_or_else(PoisonError::into_inner).iter().any(concerned);
        if concerned && self.0.unaware.load(SeqCst) {
            std::future::pending().await
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Line {
    fn profile(&self) -> Profile {
        self.0.backend.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.call("read")?;
        let found = self.0.backend.read(key).await;
        self.unless_unaware(|latch| latch == key).await;
        found
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.call("list")?;
        let found = self.0.backend.list(below).await;
        self.unless_unaware(|latch| below.contains(latch)).await;
        found
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.call("changed")?;
        let _counted = Counted::new(&self.0.watching);
        let change = self.0.backend.changed(scope, seen).await;
        self.unless_unaware(|latch| scope.contains(latch)).await;
        change
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.call("commit")?;
        if *self.0.holding.borrow() {
            let _counted = Counted::new(&self.0.held);
            let mut holding = self.0.holding.subscribe();
            // The sender lives in `self`.
            let _ = holding.wait_for(|holding| !holding).await;
        }
        self.0.backend.commit(commit).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.call("open session")?;
        let session = self.0.backend.open_session(options).await?;
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session.id().to_owned());
        self.0.open_sessions.fetch_add(1, SeqCst);
        Ok(Box::new(OnLine { session, line: self.clone() }))
    }

    async fn close(&self) -> Result<(), Error> {
        self.0.backend.close().await
    }
}

#[derive(Debug)]
struct OnLine {
    session: Box<dyn Session>,
    line: Line,
}

impl Drop for OnLine {
    fn drop(&mut self) {
        self.line.0.open_sessions.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for OnLine {
    fn id(&self) -> &str {
        self.session.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        self.line.call("acquire")?;
        self.line.0.latches.lock().unwrap_or_else(PoisonError::into_inner).insert(latch.key().clone());
        self.session.try_acquire(latch, holder, over).await
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.line.call("release")?;
        self.session.release(latch).await
    }

    fn valid_until(&self) -> Deadline {
        if self.line.0.unaware.load(SeqCst) {
            return Deadline::at(self.line.0.seam.now() + Duration::from_secs(3600));
        }
        self.session.valid_until()
    }

    async fn ended(&self) -> Ended {
        let ended = self.session.ended().await;
        if self.line.0.unaware.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        ended
    }

    async fn close(&self) -> Result<(), Error> {
        self.session.close().await
    }
}
