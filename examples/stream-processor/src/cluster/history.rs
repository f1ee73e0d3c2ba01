//! What is known of jobs: in memory for those that run, and stored for those that have ended.
//!
//! A job result tells that a job is over, and is found by the job's name; this is a list of them, kept as records of
//! the application's own, which any service can have beside the stores of the library.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ha::backend::{Expect, Name, Prefix};
use ha::election::Leadership;
use ha::job_result::JobResult;
use ha::record::{self, Body};
use ha::{Error, JobId, application_prefix};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dispatcher::view_of;
use super::ending;
use super::protocol::JobView;

/// A job that has ended, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EndedJob {
    result: JobResult,
}

impl Body for EndedJob {
    const KIND: &'static str = "ended_job";
}

fn place() -> Result<Prefix, Error> {
    Ok(application_prefix().below(&Name::new("ended-jobs")?))
}

/// Stores how a job ended; nothing if that is there already.
///
/// # Errors
/// As [`Leadership::guarded`].
pub(super) async fn keep(leadership: &Leadership, result: &JobResult) -> Result<(), Error> {
    let (key, ended) = (place()?.key(result.job.name()), EndedJob { result: result.clone() });
    // A conflict says that it is there: of each job there is one result, so it is the same.
    leadership.guarded(|draft| draft.put(key, Expect::Absent, &ended)).await.map(drop)
}

/// Puts all jobs that have ended on the board. What cannot be read is logged and left out: it is told for people, and
/// decides nothing.
///
/// # Errors
/// They could not be listed.
pub(super) async fn show(leadership: &Leadership, board: &Board) -> Result<(), Error> {
    for entry in leadership.writer().backend().list(&place()?).await?.entries {
        match record::decode::<EndedJob>(&entry) {
            Ok(record) => board.end(&record.body.result),
            Err(error) => tracing::warn!(%error, "a job that has ended cannot be shown"),
        }
    }
    Ok(())
}

/// What the leader knows of its jobs. Clones are the same board.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    jobs: Arc<Mutex<BTreeMap<JobId, Shown>>>,
}

#[derive(Debug)]
struct Shown {
    view: JobView,
    /// Of a job that has ended: which submission it was.
    submission: Option<Uuid>,
}

impl Board {
    pub(super) fn put(&self, view: JobView) {
        self.jobs().insert(view.job.clone(), Shown { view, submission: None });
    }

    pub(super) fn change(&self, job: &JobId, change: impl FnOnce(&mut JobView)) {
        if let Some(shown) = self.jobs().get_mut(job) {
            change(&mut shown.view);
        }
    }

    pub(super) fn end(&self, result: &JobResult) {
        let submission = result.accumulators.get(ending::SUBMISSION).and_then(|id| id.as_str()?.parse().ok());
        self.jobs().insert(result.job.clone(), Shown { view: view_of(result), submission });
    }

    pub(super) fn get(&self, job: &JobId) -> Option<JobView> {
        self.jobs().get(job).map(|shown| shown.view.clone())
    }

    pub(super) fn submission_of(&self, job: &JobId) -> Option<Uuid> {
        self.jobs().get(job).and_then(|shown| shown.submission)
    }

    pub(super) fn all(&self) -> Vec<JobView> {
        self.jobs().values().map(|shown| shown.view.clone()).collect()
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Shown>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
