use std::sync::{Arc, Mutex as Shared};

use tokio::sync::{mpsc, watch};

use super::status::Status;
use super::{locked, stopped, sync_pending};
use crate::error::{EngineError, ErrorKind};
use crate::plan::ExecutionPlan;
use crate::sink::Part;
use crate::snapshot::Snapshot;
use crate::source::Position;
use crate::window::Windows;

/// What a task answers to a barrier.
#[derive(Debug)]
pub(super) enum Ack {
    Source { checkpoint: u64, position: Position },
    Keyed { checkpoint: u64, windows: Windows, part: Option<Part> },
}

/// Sends barriers out and puts the answers together.
#[derive(Debug)]
pub(super) struct Coordinator {
    plan: ExecutionPlan,
    attempt: u64,
    /// The greatest id used.
    checkpoint: Option<u64>,
    barriers: mpsc::Sender<u64>,
    acks: mpsc::Receiver<Ack>,
    uncommitted: Arc<Shared<Vec<Part>>>,
    status: watch::Receiver<Status>,
}

/// What has come in for one checkpoint.
#[derive(Default)]
struct Gathered {
    position: Option<Position>,
    windows: Windows,
    tasks: u32,
}

impl Coordinator {
    pub(super) fn new(
        plan: ExecutionPlan,
        attempt: u64,
        checkpoint: Option<u64>,
        barriers: mpsc::Sender<u64>,
        acks: mpsc::Receiver<Ack>,
        uncommitted: Arc<Shared<Vec<Part>>>,
        status: watch::Receiver<Status>,
    ) -> Self {
        Self { plan, attempt, checkpoint, barriers, acks, uncommitted, status }
    }

    pub(super) async fn trigger(&mut self, id: u64) -> Result<Snapshot, EngineError> {
        if let Some(last) = self.checkpoint.filter(|last| id <= *last) {
            let what = format!("{id} is not greater than {last}, the last one");
            return Err(EngineError::new(ErrorKind::CheckpointId, what));
        }
        let mut sent = false;
        let mut status = self.status.clone();
        let mut gathered = Gathered::default();
        loop {
            if gathered.tasks == self.plan.parallelism
                && let Some(position) = gathered.position.take()
            {
                // Before anybody can learn of the parts: a snapshot must not list names that a power cut takes away.
                sync_pending(&self.plan.output).await?;
                let parts = locked(&self.uncommitted).clone();
                let (plan, windows) = (self.plan.clone(), gathered.windows);
                return Ok(Snapshot::new((id, self.attempt), plan, position, windows, parts));
            }
            tokio::select! {
                biased;
                error = failure(&mut status) => return Err(error),
                // Also before the barrier is sent: answers to a trigger that was dropped would block the tasks.
                ack = self.acks.recv() => match ack {
                    Some(ack) => self.absorb(ack, id, &mut gathered),
                    None => return Err(failure(&mut status).await),
                },
                given = self.barriers.send(id), if !sent => {
                    if given.is_err() {
                        return Err(failure(&mut status).await);
                    }
                    self.checkpoint = Some(id);
                    sent = true;
                }
            }
        }
    }

    fn absorb(&mut self, ack: Ack, id: u64, gathered: &mut Gathered) {
        match ack {
            Ack::Source { checkpoint, position } if checkpoint == id => gathered.position = Some(position),
            Ack::Source { .. } => {}
            Ack::Keyed { checkpoint, windows, part } => {
                // Race: the trigger that this part was closed for was dropped, so no snapshot will come of it.
                // Closed by: its rows belong to the next snapshot. A task's answers come in order, so when all tasks
                //     have answered this barrier, no older part is missing.
                // Cost if missed: the rows of the part are in no snapshot and never in the output.
                locked(&self.uncommitted).extend(part);
                if checkpoint == id {
                    gathered.windows.merge(windows);
                    gathered.tasks += 1;
                }
            }
        }
    }
}

/// Waits for the engine to fail, and says why.
async fn failure(status: &mut watch::Receiver<Status>) -> EngineError {
    match status.wait_for(|status| matches!(status, Status::Failed(_))).await.as_deref() {
        Ok(Status::Failed(error)) => error.clone(),
        _ => stopped(),
    }
}
