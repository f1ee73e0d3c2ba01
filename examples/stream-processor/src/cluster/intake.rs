//! Takes one job in: refuses what runs or ran, and stores artefact and plan.

use std::sync::Arc;
use std::time::Duration;

use ha::blob::BlobStore;
use ha::job_result::JobResultStore;
use ha::plan::{ExecutionPlan as StoredPlan, ExecutionPlanStore};
use ha::seam::Seam;
use ha::{Error, ErrorKind, JobStatus};
use tokio::sync::oneshot;

use super::history::Board;
use super::post::Content;
use super::protocol::{Answer, Refusal, Submission};
use crate::SourceSpec;

/// How long an artefact may take to arrive.
pub(super) const ARRIVAL_MAX: Duration = Duration::from_secs(600);

/// Where things are looked up and stored.
pub(super) struct Stores {
    pub(super) plans: Arc<dyn ExecutionPlanStore>,
    pub(super) results: Arc<dyn JobResultStore>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) seam: Seam,
}

/// A job that was handed in, what has become of it, and who waits to hear.
pub(super) struct Intake {
    pub(super) submission: Submission,
    pub(super) taken: Taken,
    pub(super) answer: oneshot::Sender<Answer>,
}

pub(super) enum Taken {
    /// All of it is stored.
    Stored,
    /// This very submission was stored before: an answer was lost.
    Before,
    Refused(Refusal),
    /// It may be stored or not; the client hands the same submission in again.
    NotNow(String),
}

pub(super) async fn take_in(
    stores: Stores,
    board: Board,
    submission: Submission,
    content: Content,
    answer: oneshot::Sender<Answer>,
) -> Intake {
    let taken = match stores.take_in(&board, &submission, content).await {
        Ok(taken) => taken,
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge) => {
            Taken::Refused(Refusal::Invalid(error.to_string()))
        }
        Err(error) => Taken::NotNow(error.to_string()),
    };
    Intake { submission, taken, answer }
}

impl Stores {
    async fn take_in(&self, board: &Board, submission: &Submission, content: Content) -> Result<Taken, Error> {
        if let Some(why) = flaw(submission) {
            return Ok(Taken::Refused(Refusal::Invalid(why)));
        }
        if let Some(taken) = self.known(board, submission).await? {
            return Ok(taken);
        }
        let job = &submission.job;
        // What a leader left that was lost between artefact and plan belongs to no job.
        self.blobs.delete_all(job).await?;
        let put = async {
            let content = content
                .open()
                .await
                .map_err(|cause| Error::new(ErrorKind::Storage, "read the artefact").at(job).caused_by(cause))?;
            self.blobs.put(job, content).await
        };
        let Some(key) = self.seam.timeout(ARRIVAL_MAX, put).await.transpose()? else {
            return Ok(Taken::NotNow(format!("the artefact has not arrived within {ARRIVAL_MAX:?}")));
        };
        if key != submission.artefact {
            self.blobs.delete(job, &key).await?;
            let what = format!("the artefact is {key}, and {} was promised: did it change?", submission.artefact);
            return Ok(Taken::Refused(Refusal::Invalid(what)));
        }
        let plan = serde_json::to_vec(submission)
            .map_err(|cause| Error::new(ErrorKind::Invalid, "encode the plan").at(job).caused_by(cause))?;
        // Only now can the job be recovered, and all that it needs is there.
        self.plans.put_execution_plan(&StoredPlan::new(job.clone(), plan.into())).await?;
        Ok(Taken::Stored)
    }

    /// What is to be said of a job that is known already.
    async fn known(&self, board: &Board, submission: &Submission) -> Result<Option<Taken>, Error> {
        let job = &submission.job;
        if self.results.has_job_result_entry(job).await? {
            if board.submission_of(job) == Some(submission.id) {
                return Ok(Some(Taken::Before));
            }
            // A result that nothing more is known of counts as finished; that it is there was just read.
            let state = board.get(job).map_or(JobStatus::Finished, |view| view.state);
            let state = if state.is_globally_terminal() { state } else { JobStatus::Finished };
            return Ok(Some(Taken::Refused(Refusal::Ended(state))));
        }
        if !self.plans.job_ids().await?.contains(job) {
            return Ok(None);
        }
        let stored = self.plans.recover_execution_plan(job).await?;
        let stored: Option<Submission> = stored.and_then(|stored| serde_json::from_slice(&stored.plan).ok());
        let same = stored.is_some_and(|stored| stored.id == submission.id);
        Ok(Some(if same { Taken::Before } else { Taken::Refused(Refusal::Running) }))
    }
}

/// What of the submission can never run.
fn flaw(submission: &Submission) -> Option<String> {
    if let Err(error) = submission.plan.validate() {
        return Some(error.to_string());
    }
    if !submission.plan.output.is_absolute() {
        return Some(format!("output {} is relative: to whose directory?", submission.plan.output.display()));
    }
    match &submission.plan.source {
        SourceSpec::Artefact { name, .. } if *name == submission.artefact.to_string() => None,
        _ => Some("the source of a job is its artefact: nothing else is found by a leader on another machine".into()),
    }
}
