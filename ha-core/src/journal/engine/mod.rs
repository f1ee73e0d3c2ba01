//! What runs behind one handle on a journal.
//!
//! *Callers* put operations into a queue. The *writer* makes one entry of all that waits, publishes it under the next
//! number, and answers each of them when the entry is applied. The *reader* reads on, when it is hinted at something
//! new or when somebody wants to know the end. Whoever of the two first has the entry of the next number applies it,
//! under the one lock; nothing is awaited under that lock. The *guardian* judges silence and acts on evidence; the
//! *maker* makes snapshots and sweeps, off the way of commits.

mod core;
mod guardian;
mod load;
mod maker;
mod own;
mod queue;
mod reader;
mod sessions;
mod silence;
mod writer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use self::core::{Core, Signals};
use self::queue::Submission;
use super::options::{ENTRY_BYTES_MAX, profile};
use super::{Answer, Journal, JournalOptions, Operation, State};
use crate::backend::{EarlyEnd, Evidence, Profile, ReadGuarantee};
use crate::seam::{Seam, Task};
use crate::{Error, ErrorKind};

pub(super) use self::own::Cell;

/// No single call of the device is waited for longer. A hung file system then says so instead of hanging everybody.
const DEVICE_PATIENCE: Duration = Duration::from_secs(30);
/// How long whoever found a snapshot gone waits before it lists them anew.
const LOAD_PAUSE: Duration = Duration::from_millis(5);
/// How long closing waits for what is under way.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// What runs behind one handle. Its tasks hold it, and are held by [`Running`].
pub(super) struct Engine {
    pub(super) device: Arc<dyn Journal>,
    pub(super) seam: Seam,
    pub(super) profile: Profile,
    options: JournalOptions,
    journal: u128,
    /// The device shows no certain end: only an entry of one's own does.
    ends_by_barrier: bool,
    /// And reads want to know it. They may be content with what was seen; see [`JournalOptions::reads`].
    reads_by_barrier: bool,
    signals: Arc<Signals>,
    core: Mutex<Core>,
    /// How many batches were answered.
    batches: watch::Sender<u64>,
    closed: watch::Sender<bool>,
}

impl Engine {
    fn new(device: Arc<dyn Journal>, seam: Seam, options: JournalOptions) -> Result<Self, Error> {
        let told = device.profile();
        if told.entry_bytes_max < ENTRY_BYTES_MAX {
            let why =
                format!("{} takes entries of {} bytes; {ENTRY_BYTES_MAX} are needed", told.name, told.entry_bytes_max);
            return Err(Error::new(ErrorKind::Unsupported, "open a journal").because(why));
        }
        let evidence = if device.witness().is_some() { Evidence::Own } else { Evidence::Wanted };
        let ends_by_barrier = told.reads != ReadGuarantee::Linearizable;
        let reads = if ends_by_barrier { options.reads } else { ReadGuarantee::Linearizable };
        let profile = profile(told.name, reads);
        let profile = profile.with_early_ends([EarlyEnd::Evidence, EarlyEnd::Operator]).with_evidence(evidence);
        let journal = device.identity();
        let core = Core::new(State::new(journal, options));
        Ok(Self {
            ends_by_barrier,
            reads_by_barrier: ends_by_barrier && reads == ReadGuarantee::Linearizable,
            device,
            seam,
            profile,
            options,
            journal,
            signals: Arc::clone(&core.signals),
            core: Mutex::new(core),
            batches: watch::Sender::new(0),
            closed: watch::Sender::new(false),
        })
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        // No step under the lock leaves the core half-changed when it panics, so poison says nothing.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one call of the device, but not for ever.
    async fn bounded<T>(&self, what: &'static str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let answer = self.seam.timeout(DEVICE_PATIENCE, call).await;
        answer.unwrap_or_else(|| {
            let why = format!("the device has not answered for {DEVICE_PATIENCE:?}");
            Err(Error::new(ErrorKind::Unavailable, what).because(why))
        })
    }

    pub(super) fn check_open(&self, operation: &'static str) -> Result<(), Error> {
        self.core().check_open(operation)
    }

    /// Has an operation stand in the journal, and answers what became of it.
    pub(super) async fn ask(&self, name: &'static str, operation: Option<Operation>) -> Result<Option<Answer>, Error> {
        let sent = self.seam.now();
        operation.iter().try_for_each(Operation::check)?;
        let (submission, answer) = Submission::new(operation, false, sent);
        {
            let mut core = self.core();
            core.check_open(name)?;
            core.queue.admit(name)?;
            core.queue.push(submission);
        }
        self.signals.submitted.notify_one();
        answer.await.unwrap_or_else(|_| Err(gone(name)))
    }

    /// Knows the end of the journal, as it is after this was called.
    pub(super) async fn know_the_end(&self, operation: &'static str) -> Result<(), Error> {
        self.know(operation, self.ends_by_barrier).await
    }

    /// Knows as much of the journal as a read is said to be worth.
    pub(super) async fn look(&self, operation: &'static str) -> Result<(), Error> {
        self.know(operation, self.reads_by_barrier).await
    }

    async fn know(&self, operation: &'static str, by_barrier: bool) -> Result<(), Error> {
        if by_barrier {
            return self.ask(operation, None).await.map(drop);
        }
        self.check_open(operation)?;
        self.read_to_the_end().await
    }

    pub(super) fn is_closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Wakes the reader for those who begin to wait for changes.
    pub(super) fn attend(&self) {
        self.signals.wanted.notify_one();
    }
}

impl Core {
    pub(super) fn check_open(&self, operation: &'static str) -> Result<(), Error> {
        if self.closed {
            return Err(closed(operation));
        }
        self.broken.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }
}

pub(super) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation).because("the backend handle was closed; connect again")
}

