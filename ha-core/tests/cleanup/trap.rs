//! A store and a state storage that stop, fail or hold up a process at any call.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use ha_core::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term,
};
use ha_core::seam::Deadline;
use ha_core::{Error, ErrorKind};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::sync::Notify;

/// What happens at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails; nothing was done. The next succeed.
    Fail,
    /// It is done, and its answer is lost. The next succeed.
    LoseAnswer,
    /// The process ends before it.
    CrashBefore,
    /// The process ends after it was done.
    CrashAfter,
    /// It waits for [`Trap::go_on`], and is done then.
    Hold,
}

/// The one faulty call of a process, counted over backend and state storage.
#[derive(Debug, Default)]
pub(crate) struct Trap {
    calls: AtomicUsize,
    armed: Mutex<Option<(usize, Fault)>>,
    dead: AtomicBool,
    pub(crate) crashed: Notify,
    /// What was written or deleted, in order.
    pub(crate) log: Mutex<Vec<String>>,
    /// Commits that put below this place wait for [`Trap::open`].
    gate: Mutex<Option<String>>,
    waiting: AtomicUsize,
    opened: Notify,
    /// What waited at the gate, to be delivered late.
    pub(crate) held_back: Mutex<Vec<Commit>>,
    /// No news arrive any more.
    pub(crate) deaf: AtomicBool,
    keep_failing: AtomicBool,
    hang_close: AtomicBool,
    hang_release: AtomicBool,
    holds: AtomicBool,
    go_on: Notify,
}

enum Way {
    Go,
    Fail,
    DoAndFail,
    DoAndCrash,
}

impl Trap {
    /// The n-th call from now on, the first being 1, goes wrong.
    pub(crate) fn arm(&self, nth: usize, fault: Fault) {
        self.calls.store(0, Ordering::SeqCst);
        *self.armed.lock().unwrap() = Some((nth, fault));
    }

    /// From the armed call on, every one goes wrong.
    pub(crate) fn keep_failing(&self) {
        self.keep_failing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn hang_close(&self) {
        self.hang_close.store(true, Ordering::SeqCst);
    }

    pub(crate) fn hang_release(&self) {
        self.hang_release.store(true, Ordering::SeqCst);
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether the armed call waits, or has waited.
    pub(crate) fn holds(&self) -> bool {
        self.holds.load(Ordering::SeqCst)
    }

    pub(crate) fn go_on(&self) {
        self.go_on.notify_one();
    }

    pub(crate) fn close_gate(&self, below: &str) {
        *self.gate.lock().unwrap() = Some(below.to_owned());
    }

    pub(crate) fn open(&self) {
        *self.gate.lock().unwrap() = None;
        self.opened.notify_waiters();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    async fn pass(&self, commit: &Commit) {
        loop {
            let opened = self.opened.notified();
            let closed = self.gate.lock().unwrap().clone().is_some_and(|below| {
                commit.writes.iter().any(|write| write.value.is_some() && write.key.as_str().contains(&below))
            });
            if !closed {
                return;
            }
            self.held_back.lock().unwrap().push(commit.clone());
            self.waiting.fetch_add(1, Ordering::SeqCst);
            opened.await;
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn crash(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.crashed.notify_one();
        std::future::pending().await
    }

    async fn step(&self) -> Way {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let armed = *self.armed.lock().unwrap();
        let goes_on = self.keep_failing.load(Ordering::SeqCst);
        match armed.filter(|(nth, _)| *nth == number || (goes_on && number > *nth)).map(|(_, fault)| fault) {
            None => Way::Go,
            Some(Fault::Fail) => Way::Fail,
            Some(Fault::LoseAnswer) => Way::DoAndFail,
            Some(Fault::CrashAfter) => Way::DoAndCrash,
            Some(Fault::CrashBefore) => {
                self.crash().await;
                Way::Fail
            }
            Some(Fault::Hold) => {
                self.holds.store(true, Ordering::SeqCst);
                self.go_on.notified().await;
                Way::Go
            }
        }
    }

    async fn call<T, E>(
        &self,
        failed: impl Fn() -> E,
        lost: impl Fn() -> E,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match self.step().await {
            Way::Go => call.await,
            Way::Fail => Err(failed()),
            Way::DoAndFail => call.await.and_then(|_| Err(lost())),
            Way::DoAndCrash => {
                let done = call.await;
                self.crash().await;
                done
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Trapped {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) trap: Arc<Trap>,
}

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "call").because("failed for the test")
}

fn lost() -> Error {
    Error::new(ErrorKind::Indeterminate, "commit").because("lost for the test")
}

#[async_trait]
impl Backend for Trapped {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }
    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.trap.call(unavailable, unavailable, self.inner.read(key)).await
    }
    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.trap.call(unavailable, unavailable, self.inner.list(below)).await
    }
    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let change = self.inner.changed(scope, seen).await;
        if self.trap.deaf.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        change
    }
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.trap.pass(commit).await;
        let call = async {
            let outcome = self.inner.commit(commit).await;
            if matches!(outcome, Ok(Outcome::Applied { .. })) {
                let removed = commit.writes.iter().filter(|write| write.value.is_none());
                self.trap.log.lock().unwrap().extend(removed.map(|write| format!("pointer {}", write.key)));
            }
            outcome
        };
        self.trap.call(unavailable, lost, call).await
    }
    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Oblivious(self.inner.open_session(options).await?, Arc::clone(&self.trap))))
    }
    async fn close(&self) -> Result<(), Error> {
        if self.trap.hang_close.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.close().await
    }
}

/// The session of a process that never learns that it is over, as if it had been paused.
#[derive(Debug)]
struct Oblivious(Box<dyn Session>, Arc<Trap>);

#[async_trait]
impl Session for Oblivious {
    fn id(&self) -> &str {
        self.0.id()
    }
    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        self.0.try_acquire(latch, holder, over).await
    }
    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        if self.1.hang_release.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.0.release(latch).await
    }
    fn valid_until(&self) -> Deadline {
        Deadline::NEVER
    }
    async fn ended(&self) -> Ended {
        std::future::pending().await
    }
    async fn close(&self) -> Result<(), Error> {
        if self.1.hang_release.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.0.close().await
    }
}

/// A state storage behind the same trap. Only what collects and cleans up is counted: lists and deletions.
#[derive(Debug)]
pub(crate) struct TrappedStates {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) trap: Arc<Trap>,
}

impl std::fmt::Display for TrappedStates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("trapped")
    }
}

fn broken() -> object_store::Error {
    object_store::Error::Generic { store: "test", source: "failed for the test".into() }
}

#[async_trait]
impl ObjectStore for TrappedStates {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }
    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let (inner, trap) = (Arc::clone(&self.inner), Arc::clone(&self.trap));
        let delete = move |location: object_store::Result<Path>| {
            let (inner, trap) = (Arc::clone(&inner), Arc::clone(&trap));
            async move {
                let location = location?;
                let call = async {
                    inner.delete(&location).await?;
                    trap.log.lock().unwrap().push(format!("state {location}"));
                    Ok(location.clone())
                };
                trap.call(broken, broken, call).await
            }
        };
        locations.then(delete).boxed()
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (inner, trap, prefix) = (Arc::clone(&self.inner), Arc::clone(&self.trap), prefix.cloned());
        let listed = async move {
            let call = async { Ok(inner.list(prefix.as_ref()).collect::<Vec<_>>().await) };
            let listed = trap.call(broken, broken, call).await;
            stream::iter(listed.unwrap_or_else(|error| vec![Err(error)]))
        };
        stream::once(listed).flatten().boxed()
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
