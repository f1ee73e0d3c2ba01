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
    verdict: Option<EngineError>,
}

impl Alarm {
    pub(super) fn new(status: Arc<watch::Sender<Status>>, progress: Arc<Progress>) -> Self {
        Self { status, progress, verdict: None }
    }

    pub(super) async fn over(mut self, task: impl Future<Output = Result<(), EngineError>>) {
        self.verdict = task.await.err();
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let verdict = self.verdict.take().unwrap_or_else(stopped);
        self.status.send_if_modified(|status| {
            if matches!(status, Status::Failed(_)) {
                return false;
            }
            *status = Status::Failed(verdict);
            true
        });
        self.progress.end();
    }
}
