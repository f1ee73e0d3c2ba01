use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;

use super::follower::SharedFollower;
use super::{Leader, LeaderView, LeaderWatch};
use crate::backend::{Key, Latch};
use crate::formats::Formats;
use crate::names::layout;
use crate::seam::{Seam, Task};
use crate::{ComponentId, Error, ErrorKind};

/// Somebody who is told who leads. Flink's `LeaderRetrievalListener`.
///
/// Calls come one at a time, and only for true changes. A panic in one is logged; the next follows.
#[async_trait]
pub trait LeaderRetrievalListener: Send + Sync + 'static {
    /// Who leads now; `None`: nobody, or it is unknown. Wait for the next call then.
    async fn notify_leader(&self, leader: Option<Leader>);
    /// The leader cannot be found out for a reason that should be looked into. Told once per
    /// reason; the retrieval goes on.
    async fn handle_error(&self, error: Error);
}

/// Retrieval of one component's leader. Flink's `LeaderRetrievalService`, and the Rust face beside it.
#[async_trait]
pub trait LeaderRetrieval: fmt::Debug + Send + Sync {
    /// A subscription. Any number may be had, before and after [`LeaderRetrieval::start`].
    fn watch(&self) -> LeaderWatch;

    /// Tells the listener who leads now and whenever that changes.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalState`]: started already. One retrieval serves one listener, once.
    fn start(&self, listener: Arc<dyn LeaderRetrievalListener>) -> Result<(), Error>;

    /// Ends the listener's notifications: none reaches it after this returns, unless it does not
    /// return from one that is under way within a second. A second call does nothing.
    ///
    /// # Cancel safety
    /// No further notification begins.
    async fn stop(&self);
}

/// The one implementation of [`LeaderRetrieval`] over backends.
#[derive(Debug)]
pub(crate) struct DefaultLeaderRetrieval {
    follower: Arc<SharedFollower>,
    latch: Latch,
    info_key: Key,
    unknown_after: Duration,
    formats: Formats,
    seam: Seam,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    New,
    Running { stop: tokio::sync::watch::Sender<bool>, done: tokio::sync::watch::Receiver<bool>, _task: Task },
    Stopped,
}

/// How long stopping waits for a listener that does not return.
const STOP_MAX: Duration = Duration::from_secs(1);

impl DefaultLeaderRetrieval {
    pub(crate) fn new(
        follower: Arc<SharedFollower>,
        latch: Latch,
        component: &ComponentId,
        unknown_after: Duration,
        formats: Formats,
        seam: Seam,
    ) -> Self {
        let info_key = layout::connection_info(&latch, component);
        Self { follower, latch, info_key, unknown_after, formats, seam, state: Mutex::new(State::New) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LeaderRetrieval for DefaultLeaderRetrieval {
    fn watch(&self) -> LeaderWatch {
        let (latch, info_key) = (self.latch.clone(), self.info_key.clone());
        LeaderWatch::new(self.follower.get(), latch, info_key, self.unknown_after, self.formats, self.seam.clone())
    }

    fn start(&self, listener: Arc<dyn LeaderRetrievalListener>) -> Result<(), Error> {
        let mut state = self.state();
        if !matches!(*state, State::New) {
            return Err(Error::new(ErrorKind::IllegalState, "start leader retrieval")
                .at(&self.info_key)
                .because("it was started before; get another retrieval for another listener"));
        }
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (finished, done) = tokio::sync::watch::channel(false);
        let notifier = Notifier { watch: self.watch(), listener, stopped, told: None, error: None };
        let task = self.seam.spawn(async move {
            notifier.run().await;
            finished.send_replace(true);
        });
        *state = State::Running { stop, done, _task: task };
        Ok(())
    }

    async fn stop(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Stopped);
        let State::Running { stop, mut done, _task } = before else { return };
        stop.send_replace(true);
        // Late or gone: the task is ended when it is dropped here.
        let _ = self.seam.timeout(STOP_MAX, done.wait_for(|done| *done)).await;
    }
}

struct Notifier {
    watch: LeaderWatch,
    listener: Arc<dyn LeaderRetrievalListener>,
    stopped: tokio::sync::watch::Receiver<bool>,
    /// The leader that the listener was told of last.
    told: Option<Leader>,
    /// The error that the listener was told of last.
    error: Option<String>,
}

impl Notifier {
    async fn run(mut self) {
        loop {
            let look_again = self.watch.look();
            if *self.stopped.borrow() {
                return;
            }
            if self.tell().await {
                continue;
            }
            let mut stopped = self.stopped.clone();
            tokio::select! {
                biased;
                // An error says that the retrieval itself is gone.
                stopped = stopped.changed() => if stopped.is_err() { return },
                () = self.watch.wait(look_again) => {}
            }
        }
    }

    /// Tells what is new; whether there was something.
    async fn tell(&mut self) -> bool {
        let error = self.watch.error().cloned();
        let text = error.as_ref().map(ToString::to_string);
        if text != self.error {
            self.error = text;
            if let Some(error) = error.filter(is_worth_telling) {
                self.isolated(async { self.listener.handle_error(error).await }).await;
                return true;
            }
        }
        let leader = match self.watch.shown() {
            LeaderView::Leader(leader) => Some(leader.clone()),
            LeaderView::Unknown | LeaderView::Vacant => None,
        };
        if leader == self.told {
            return false;
        }
        self.told.clone_from(&leader);
        self.isolated(async { self.listener.notify_leader(leader).await }).await;
        true
    }

    async fn isolated(&self, call: impl Future<Output = ()>) {
        if AssertUnwindSafe(call).catch_unwind().await.is_err() {
            tracing::error!(watch = ?self.watch, "a leader retrieval listener panicked; the retrieval goes on");
        }
    }
}

/// A store that cannot be reached for a while is no error for a listener: it is told `None` when
/// that lasts.
fn is_worth_telling(error: &Error) -> bool {
    error.kind() != ErrorKind::Unavailable
}
