use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::engine::{Cell, Running};
use crate::Error;
use crate::backend::{Acquire, Ended, Latch, Session, SessionOptions, Term};
use crate::seam::{Deadline, Task};

/// A session of one handle on a journal.
pub(super) struct JournalSession {
    running: Arc<Running>,
    id: Arc<str>,
    cell: Arc<Cell>,
    _renewals: Task,
}

impl JournalSession {
    pub(super) async fn open(running: &Arc<Running>, options: &SessionOptions) -> Result<Self, Error> {
        let engine = &running.engine;
        let (id, cell) = engine.open_session(options).await?;
        let keeping = Arc::clone(engine).keep(Arc::clone(&id), Arc::clone(&cell), options.silence);
        let renewals = engine.seam.spawn_critical(keeping);
        Ok(Self { running: Arc::clone(running), id, cell, _renewals: renewals })
    }
}

#[async_trait]
impl Session for JournalSession {
    fn id(&self) -> &str {
        &self.id
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        self.running.engine.acquire(&self.id, latch, holder, over).await
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.running.engine.release(&self.id, latch).await
    }

    fn valid_until(&self) -> Deadline {
        self.cell.valid_until()
    }

    async fn ended(&self) -> Ended {
        self.cell.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.running.engine.close_session(&self.id).await
    }
}

impl Drop for JournalSession {
    fn drop(&mut self) {
        // Nobody is left who could write under this session: its end is sent, and nobody waits for the answer.
        drop(self.running.engine.part_with(&self.id));
    }
}

impl fmt::Debug for JournalSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalSession")
            .field("id", &self.id)
            .field("valid_until", &self.cell.valid_until())
            .finish_non_exhaustive()
    }
}
