mod coordinator;
mod keyed_task;
mod remote;
mod serving;
mod slot;
mod source_task;
mod status;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Shared, PoisonError};

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use crate::error::{EngineError, ErrorKind};
use crate::plan::ExecutionPlan;
use crate::progress::Progress;
use crate::sink::{self, Part};
use crate::snapshot::Snapshot;
use crate::source::{Position, Reader};
use crate::window::Windows;

use coordinator::Coordinator;
use keyed_task::KeyedTask;
use source_task::SourceTask;
use status::{Alarm, Status};

pub use serving::{Fence, serve};
pub use slot::{Link, Placement, Slot};

/// Batches that may wait for a task. Enough to bridge a hiccup; what is in flight has to be folded before a barrier.
const BATCHES_IN_FLIGHT: usize = 4;

/// A running job: one source task, and as many keyed tasks as the plan says.
///
/// Dropping it, or shutting its runtime down, stops everything at the next await point, without any clean-up: exactly
/// what a crash does, and safe for the same reason. It decides nothing about leadership: it runs on, and writes
/// pending files, until it is dropped, also when another attempt runs beside it. The output stays right even then.
#[derive(Debug)]
pub struct Engine {
    output: PathBuf,
    coordinator: Mutex<Coordinator>,
    /// Parts not known to be published; every snapshot lists them until a commit covers them.
    uncommitted: Arc<Shared<Vec<Part>>>,
    status: watch::Receiver<Status>,
    progress: Arc<Progress>,
    /// Owns the tasks: they end with this value.
    _tasks: JoinSet<()>,
}

impl Engine {
    /// Starts the job from the beginning of its input, or from a snapshot.
    ///
    /// A `restored` snapshot must be the latest completed checkpoint. Its parts are published first, in case a crash
    /// came between its completion and [`Self::commit`]; then what older attempts left pending is removed.
    /// Without one, the output must hold no part yet: nothing is published before the first completed checkpoint.
    /// `attempt` must be greater than that of every attempt before, in whatever process: the leader's epoch is.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidPlan`], [`ErrorKind::Mismatch`]: the plan, the snapshot and the attempt do not go
    ///   together. Nothing was changed.
    /// * [`ErrorKind::DamagedOutput`]: rows that the snapshot counts on are gone. Do not go on.
    /// * [`ErrorKind::Io`]: start again once the cause is gone.
    ///
    /// # Cancel safety
    /// Dropping the future starts nothing. Parts of the restored snapshot may be published by then.
    pub async fn start(plan: ExecutionPlan, restored: Option<Snapshot>, attempt: u64) -> Result<Self, EngineError> {
        Self::start_on(Placement::default(), plan, restored, attempt).await
    }

    /// As [`Self::start`], with keyed tasks on the places that others offer.
    ///
    /// # Errors
    /// As [`Self::start`].
    ///
    /// # Cancel safety
    /// As [`Self::start`].
    pub async fn start_on(
        placement: Placement,
        plan: ExecutionPlan,
        restored: Option<Snapshot>,
        attempt: u64,
    ) -> Result<Self, EngineError> {
        plan.validate()?;
        if let Some(snapshot) = &restored {
            fits(&plan, snapshot, attempt)?;
        }
        let (opening, artefact) = (plan.clone(), placement.artefact.clone());
        let (restored, reader) = blocking(move || {
            let cursor = restored.as_ref().map(|snapshot| snapshot.position().cursor.clone());
            let reader = Reader::open(&opening.source, artefact.as_deref(), cursor.unwrap_or_default())?;
            sink::prepare(&opening.output)?;
            match &restored {
                Some(snapshot) => sink::commit(&opening.output, snapshot)?,
                None => begins_empty(&opening.output)?,
            }
            sink::sweep(&opening.output, attempt, restored.as_ref())?;
            Ok((restored, reader))
        })
        .await?;
        Ok(Self::assemble(placement, plan, restored, reader, attempt))
    }

