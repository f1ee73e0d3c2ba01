//! A backend that fails on command, and what the tests under attack share.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term,
};
use ha_core::seam::{Deadline, Seam};
use ha_core::state::StateStorage;
use ha_core::{Error, ErrorKind, HaServices, ServicesOptions};
use ha_embedded::Embedded;

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Applied and answered.
    Pass,
    /// Applied; the answer is lost.
    LoseAnswer,
    /// Not delivered yet; the answer is lost. See [`Rig::deliver`].
    HoldBack,
    /// Applied, and the caller waits for ever.
    Hang,
    /// Never delivered, and the caller waits for ever.
    Vanish,
}

#[derive(Debug, Default)]
pub(crate) struct Rig {
    pub(crate) fates: Mutex<VecDeque<Fate>>,
    pub(crate) held_back: Mutex<Vec<Commit>>,
    pub(crate) fail_release: AtomicBool,
    pub(crate) hang_release: AtomicBool,
    pub(crate) hang_list: AtomicBool,
    pub(crate) fail_list: AtomicBool,
    pub(crate) mute_watch: AtomicBool,
    pub(crate) panic_acquire: AtomicBool,
    pub(crate) hang_acquire: AtomicBool,
    pub(crate) late_acquires: Mutex<Vec<(Arc<dyn Session>, Latch)>>,
    pub(crate) open_delay_ms: AtomicU64,
    pub(crate) opened: AtomicU64,
}

impl Rig {
    pub(crate) fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }
}

#[derive(Debug)]
pub(crate) struct Rigged {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) rig: Arc<Rig>,
    pub(crate) seam: Seam,
}

impl Rigged {
    pub(crate) fn new(store: &Embedded, seam: &Seam) -> (Arc<Self>, Arc<Rig>) {
        let rig = Arc::new(Rig::default());
        let inner: Arc<dyn Backend> = Arc::new(store.connect());
        (Arc::new(Self { inner, rig: Arc::clone(&rig), seam: seam.clone() }), rig)
    }

    /// Delivers what was held back, late.
    pub(crate) async fn deliver(&self) -> Vec<Outcome> {
        let held = std::mem::take(&mut *self.rig.held_back.lock().unwrap());
        let mut outcomes = Vec::new();
        for commit in held {
            outcomes.push(self.inner.commit(&commit).await.unwrap());
        }
        outcomes
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Indeterminate, "commit").because("the answer was lost on purpose")
}

#[async_trait]
impl Backend for Rigged {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }
    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.read(key).await
    }
    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        if self.rig.hang_list.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.rig.fail_list.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "list").because("failed on purpose"));
        }
        self.inner.list(below).await
    }
    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let change = self.inner.changed(scope, seen).await;
        if self.rig.mute_watch.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        change
    }
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let fate = self.rig.fates.lock().unwrap().pop_front().unwrap_or(Fate::Pass);
        match fate {
            Fate::Pass => self.inner.commit(commit).await,
            Fate::LoseAnswer => self.inner.commit(commit).await.and(Err(lost())),
            Fate::HoldBack => {
                self.rig.held_back.lock().unwrap().push(commit.clone());
                Err(lost())
            }
            Fate::Hang => {
                let _ = self.inner.commit(commit).await;
                std::future::pending().await
            }
            Fate::Vanish => std::future::pending().await,
        }
    }
    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let delay = self.rig.open_delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            self.seam.sleep(Duration::from_millis(delay)).await;
        }
        self.rig.opened.fetch_add(1, Ordering::SeqCst);
        let inner = self.inner.open_session(options).await?;
        Ok(Box::new(RiggedSession { inner: inner.into(), rig: Arc::clone(&self.rig) }))
    }
    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

#[derive(Debug)]
struct RiggedSession {
    inner: Arc<dyn Session>,
    rig: Arc<Rig>,
}

#[async_trait]
impl Session for RiggedSession {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        assert!(!self.rig.panic_acquire.swap(false, Ordering::SeqCst), "the rigged backend panics");
        if self.rig.hang_acquire.load(Ordering::SeqCst) {
            self.rig.late_acquires.lock().unwrap().push((Arc::clone(&self.inner), latch.clone()));
            std::future::pending::<()>().await;
        }
        self.inner.try_acquire(latch, holder, over).await
    }
    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        if self.rig.hang_release.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.rig.fail_release.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "release").at(latch));
        }
        self.inner.release(latch).await
    }
    fn valid_until(&self) -> Deadline {
        self.inner.valid_until()
    }
    async fn ended(&self) -> Ended {
        self.inner.ended().await
    }
    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

/// Long enough that a machine that stalls for two seconds takes nobody's leadership away.
pub(crate) const SILENCE: Duration = Duration::from_millis(2500);

pub(crate) fn options(label: &str) -> ServicesOptions {
    let session = SessionOptions { silence: SILENCE, label: label.into() };
    ServicesOptions { session, ..ServicesOptions::default() }
}

pub(crate) fn services_on(backend: Arc<dyn Backend>, seam: &Seam, label: &str) -> HaServices {
    let storage = StateStorage::open("memory://", seam.clone()).unwrap();
    HaServices::new(backend, storage, &options(label), seam.clone()).unwrap()
}

pub(crate) fn services(store: &Embedded, seam: &Seam, label: &str) -> HaServices {
    services_on(Arc::new(store.connect()), seam, label)
}

pub(crate) fn store() -> (Embedded, Seam) {
    let seam = Seam::system();
    (Embedded::new(seam.clone()), seam)
}

pub(crate) async fn within<T>(seam: &Seam, what: &str, future: impl Future<Output = T>) -> T {
    match seam.timeout(Duration::from_secs(60), future).await {
        Some(value) => value,
        None => panic!("not within a minute: {what}"),
    }
}

pub(crate) async fn until(seam: &Seam, what: &str, holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            seam.sleep(Duration::from_millis(5)).await;
        }
    };
    within(seam, what, poll).await;
}

/// The session that holds a latch.
pub(crate) fn holder(store: &Embedded) -> String {
    store.sessions().into_iter().find(|s| !s.holds.is_empty()).expect("somebody leads").id
}
