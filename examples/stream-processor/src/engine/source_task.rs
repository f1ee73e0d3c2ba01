use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::coordinator::Ack;
use super::status::Status;
use crate::error::EngineError;
use crate::event::{self, Batch, Message};
use crate::gate::Gate;
use crate::plan::ExecutionPlan;
use crate::progress::Progress;
use crate::source::{Next, Position, Reader};

/// Steps of reading between two looks at the orders; also what a batch for all tasks together holds at most.
const STEPS: usize = 1024;

/// Reads the input in order, and decides alone what is late: by the offset, so that every replay decides the same.
#[derive(Debug)]
pub(super) struct SourceTask {
    reader: Reader,
    position: Position,
    window_ms: u64,
    lateness_ms: u64,
    tasks: Vec<mpsc::Sender<Message>>,
    progress: Arc<Progress>,
    gate: Arc<Gate>,
}

/// The engine is being dropped: the receivers are gone, and so is everybody who could be told.
struct Deserted;

impl SourceTask {
    pub(super) fn new(
        plan: &ExecutionPlan,
        reader: Reader,
        position: Position,
        tasks: Vec<mpsc::Sender<Message>>,
        progress: Arc<Progress>,
        gate: Arc<Gate>,
    ) -> Self {
        Self { gate, reader, position, window_ms: plan.window_ms, lateness_ms: plan.lateness_ms, tasks, progress }
    }

    pub(super) async fn run(
        mut self,
        mut barriers: mpsc::Receiver<u64>,
        acks: mpsc::Sender<Ack>,
        status: Arc<watch::Sender<Status>>,
    ) -> Result<(), EngineError> {
        // The first event goes out alone, so that it is processed at once after a recovery.
        let mut steps = 1;
        loop {
            let order = if self.position.finished {
                self.exhaust(&status);
                barriers.recv().await
            } else if self.may_read() == 0 {
                let position = self.reader.cursor().records;
                tokio::select! {
                    biased;
                    order = barriers.recv() => match order {
                        Some(checkpoint) => Some(checkpoint),
                        None => return Ok(()),
                    },
                    () = self.gate.beyond(position) => None,
                }
            } else {
                barriers.try_recv().ok()
            };
            match order {
                Some(checkpoint) => {
                    if self.barrier(checkpoint, &acks).await.is_err() {
                        return Ok(());
                    }
                }
                None if self.position.finished => return Ok(()),
                None => {
                    let batches = self.read(steps.min(self.may_read()))?;
                    steps = STEPS;
                    if self.send(batches).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// How many records may be read now.
    fn may_read(&self) -> usize {
        let left = self.gate.position().saturating_sub(self.reader.cursor().records);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn exhaust(&self, status: &watch::Sender<Status>) {
        self.progress.exhaust();
        status.send_if_modified(|status| {
            let running = matches!(status, Status::Running);
            if running {
                *status = Status::Exhausted;
            }
            running
        });
    }

    fn watermark_ms(&self) -> u64 {
        // At the end of the input every window is closed: nothing can come any more.
        if self.position.finished { u64::MAX } else { self.position.time_max_ms.saturating_sub(self.lateness_ms) }
    }

    fn read(&mut self, steps: usize) -> Result<Vec<Batch>, EngineError> {
        let tasks = self.tasks.len();
        let mut batches: Vec<Batch> =
            (0..tasks).map(|_task| Batch::with_capacity(steps / tasks + steps / tasks / 8)).collect();
        let mut watermark_ms = self.watermark_ms();
        for _step in 0..steps {
            match self.reader.next()? {
                Next::Event(event) => {
                    let window_start_ms = event.time_ms - event.time_ms % self.window_ms;
                    if window_start_ms.saturating_add(self.window_ms) <= watermark_ms {
                        self.position.late += 1;
                        continue;
                    }
                    batches[event::owner(event.key, tasks)].push(window_start_ms, &event);
                    if event.time_ms > self.position.time_max_ms {
                        self.position.time_max_ms = event.time_ms;
                        watermark_ms = event.time_ms.saturating_sub(self.lateness_ms);
                    }
                }
                Next::Nothing => {}
                Next::End => {
                    self.position.finished = true;
                    break;
                }
            }
        }
        Ok(batches)
    }

    async fn send(&mut self, batches: Vec<Batch>) -> Result<(), Deserted> {
        let watermark_ms = self.watermark_ms();
        for (task, mut batch) in self.tasks.iter().zip(batches) {
            batch.watermark_ms = watermark_ms;
            task.send(Message::Batch(batch)).await.map_err(|_closed| Deserted)?;
        }
        self.progress.read_to(self.reader.cursor().records);
        Ok(())
    }

    async fn barrier(&mut self, checkpoint: u64, acks: &mpsc::Sender<Ack>) -> Result<(), Deserted> {
        let watermark_ms = self.watermark_ms();
        for task in &self.tasks {
            task.send(Message::Barrier { checkpoint, watermark_ms }).await.map_err(|_closed| Deserted)?;
        }
        self.position.cursor = self.reader.cursor().clone();
        let ack = Ack::Source { checkpoint, position: self.position.clone() };
        acks.send(ack).await.map_err(|_closed| Deserted)
    }
}
