//! What the tests of the stores share: a store in memory with several leaders, and a backend that fails on demand.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term,
};
use ha_core::election::Grant;
use ha_core::resolve::Committer;
use ha_core::seam::{Deadline, Seam};
use ha_core::state::StateStorage;
use ha_core::writer::{Authority, Writer};
use ha_core::{Error, ErrorKind, JobId};
use ha_embedded::Embedded;
use tokio::sync::Notify;

/// What becomes of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused: not applied.
    Before,
    /// It is applied, and the answer is lost.
    After,
    /// It is lost on its way, and nobody knows.
    Lost,
    /// It is applied, and the answer does not come.
    Hang,
}

/// A backend that fails on demand and counts what it is asked.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Backend>,
    pub(crate) faults: Mutex<VecDeque<Option<Fault>>>,
    pub(crate) down: std::sync::atomic::AtomicBool,
    pub(crate) reads: AtomicUsize,
    pub(crate) lists: AtomicUsize,
    pub(crate) commits: AtomicUsize,
    /// Answer watches with hints alone.
    pub(crate) hints: std::sync::atomic::AtomicBool,
    /// Fail so many watches.
    pub(crate) deaf: AtomicUsize,
    /// What the next lists answer: something that was true once.
    pub(crate) stale: Mutex<VecDeque<Snapshot>>,
    hung: Notify,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            faults: Mutex::default(),
            down: false.into(),
            reads: 0.into(),
            lists: 0.into(),
            commits: 0.into(),
            hints: false.into(),
            deaf: 0.into(),
            stale: Mutex::default(),
            hung: Notify::new(),
        })
    }

    /// The next commit has this fault.
    pub(crate) fn next_commit(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(Some(fault));
    }

    /// The next commit goes through; what is asked for after it, comes after it.
    pub(crate) fn next_commit_is_fine(&self) {
        self.faults.lock().unwrap().push_back(None);
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn check(&self, operation: &'static str) -> Result<(), Error> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, operation).because("down for the test")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for Faulty {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.check("read")?;
        let stale = self.stale.lock().unwrap().pop_front();
        if let Some(entry) = stale.and_then(|stale| stale.entries.into_iter().find(|entry| entry.key == *key)) {
            return Ok(Some(entry));
        }
        self.inner.read(key).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.check("list")?;
        if let Some(stale) = self.stale.lock().unwrap().pop_front() {
            return Ok(stale);
        }
        self.inner.list(below).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.check("changed")?;
        if self.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Err(Error::new(ErrorKind::Unavailable, "changed").because("deaf for the test"));
        }
        let change = self.inner.changed(scope, seen).await?;
        match self.hints.load(Ordering::SeqCst) {
            true => Ok(Change::Hint { mark: change.mark() }),
            false => Ok(change),
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.check("commit")?;
        let fault = self.faults.lock().unwrap().pop_front().flatten();
        let unknown = || Err(Error::new(ErrorKind::Indeterminate, "commit").because("lost for the test"));
        match fault {
            None => self.inner.commit(commit).await,
            Some(Fault::Before) => Err(Error::new(ErrorKind::Unavailable, "commit").because("refused for the test")),
            Some(Fault::Lost) => unknown(),
            Some(Fault::After) => self.inner.commit(commit).await.and_then(|_| unknown()),
            Some(Fault::Hang) => {
                let _ = self.inner.commit(commit).await;
                self.hung.notified().await;
                unknown()
            }
        }
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.inner.open_session(options).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

/// The session of a process that never learns that it is over, as if it had been paused: only the
/// store can stop its writes.
#[derive(Debug)]
struct Oblivious(Box<dyn Session>);

#[async_trait]
impl Session for Oblivious {
    fn id(&self) -> &str {
        self.0.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        self.0.try_acquire(latch, holder, over).await
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.0.release(latch).await
    }

    fn valid_until(&self) -> Deadline {
        Deadline::NEVER
    }

    async fn ended(&self) -> Ended {
        std::future::pending().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.0.close().await
    }
}

/// One store in memory and one state storage, for any number of leaders.
pub(crate) struct Rig {
    pub(crate) seam: Seam,
    pub(crate) store: Embedded,
    pub(crate) storage: StateStorage,
}

/// A process that leads, or did.
pub(crate) struct Leader {
    pub(crate) backend: Arc<Faulty>,
    pub(crate) grant: Grant,
    pub(crate) writer: Writer,
    session: String,
    seam: Seam,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let seam = Seam::system();
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        Self { store: Embedded::new(seam.clone()), storage, seam }
    }

    pub(crate) fn with_profile(profile: Profile) -> Self {
        let rig = Self::new();
        Self { store: Embedded::with_profile(rig.seam.clone(), profile), ..rig }
    }

    /// Another process wins the leadership. There must be no leader at the moment.
    pub(crate) async fn lead(&self) -> Leader {
        let backend = Faulty::new(Arc::new(self.store.connect()));
        let options = SessionOptions { silence: Duration::from_secs(3600), label: "test".into() };
        let session: Arc<dyn Session> = Arc::new(Oblivious(backend.open_session(&options).await.unwrap()));
        let id = session.id().to_owned();
        let latch = Latch::below(&Prefix::new("leader").unwrap());
        let acquired = session.try_acquire(&latch, "holder".into(), None).await.unwrap();
        let Acquire::Won(term) = acquired else { panic!("somebody leads: {acquired:?}") };
        let grant = Grant::hold(&self.seam, session, latch, term);
        let committer = Committer::new(Arc::clone(&backend) as Arc<dyn Backend>, self.seam.clone());
        let writer = Writer::new(committer, Authority::Leader(grant.clone()));
        Leader { writer, backend, grant, session: id, seam: self.seam.clone() }
    }

    /// The leader is deposed without knowing it, and another takes its place.
    pub(crate) async fn depose(&self, leader: &Leader) -> Leader {
        self.store.revoke(&leader.session).unwrap();
        self.lead().await
    }

    /// Everything below a place, as bytes.
    pub(crate) async fn contents(&self, below: &str) -> Vec<(String, Vec<u8>, u64)> {
        let snapshot = self.store.connect().list(&Prefix::new(below).unwrap()).await.unwrap();
        let content = |e: &Entry| (e.key.to_string(), e.value.to_vec(), e.revision.native());
        snapshot.entries.iter().map(content).collect()
    }

    pub(crate) async fn keys(&self, below: &str) -> Vec<String> {
        self.contents(below).await.into_iter().map(|(key, ..)| key).collect()
    }

    pub(crate) fn tamper(&self, key: &str, value: Option<&str>) {
        self.store.tamper(&Key::new(key).unwrap(), value.map(|value| value.to_owned().into()));
    }
}

impl Leader {
    /// A writer of this leader for which every lost answer stays unknown.
    pub(crate) fn hasty(&self) -> Writer {
        let backend = Arc::clone(&self.backend) as Arc<dyn Backend>;
        let committer = Committer::with_budget(backend, self.seam.clone(), Duration::ZERO);
        Writer::new(committer, Authority::Leader(self.grant.clone()))
    }
}

pub(crate) fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

/// Polls a future a few times and drops it. Returns what it answered, if it did.
pub(crate) fn poll_and_drop<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..50 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}

/// Waits until the claim holds; fails the test if it does not within a minute.
pub(crate) async fn eventually(what: &str, mut claim: impl AsyncFnMut() -> bool) {
    let seam = Seam::system();
    let give_up = seam.now() + Duration::from_secs(60);
    while !claim().await {
        assert!(seam.now() < give_up, "not within a minute: {what}");
        seam.sleep(Duration::from_millis(2)).await;
    }
}

/// A deposed leader is told so, whether it knows it already or not.
pub(crate) fn assert_deposed<T: std::fmt::Debug>(result: Result<T, Error>) {
    let kind = result.expect_err("a deposed leader must not succeed").kind();
    assert!(matches!(kind, ErrorKind::Fenced | ErrorKind::NotLeader), "{kind:?}");
}
