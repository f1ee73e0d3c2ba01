use std::sync::Arc;

use tokio::sync::watch;

use super::stopped;
use crate::error::EngineError;
use crate::progress::Progress;

/// What can be said of an engine as a whole.
#[derive(Debug, Clone)]
pub(super) enum Status {
    Running,
    /// The source has nothing more; barriers are still answered.
    Exhausted,
    /// The first error of any task. Final.
    Failed(EngineError),
}

/// Reports how a task ended, also if it panicked or was dropped: nobody may wait for a dead engine for ever.
#[derive(Debug)]
pub(super) struct Alarm {
    status: Arc<watch::Sender<Status>>,
    progress: Arc<Progress>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// Not known: what is dropped in this state was cancelled, or panicked.
    Pending,
    /// Ended because its peers are gone. They know why, and tell.
    Deserted,
    Failed(EngineError),
}

impl Alarm {
    pub(super) fn new(status: Arc<watch::Sender<Status>>, progress: Arc<Progress>) -> Self {
        Self { status, progress, outcome: Outcome::Pending }
    }

    pub(super) async fn over(mut self, task: impl Future<Output = Result<(), EngineError>>) {
        self.outcome = match task.await {
            Ok(()) => Outcome::Deserted,
            Err(error) => Outcome::Failed(error),
        };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let error = match std::mem::replace(&mut self.outcome, Outcome::Deserted) {
            Outcome::Pending => Some(stopped()),
            Outcome::Deserted => None,
            Outcome::Failed(error) => Some(error),
        };
        self.status.send_if_modified(|status| match error {
            Some(error) if !matches!(status, Status::Failed(_)) => {
                *status = Status::Failed(error);
                true
            }
            _ => false,
        });
        self.progress.end();
    }
}