/// The answer is gone with the engine. What it asked for may have happened.
fn gone(operation: &'static str) -> Error {
    Error::new(ErrorKind::Indeterminate, operation).because("the handle ended while it was under way")
}

/// An engine and its tasks. When the last one who holds it lets go, its sessions are ended and its tasks stop.
pub(super) struct Running {
    pub(super) engine: Arc<Engine>,
    tasks: Mutex<Vec<Task>>,
    writer: Mutex<Option<Task>>,
}

impl Running {
    /// Loads the newest snapshot, reads to the end, and begins to follow.
    pub(super) async fn start(
        device: Arc<dyn Journal>,
        seam: Seam,
        options: JournalOptions,
    ) -> Result<Arc<Self>, Error> {
        let engine = Arc::new(Engine::new(device, seam, options)?);
        engine.load_newest(true).await?;
        engine.read_on().await?;
        let seam = engine.seam.clone();
        let tasks = vec![
            seam.spawn_critical(reader::follow(Arc::clone(&engine))),
            seam.spawn_critical(guardian::guard(Arc::clone(&engine))),
            // What takes long in it is computed elsewhere. The application's runtime may be blocked, or gone.
            seam.spawn_critical(maker::make(Arc::clone(&engine))),
        ];
        let writer = seam.spawn_critical(writer::write(Arc::clone(&engine)));
        Ok(Arc::new(Self { engine, tasks: Mutex::new(tasks), writer: Mutex::new(Some(writer)) }))
    }

    /// Ends the handle's sessions in order, sends home who waits, and stops.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let ends = self.engine.end_all();
        let seam = &self.engine.seam;
        let told = seam.timeout(CLOSE_PATIENCE, async {
            let mut last = Ok(());
            for end in ends {
                if let Ok(Err(error)) = end.await {
                    last = Err(error);
                }
            }
            self.engine.drained().await;
            last
        });
        let told = told.await.unwrap_or_else(|| {
            let why = "the device did not answer in time; sessions end by silence";
            Err(Error::new(ErrorKind::Unavailable, "close").because(why))
        });
        self.stop();
        let _ = seam.timeout(CLOSE_PATIENCE, self.engine.device.close()).await;
        told
    }

    fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(self.writer.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.engine.abandon();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The writer sends the ends of the sessions yet, and goes when its queue is empty: nothing is let in any
        // more, and each call of the device is bounded.
        drop(self.engine.end_all());
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            writer.detach();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.engine.core();
        f.debug_struct("Engine")
            .field("device", &self.engine.device)
            .field("state", &core.state)
            .finish_non_exhaustive()
    }
}

/// How one batch ended, for whoever waits until all is done.
impl Engine {
    fn batch_done(&self) {
        self.batches.send_modify(|batches| *batches += 1);
    }

    /// Returns when nothing waits and nothing is under way.
    async fn drained(&self) {
        let mut batches = self.batches.subscribe();
        loop {
            {
                let core = self.core();
                if core.queue.is_empty() && core.in_flight.is_none() {
                    return;
                }
            }
            // The sender lives in `self`.
            let _ = batches.changed().await;
        }
    }

    /// Answers whoever still waits, after the tasks were stopped.
    fn abandon(&self) {
        let mut core = self.core();
        let now = self.seam.now();
        core.stopped = true;
        core.fail_in_flight(&gone("close"), now);
        for submission in core.queue.take(usize::MAX, usize::MAX) {
            core.refuse(submission, Err(closed("close")), now);
        }
    }
}

fn not_computed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation).because("the system gave no thread for it, or it broke off")
}

/// A reply that no operation of that kind gets.
pub(super) fn unexpected(operation: &'static str, reply: &Option<Answer>) -> Error {
    Error::new(ErrorKind::Indeterminate, operation).because(format!("the journal answered {reply:?}"))
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("device", &self.device).finish_non_exhaustive()
    }
}