    fn assemble(
        mut placement: Placement,
        plan: ExecutionPlan,
        restored: Option<Snapshot>,
        reader: Reader,
        attempt: u64,
    ) -> Self {
        let checkpoint = restored.as_ref().map(Snapshot::checkpoint);
        let (position, windows) = match restored {
            Some(snapshot) => (snapshot.position().clone(), snapshot.windows().clone()),
            None => (Position::default(), Windows::default()),
        };
        let progress = Arc::new(Progress::at(position.cursor.records));
        let (status_sender, status) = watch::channel(Status::Running);
        let status_sender = Arc::new(status_sender);
        let task_count = plan.parallelism as usize;
        let (barriers, barrier_orders) = mpsc::channel(1);
        let (acks, ack_receiver) = mpsc::channel(task_count + 1);
        let mut tasks = JoinSet::new();
        let mut to_tasks = Vec::with_capacity(task_count);
        for (number, windows) in (0_u32..).zip(windows.partition(task_count)) {
            let (sender, messages) = mpsc::channel(BATCHES_IN_FLIGHT);
            to_tasks.push(sender);
            let alarm = Alarm::new(Arc::clone(&status_sender), Arc::clone(&progress));
            let (acks, progress) = (acks.clone(), Arc::clone(&progress));
            let slot = placement.next_slot();
            if let Some(Slot::Elsewhere(link)) = slot {
                let order = remote::Order { plan: plan.clone(), number, attempt, windows };
                tasks.spawn(alarm.over(remote::run(link, order, messages, acks, progress)));
                continue;
            }
            let task = KeyedTask::new(&plan, number, attempt, windows, progress);
            let run = alarm.over(task.run(messages, acks));
            match slot {
                Some(Slot::Threads(handle)) => tasks.spawn_on(run, &handle),
                _ => tasks.spawn(run),
            };
        }
        let source =
            SourceTask::new(&plan, reader, position, to_tasks, Arc::clone(&progress), Arc::clone(&placement.gate));
        let alarm = Alarm::new(Arc::clone(&status_sender), Arc::clone(&progress));
        tasks.spawn(alarm.over(source.run(barrier_orders, acks, status_sender)));
        let uncommitted = Arc::new(Shared::new(Vec::new()));
        let output = plan.output.clone();
        let coordinator = Coordinator::new(
            plan,
            attempt,
            checkpoint,
            barriers,
            ack_receiver,
            Arc::clone(&uncommitted),
            status.clone(),
        );
        Self { output, coordinator: Mutex::new(coordinator), uncommitted, status, progress, _tasks: tasks }
    }

    /// Takes a snapshot of everything up to where the source is now, while events keep flowing.
    ///
    /// One at a time: a second call waits for the first. The parts that it lists are durable, but not published: keep
    /// the snapshot safe first, then [`Self::commit`] it. A snapshot that could not be kept need not be dealt with:
    /// the next one lists its parts too. After [`Self::finished`] the snapshot is final.
    ///
    /// # Errors
    /// * [`ErrorKind::CheckpointId`]: `id` is not greater than every id before, the restored one included.
    /// * anything else: the engine has failed; start another attempt from the latest completed snapshot.
    ///
    /// # Cancel safety
    /// Dropping the future loses the snapshot and uses up its id, nothing else: the next one covers it.
    pub async fn trigger(&self, id: u64) -> Result<Snapshot, EngineError> {
        self.coordinator.lock().await.trigger(id).await
    }

    /// Publishes the parts that a completed snapshot lists, see [`sink::commit`].
    ///
    /// # Errors
    /// As [`sink::commit`]. The engine runs on; the parts stay listed until a commit succeeds.
    ///
    /// # Cancel safety
    /// Publishing goes on in the background; calling again is harmless.
    pub async fn commit(&self, snapshot: &Snapshot) -> Result<(), EngineError> {
        let (output, parts) = (self.output.clone(), snapshot.parts().to_vec());
        let uncommitted = Arc::clone(&self.uncommitted);
        blocking(move || {
            sink::commit_parts(&output, &parts)?;
            locked(&uncommitted).retain(|part| !parts.contains(part));
            Ok(())
        })
        .await
    }

    /// How far it is. Stays readable when the engine is gone.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Returns when the source has read its input to the end: trigger and commit once more, and all is done.
    ///
    /// # Errors
    /// What made the engine fail, if it did. Start another attempt from the latest completed snapshot.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn finished(&self) -> Result<(), EngineError> {
        let mut status = self.status.clone();
        match status.wait_for(|status| !matches!(status, Status::Running)).await.as_deref() {
            Ok(Status::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_closed) => Err(stopped()),
        }
    }
}

fn fits(plan: &ExecutionPlan, snapshot: &Snapshot, attempt: u64) -> Result<(), EngineError> {
    if !plan.continues(snapshot.plan()) {
        let what = format!("it was taken under another plan: {:?}, not {plan:?}", snapshot.plan());
        return Err(EngineError::new(ErrorKind::Mismatch, what));
    }
    if attempt <= snapshot.attempt() {
        let what = format!("attempt {attempt} is not greater than {}, which took it", snapshot.attempt());
        return Err(EngineError::new(ErrorKind::Mismatch, what));
    }
    Ok(())
}

/// Refuses to begin at the first event beside rows that somebody has published: they would be there twice.
fn begins_empty(output: &Path) -> Result<(), EngineError> {
    match sink::published(output)?.first() {
        None => Ok(()),
        Some(part) => {
            let what =
                format!("there is none, but {} is published; restore it, or name an empty output", part.display());
            Err(EngineError::new(ErrorKind::Mismatch, what))
        }
    }
}

/// Runs file operations where they hold up no task. One that has begun is finished even if nobody waits any more.
async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::task::spawn_blocking(operation).await {
        Ok(result) => result,
        Err(cause) => Err(EngineError::new(ErrorKind::Stopped, format!("a file operation was given up: {cause}"))),
    }
}

fn stopped() -> EngineError {
    EngineError::new(ErrorKind::Stopped, "its tasks have ended")
}

/// A panic while the list was held cannot have left it half changed: every change is one call.
fn locked<T>(shared: &Shared<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the names of closed parts durable, where it holds up no task.
async fn sync_pending(output: &Path) -> Result<(), EngineError> {
    let output = output.to_owned();
    blocking(move || sink::sync_pending(&output)).await
}
