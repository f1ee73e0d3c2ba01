use std::sync::Arc;

use super::default_store::find;
use crate::backend::Backend;
use crate::formats::Formats;
use crate::names::layout;
use crate::{Error, JobId};

/// How far a job has come, as the store shows it. Flink's `JobSchedulingStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobSchedulingStatus {
    /// There is nothing of it: it was not submitted, or its result was removed when it was clean.
    Pending,
    /// It has an execution plan and no result: some leader runs it, or the next one will.
    Running,
    /// It has a result, dirty or clean. It must not run again.
    Done,
}

/// Tells how far a job has come. A view over results and execution plans that writes nothing, in the
/// place of Flink's former `RunningJobsRegistry`: there, the end of a job was forgotten by its clean-up,
/// and it could run again.
///
/// Not guaranteed: that a task of a [`Running`](JobSchedulingStatus::Running) job exists right now.
#[derive(Debug, Clone)]
pub struct RunningJobsRegistry {
    backend: Arc<dyn Backend>,
    formats: Formats,
}

impl RunningJobsRegistry {
    /// A view over what that backend holds. No I/O.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self::reading(backend, Formats::SUPPORTED)
    }

    /// As [`RunningJobsRegistry::new`], for a process that knows these formats.
    #[must_use]
    pub fn reading(backend: Arc<dyn Backend>, formats: Formats) -> Self {
        Self { backend, formats }
    }

    /// How far the job has come. Needs no leadership.
    ///
    /// # Errors
    /// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat): its
    ///   result cannot be read. Do not run it.
    /// * as [`Backend::read`]: try again. An error is never reported as a status.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn job_scheduling_status(&self, job: &JobId) -> Result<JobSchedulingStatus, Error> {
        // Race: the job ends, and its plan is removed, between the two reads.
        // Closed by: the plan is read first; a result is written before the plan is removed.
        // Cost if missed: a job that is over is reported as one that was never submitted.
        let planned = self.backend.read(&layout::execution_plan(job)).await?.is_some();
        let ended = find(&*self.backend, job, self.formats).await?.is_some();
        Ok(match (ended, planned) {
            (true, _) => JobSchedulingStatus::Done,
            (false, true) => JobSchedulingStatus::Running,
            (false, false) => JobSchedulingStatus::Pending,
        })
    }
}
