//! One thread that writes.
//!
//! A commit ends with an fsync, which takes milliseconds or, on a bad day, seconds. So it is done
//! neither on the application's runtime nor on the seam's thread that renews sessions, but on a thread
//! that the store owns. While it waits for the disk others queue up; the next transaction takes them all,
//! one after the other, with one fsync.

use std::fmt;
use std::sync::Arc;

use ha_core::{Error, ErrorKind};
use tokio::sync::{mpsc, oneshot};

use crate::core::{Core, closed};
use crate::tables::Tables;

/// How many may queue up; more wait with their callers.
const QUEUE_MAX: usize = 1024;
/// How many go into one transaction.
const BATCH_MAX: usize = 256;

/// Something to do in a transaction, and somebody who waits for its answer.
trait Step: Send {
    fn act(&mut self, tables: &mut Tables<'_>) -> Result<(), Error>;
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Asked<T, A> {
    act: Option<A>,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T: Send, A: FnOnce(&mut Tables<'_>) -> Result<T, Error> + Send> Step for Asked<T, A> {
    fn act(&mut self, tables: &mut Tables<'_>) -> Result<(), Error> {
        self.result = self.act.take().map(|act| act(tables)).transpose()?;
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { result, answer, .. } = *self;
        if let Some(told) = committed.map(|()| result).transpose() {
            // If the future was dropped, nobody wants to know.
            let _ = answer.send(told);
        }
    }
}

/// The way to the thread, which ends when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    steps: mpsc::Sender<Box<dyn Step>>,
}

impl Writer {
    pub(crate) fn start(core: &Arc<Core>) -> Result<Self, Error> {
        let (steps, queue) = mpsc::channel(QUEUE_MAX);
        let core = Arc::clone(core);
        let thread = std::thread::Builder::new().name("redb-writer".into()).spawn(move || write_all(&core, queue));
        // Not joined: it ends by itself when all handles are gone, after what they have asked for.
        thread.map_err(|error| Error::new(ErrorKind::Unavailable, "open").because("no thread").caused_by(error))?;
        Ok(Self { steps })
    }

    // guide: write
    /// Does something in a transaction. The answer comes when it is on the disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&mut Tables<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let step = Asked { act: Some(act), result: None, answer };
        self.steps.send(Box::new(step)).await.map_err(|_| closed())?;
        // From here on it may be applied, whether this future is dropped or the thread dies.
        answered.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Indeterminate, operation).because("the writer ended without an answer"))
        })
    }
    // guide: end

    /// Has the latches of sessions that are over freed, without waiting for it. If the queue is full
    /// the next transaction is on its way anyhow.
    pub(crate) fn poke(&self) {
        let (answer, _) = oneshot::channel();
        let nothing = |_: &mut Tables<'_>| Ok(());
        let _ = self.steps.try_send(Box::new(Asked { act: Some(nothing), result: None, answer }));
    }
}

// guide: batch
fn write_all(core: &Core, mut queue: mpsc::Receiver<Box<dyn Step>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        // If one step meets a broken disk the transaction is dropped, and none of them was applied.
        let committed = core.transact(|tables| batch.iter_mut().try_for_each(|step| step.act(tables)));
        batch.into_iter().for_each(|step| step.answer(committed.clone()));
    }
}
// guide: end

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("free", &self.steps.capacity()).finish()
    }
}
