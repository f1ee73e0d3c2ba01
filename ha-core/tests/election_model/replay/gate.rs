//! A store that answers when it is told to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Evidence, Key, Latch, Mark, Outcome, Prefix, Profile, Scope,
    Session, SessionOptions, Snapshot, Term,
};
use ha_core::seam::Deadline;
use ha_core::space::Space;
use tokio::sync::{oneshot, watch};

use super::hand::Hand;

/// The contract's own state machine, which all processes share.
pub(crate) type Stored = Arc<Mutex<Space>>;

/// A call that waits for its answer.
#[derive(Debug)]
pub(crate) enum Call {
    Acquire(Attempt, oneshot::Sender<Result<Acquire, Error>>),
    Release(Arc<str>, oneshot::Sender<Result<(), Error>>),
    Close(Arc<str>, oneshot::Sender<Result<(), Error>>),
    Commit(Commit, oneshot::Sender<Result<Outcome, Error>>),
    /// An elector waits for the latch.
    Wait(Scope, oneshot::Sender<Result<Change, Error>>),
    /// A follower waits for changes, or asks for everything.
    Follow(Scope, oneshot::Sender<Result<Change, Error>>),
}

#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) session: Arc<str>,
    pub(crate) latch: Latch,
    pub(crate) holder: Bytes,
    pub(crate) over: Option<Term>,
}

impl Call {
    fn is_gone(&self) -> bool {
        match self {
            Self::Acquire(_, reply) => reply.is_closed(),
            Self::Release(_, reply) | Self::Close(_, reply) => reply.is_closed(),
            Self::Commit(_, reply) => reply.is_closed(),
            Self::Wait(_, reply) | Self::Follow(_, reply) => reply.is_closed(),
        }
    }
}

/// What a session's owner knows of it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) id: Arc<str>,
    valid_until: AtomicU64,
    ended: watch::Sender<bool>,
}

impl Cell {
    pub(crate) fn set_valid_until(&self, at: Duration) {
        self.valid_until.store(at.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn tell_end(&self) {
        self.ended.send_replace(true);
    }
}

/// The handle of one life of a process.
#[derive(Debug)]
pub(crate) struct Gate {
    stored: Stored,
    name: String,
    calls: Mutex<Vec<Call>>,
    opened: Mutex<Vec<Arc<Cell>>>,
    dead: AtomicBool,
}

impl Gate {
    pub(crate) fn new(stored: &Stored, name: String) -> Arc<Self> {
        let (calls, opened) = (Mutex::default(), Mutex::default());
        Arc::new(Self { stored: Arc::clone(stored), name, calls, opened, dead: AtomicBool::new(false) })
    }

    pub(crate) fn space(&self) -> MutexGuard<'_, Space> {
        self.stored.lock().unwrap()
    }

    /// Nothing that this process does reaches anybody any more.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.calls.lock().unwrap().clear();
    }

    pub(crate) fn newest_session(&self) -> Option<Arc<Cell>> {
        self.opened.lock().unwrap().last().cloned()
    }

    pub(crate) fn has(&self, which: impl Fn(&Call) -> bool) -> bool {
        let mut calls = self.calls.lock().unwrap();
        calls.retain(|call| !call.is_gone());
        calls.iter().any(which)
    }

    pub(crate) fn take(&self, which: impl Fn(&Call) -> bool) -> Option<Call> {
        let mut calls = self.calls.lock().unwrap();
        calls.retain(|call| !call.is_gone());
        let at = calls.iter().position(which)?;
        Some(calls.remove(at))
    }

    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Call) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        if !self.dead.load(Ordering::SeqCst) {
            self.calls.lock().unwrap().push(call(reply));
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }

    async fn unless_dead(&self) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// What the services are given.
#[derive(Debug, Clone)]
pub(crate) struct Through(pub(crate) Arc<Gate>);

#[async_trait]
impl Backend for Through {
    fn profile(&self) -> Profile {
        Profile::new("gated", 1 << 16, 64, 1 << 20).with_evidence(Evidence::Own)
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.0.unless_dead().await;
        Ok(self.0.space().read(key))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let scope = Scope::Below(below.clone());
        match self.0.ask(|reply| Call::Follow(scope, reply)).await? {
            Change::Snapshot(snapshot) => Ok(snapshot),
            other => unreachable!("a follower is answered with a snapshot: {other:?}"),
        }
    }

    async fn changed(&self, scope: &Scope, _: &Mark) -> Result<Change, Error> {
        let asked = scope.clone();
        match scope {
            Scope::Key(_) => self.0.ask(|reply| Call::Wait(asked, reply)).await,
            _ => self.0.ask(|reply| Call::Follow(asked, reply)).await,
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.0.ask(|reply| Call::Commit(commit.clone(), reply)).await
    }

    async fn open_session(&self, _: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.0.unless_dead().await;
        let mut opened = self.0.opened.lock().unwrap();
        let id: Arc<str> = format!("{}-{}", self.0.name, opened.len()).into();
        self.0.space().open(Arc::clone(&id));
        let cell = Cell { id, valid_until: AtomicU64::new(u64::MAX >> 32), ended: watch::Sender::new(false) };
        opened.push(Arc::new(cell));
        let cell = Arc::clone(&opened[opened.len() - 1]);
        Ok(Box::new(GatedSession { gate: Arc::clone(&self.0), cell }))
    }

    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[derive(Debug)]
struct GatedSession {
    gate: Arc<Gate>,
    cell: Arc<Cell>,
}

#[async_trait]
impl Session for GatedSession {
    fn id(&self) -> &str {
        &self.cell.id
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let session = Arc::clone(&self.cell.id);
        let attempt = Attempt { session, latch: latch.clone(), holder, over: over.cloned() };
        self.gate.ask(|reply| Call::Acquire(attempt, reply)).await
    }

    async fn release(&self, _: &Latch) -> Result<(), Error> {
        self.gate.ask(|reply| Call::Release(Arc::clone(&self.cell.id), reply)).await
    }

    fn valid_until(&self) -> Deadline {
        Deadline::at(Hand::moment(Duration::from_secs(self.cell.valid_until.load(Ordering::SeqCst))))
    }

    async fn ended(&self) -> Ended {
        // The sender lives in the cell.
        let _ = self.cell.ended.subscribe().wait_for(|ended| *ended).await;
        Ended::Revoked
    }

    async fn close(&self) -> Result<(), Error> {
        self.gate.ask(|reply| Call::Close(Arc::clone(&self.cell.id), reply)).await
    }
}
