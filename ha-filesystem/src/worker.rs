use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use ha_core::{Error, ErrorKind};
use tokio::sync::oneshot;

/// How many steps may wait for a thread. The protocol keeps a handful under way; more is a disk that stands still.
const WAITING_MAX: usize = 1024;

type Step<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread of its own that does blocking steps one after the other. It needs no runtime, so no application can starve
/// it; at rest it sleeps. It ends, by itself, after the last step when this value is dropped.
pub(crate) struct Worker<S> {
    steps: SyncSender<Step<S>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The step was not begun, and will not be.
    NotBegun(Error),
    /// It was begun, perhaps done; the thread is gone.
    Unknown,
}

impl<S: Send + 'static> Worker<S> {
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(name: &str, mut state: S) -> Result<Self, Error> {
        let (steps, waiting): (SyncSender<Step<S>>, Receiver<Step<S>>) = sync_channel(WAITING_MAX);
        let serve = move || {
            while let Ok(step) = waiting.recv() {
                step(&mut state);
            }
        };
        Builder::new().name(name.into()).spawn(serve).map_err(no_thread)?;
        Ok(Self { steps })
    }

    /// Does a step there, then what need not be waited for.
    ///
    /// # Cancel safety
    /// After a drop the step is done all the same.
    pub(crate) async fn run_then<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut S) -> T + Send + 'static,
        after: impl FnOnce(&mut S) + Send + 'static,
    ) -> Result<T, Lost> {
        let (answer, answered) = oneshot::channel();
        let whole = Box::new(move |state: &mut S| {
            // Nobody waits any more: the step counts all the same.
            let _ = answer.send(step(state));
            after(state);
        });
        self.steps.try_send(whole).map_err(|error| {
            let why = match error {
                TrySendError::Full(_) => "too much waits for the disk already: it stands still, or is far too slow",
                TrySendError::Disconnected(_) => "its thread is gone: open the store anew",
            };
            Lost::NotBegun(Error::new(ErrorKind::Unavailable, "use the journal").because(why))
        })?;
        answered.await.map_err(|_| Lost::Unknown)
    }

    /// Does a step there that may be done again.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut S) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match self.run_then(step, |_| ()).await {
            Ok(answer) => answer,
            Err(Lost::NotBegun(error)) => Err(error),
            Err(Lost::Unknown) => {
                let why = "its thread is gone: open the store anew";
                Err(Error::new(ErrorKind::Unavailable, "use the journal").because(why))
            }
        }
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "start a thread").because("the system gives none").caused_by(error)
}

/// Does one thing on a thread that ends with it.
pub(crate) async fn once<T: Send + 'static>(
    name: &str,
    step: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    Worker::start(name, ())?.run(move |()| step()).await
}
