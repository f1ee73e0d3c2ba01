//! Takes one job in: refuses what runs or ran, and stores artefact and plan.

use std::sync::Arc;
use std::time::Duration;

use ha::blob::BlobStore;
use ha::job_result::JobResultStore;
use ha::plan::{ExecutionPlan as StoredPlan, ExecutionPlanStore};
use ha::seam::Seam;
use ha::{Error, ErrorKind, JobId, JobStatus};
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
        // Race: the job ends between the two looks: its result is stored, and then its plan removed.
        // Closed by: looking for them in this order. Whoever has found no plan, and after that no result, knows that
        //     there was no such job: results are kept for good.
        // Cost if missed: a job that has ended is taken for a new one, and run again.
        let stored = self.stored(&submission.job).await;
        if self.results.has_job_result_entry(&submission.job).await? {
            return Ok(Some(ended(board, submission)));
        }
        let Some(stored) = stored? else { return Ok(None) };
        let stored: Option<Submission> = serde_json::from_slice(&stored.plan).ok();
        let same = stored.is_some_and(|stored| stored.id == submission.id);
        Ok(Some(if same { Taken::Before } else { Taken::Refused(Refusal::Running) }))
    }

    async fn stored(&self, job: &JobId) -> Result<Option<StoredPlan>, Error> {
        if !self.plans.job_ids().await?.contains(job) {
            return Ok(None);
        }
        self.plans.recover_execution_plan(job).await
    }
}

/// What is to be said of a job that has a result.
fn ended(board: &Board, submission: &Submission) -> Taken {
    if board.submission_of(&submission.job) == Some(submission.id) {
        return Taken::Before;
    }
    match board.get(&submission.job).map(|view| view.state) {
        Some(state) if state.is_globally_terminal() => Taken::Refused(Refusal::Ended(state)),
        // Race: the result was stored a moment ago, and the board does not know yet whose it is.
        // Closed by: letting the client ask again.
        // Cost if missed: a submission whose answer was lost is refused, although it was taken and has ended.
        Some(_) => Taken::NotNow("the end of the job is just being stored".to_owned()),
        // A result that nothing more is known of counts as finished; that it is there was just read.
        None => Taken::Refused(Refusal::Ended(JobStatus::Finished)),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use ha::HighAvailabilityServices;
    use ha::blob::BlobKey;
    use ha::embedded::Embedded;
    use ha::job_result::{DirtyJobResults, JobResult};
    use ha::plan::ExecutionPlanListener;

    use super::*;
    use crate::cluster::Settings;
    use crate::{Contents, ExecutionPlan};

    /// The job ends, result first and plan after it, right after its result was looked for.
    #[derive(Debug)]
    struct EndsMeanwhile {
        results: Arc<dyn JobResultStore>,
        plans: Arc<dyn ExecutionPlanStore>,
        ended: AtomicBool,
    }

    #[async_trait]
    impl JobResultStore for EndsMeanwhile {
        async fn create_dirty_result(&self, result: &JobResult) -> Result<(), Error> {
            self.results.create_dirty_result(result).await
        }
        async fn mark_result_as_clean(&self, job: &JobId) -> Result<(), Error> {
            self.results.mark_result_as_clean(job).await
        }
        async fn has_job_result_entry(&self, job: &JobId) -> Result<bool, Error> {
            let seen = self.results.has_job_result_entry(job).await?;
            if !self.ended.swap(true, Ordering::Relaxed) {
                self.results.create_dirty_result(&JobResult::new(job.clone(), JobStatus::Finished)).await?;
                self.plans.global_cleanup(job).await?;
            }
            Ok(seen)
        }
        async fn has_dirty_job_result_entry(&self, job: &JobId) -> Result<bool, Error> {
            self.results.has_dirty_job_result_entry(job).await
        }
        async fn has_clean_job_result_entry(&self, job: &JobId) -> Result<bool, Error> {
            self.results.has_clean_job_result_entry(job).await
        }
        async fn dirty_results(&self) -> Result<DirtyJobResults, Error> {
            self.results.dirty_results().await
        }
    }

    #[derive(Debug)]
    struct Deaf;

    impl ExecutionPlanListener for Deaf {
        fn on_added_execution_plan(&self, _: &JobId) {}
        fn on_removed_execution_plan(&self, _: &JobId) {}
    }

    fn submission(seam: &Seam, artefact: BlobKey) -> Submission {
        let source = SourceSpec::Artefact { name: artefact.to_string(), holds: Contents::Lines };
        let plan = ExecutionPlan {
            job: "clicks".to_owned(),
            source,
            parallelism: 1,
            window_ms: 1000,
            lateness_ms: 0,
            output: "/nowhere".into(),
        };
        Submission { id: seam.uuid(), job: JobId::new("clicks").unwrap(), plan, artefact }
    }

    #[tokio::test]
    async fn a_job_that_ends_while_it_is_handed_in_again_is_not_taken_for_a_new_one() {
        // Fails if its result is looked for before its plan: neither is found, and it runs a second time.
        let (seam, directory) = (Seam::system(), tempfile::tempdir().unwrap());
        let artefact = directory.path().join("artefact");
        std::fs::write(&artefact, "a line").unwrap();
        let settings = Settings {
            storage: "memory://".to_owned(),
            cluster_id: "test".to_owned(),
            silence: Duration::from_secs(10),
            presence: ha::PresenceOptions::default(),
            configured: crate::configured::Configured::default(),
        };
        for repeated in [true, false] {
            let backend = Arc::new(Embedded::new(seam.clone()).connect());
            let services = settings.services("leader", backend, &seam).unwrap();
            let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
            let (plans, results) = (leadership.execution_plan_store(), leadership.job_result_store());
            plans.start(Arc::new(Deaf)).await.unwrap();
            let first = submission(&seam, BlobKey::of(b"a line"));
            let plan = serde_json::to_vec(&first).unwrap();
            plans.put_execution_plan(&StoredPlan::new(first.job.clone(), plan.into())).await.unwrap();

            let ending = EndsMeanwhile { results, plans: Arc::clone(&plans), ended: AtomicBool::new(false) };
            let stores = Stores {
                plans: Arc::clone(&plans),
                results: Arc::new(ending),
                blobs: leadership.blob_store(),
                seam: seam.clone(),
            };
            let next = if repeated { first } else { submission(&seam, first.artefact) };
            let taken = stores.take_in(&Board::default(), &next, Content::of_file(artefact.clone())).await.unwrap();
            assert!(!matches!(taken, Taken::Stored), "it was taken in again");
            assert_eq!(plans.job_ids().await.unwrap(), []);
        }
    }
}
