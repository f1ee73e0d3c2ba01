//! How a listener is told: one task, begun once, ended in order.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use super::{Leader, LeaderRetrievalListener, LeaderView, LeaderWatch};
use crate::seam::{Seam, Task};
use crate::{Error, ErrorKind};

/// How long stopping waits for a listener that does not return.
const STOP_MAX: Duration = Duration::from_secs(1);

/// The one listener of a retrieval.
#[derive(Debug, Default)]
pub(super) struct Listening {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    New,
    Running {
        stop: watch::Sender<bool>,
        done: watch::Receiver<bool>,
        _task: Task,
    },
    Stopped,
}

impl Listening {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(
        &self,
        seam: &Seam,
        listener: Arc<dyn LeaderRetrievalListener>,
        watch: impl FnOnce() -> LeaderWatch,
    ) -> Result<(), Error> {
        let mut state = self.state();
        if !matches!(*state, State::New) {
            return Err(Error::new(ErrorKind::IllegalState, "start leader retrieval")
                .because("it was started before; get another retrieval for another listener"));
        }
        let (stop, stopped) = watch::channel(false);
        let (finished, done) = watch::channel(false);
        let notifier = Notifier { watch: watch(), listener, stopped, told: None, error: None };
        let task = seam.spawn(async move {
            notifier.run().await;
            finished.send_replace(true);
        });
        *state = State::Running { stop, done, _task: task };
        Ok(())
    }

    pub(super) async fn stop(&self, seam: &Seam) {
        let before = std::mem::replace(&mut *self.state(), State::Stopped);
        let State::Running { stop, mut done, _task } = before else { return };
        stop.send_replace(true);
        // Late or gone: the task is ended when it is dropped here.
        let _ = seam.timeout(STOP_MAX, done.wait_for(|done| *done)).await;
    }
}

struct Notifier {
    watch: LeaderWatch,
    listener: Arc<dyn LeaderRetrievalListener>,
    stopped: watch::Receiver<bool>,
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
