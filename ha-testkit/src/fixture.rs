//! What cases are written in: a namespace with several handles, and the words for it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use ha_core::Error;
use ha_core::backend::{
    Acquire, Backend, Commit, Entry, Expect, Fence, Key, Latch, Outcome, Prefix, Revision, Session, SessionOptions,
    Term,
};
use ha_core::seam::{Seam, Task};
use tokio::sync::oneshot;

use crate::factory::Store;

/// What a case works on: a namespace of its own, and the words that cases are written in.
///
/// Every method that has to succeed for the case to make sense panics with the reason otherwise.
#[derive(Clone)]
pub struct Fixture {
    store: Arc<dyn Store>,
    seam: Seam,
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture").field("seam", &self.seam).finish_non_exhaustive()
    }
}

impl Fixture {
    /// A fixture on that namespace.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let seam = store.seam();
        Self { store, seam }
    }

    /// The hooks.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Time, randomness and tasks.
    #[must_use]
    pub fn seam(&self) -> &Seam {
        &self.seam
    }

    /// One more handle.
    pub async fn connect(&self) -> Arc<dyn Backend> {
        self.store.connect().await.expect("a handle on the namespace")
    }

    /// A session with the fixture's silence.
    pub async fn session(&self, backend: &Arc<dyn Backend>) -> Arc<dyn Session> {
        let options = SessionOptions { silence: self.store.silence(), label: "conformance".into() };
        Arc::from(backend.open_session(&options).await.expect("a session"))
    }

    /// A leader: a session that has just won the latch, and its term.
    pub async fn leader(&self, backend: &Arc<dyn Backend>, latch: &Latch) -> (Arc<dyn Session>, Term) {
        let session = self.session(backend).await;
        let term = won(session.try_acquire(latch, "leader".into(), None).await);
        (session, term)
    }

    /// Waits until another session wins the latch, and answers it with its term.
    pub async fn successor(&self, backend: &Arc<dyn Backend>, latch: &Latch) -> (Arc<dyn Session>, Term) {
        let session = self.session(backend).await;
        let attempt = async {
            loop {
                match session.try_acquire(latch, "successor".into(), None).await.expect("an attempt on the latch") {
                    Acquire::Won(term) => return term,
                    Acquire::Held { wait, seen, .. } => {
                        backend.changed(&wait, &seen).await.expect("a wait for the latch");
                    }
                }
            }
        };
        let term = self.in_time("a successor wins the latch", attempt).await;
        (session, term)
    }

    /// A commit with a fresh identity.
    #[must_use]
    pub fn new_commit(&self) -> Commit {
        Commit::new(self.seam.write_id())
    }

    /// Stores a value where nothing is, and answers its revision.
    pub async fn create(&self, backend: &Arc<dyn Backend>, at: &str, value: &str) -> Revision {
        self.put(backend, at, Expect::Absent, value).await
    }

    /// Stores a value where the expectation holds, and answers its revision.
    pub async fn put(&self, backend: &Arc<dyn Backend>, at: &str, expect: Expect, value: &str) -> Revision {
        let commit = self.new_commit().put(key(at), expect, text(value));
        applied(backend.commit(&commit).await)[0]
    }

    /// Removes the value of that revision.
    pub async fn remove(&self, backend: &Arc<dyn Backend>, at: &str, revision: Revision) {
        applied(backend.commit(&self.new_commit().remove(key(at), revision)).await);
    }

    /// Everything below a place.
    pub async fn list(&self, backend: &Arc<dyn Backend>, below: &str) -> Vec<Entry> {
        backend.list(&prefix(below)).await.expect("a list").entries
    }

    /// The keys and values below a place, as text.
    pub async fn texts(&self, backend: &Arc<dyn Backend>, below: &str) -> Vec<(String, String)> {
        let entries = self.list(backend, below).await;
        let as_text = |e: &Entry| (e.key.to_string(), String::from_utf8_lossy(&e.value).into_owned());
        entries.iter().map(as_text).collect()
    }

    /// Waits for something that must come to pass; panics with `what` if it does not.
    pub async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let patience = self.store.patience() + self.store.silence();
        match self.seam.timeout(patience, future).await {
            Some(output) => output,
            None => panic!("waited {patience:?} in vain: {what}"),
        }
    }

    /// Waits until the predicate holds; panics with `what` if it does not.
    pub async fn eventually<F: Future<Output = bool>>(&self, what: &str, mut predicate: impl FnMut() -> F) {
        self.in_time(what, async {
            while !predicate().await {
                self.seam.sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Runs something beside the case, ended when the answer is dropped.
    pub fn go<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Going<T> {
        let (done, output) = oneshot::channel();
        let task = self.seam.spawn(async move {
            // If the case has ended, nobody waits for the answer.
            let _ = done.send(AssertUnwindSafe(future).catch_unwind().await);
        });
        Going { output, _task: task }
    }
}

/// What [`Fixture::go`] has set going. Awaiting it gives its output, or panics as it has.
#[derive(Debug)]
pub struct Going<T> {
    output: oneshot::Receiver<std::thread::Result<T>>,
    _task: Task,
}

impl<T> Future for Going<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.output.poll_unpin(context).map(|output| match output {
            Ok(Ok(output)) => output,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => panic!("the runtime ended a task of the case"),
        })
    }
}

/// A key that is valid by the look of it.
#[must_use]
pub fn key(text: &str) -> Key {
    Key::new(text).expect("a valid key")
}

/// A prefix that is valid by the look of it.
#[must_use]
pub fn prefix(text: &str) -> Prefix {
    Prefix::new(text).expect("a valid prefix")
}

/// The latch below a place.
#[must_use]
pub fn latch(at: &str) -> Latch {
    Latch::below(&prefix(at))
}

/// The guard "this latch is held under this term".
#[must_use]
pub fn fence(latch: &Latch, term: &Term) -> Fence {
    Fence { latch: latch.clone(), term: term.clone() }
}

/// A value.
#[must_use]
pub fn text(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

/// The revisions of a commit that must have been applied.
#[track_caller]
pub fn applied(outcome: Result<Outcome, Error>) -> Vec<Revision> {
    match outcome {
        Ok(Outcome::Applied { revisions }) => revisions,
        other => panic!("the commit must be applied, and was answered with {other:?}"),
    }
}

/// What a commit that must be in conflict has found, and where.
#[track_caller]
pub fn conflict(outcome: Result<Outcome, Error>) -> (Key, Option<Entry>) {
    match outcome {
        Ok(Outcome::Conflict { key, found }) => (key, found),
        other => panic!("the commit must be in conflict, and was answered with {other:?}"),
    }
}

/// The term of an attempt that must have won.
#[track_caller]
pub fn won(attempt: Result<Acquire, Error>) -> Term {
    match attempt {
        Ok(Acquire::Won(term)) => term,
        other => panic!("the attempt must win the latch, and was answered with {other:?}"),
    }
}
