//! A job master: elected for one job, it restores the latest checkpoint, runs the engine in the places that workers
//! have offered, takes checkpoints, and writes the result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ha::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly,
    RecoveryClaimMode,
};
use ha::election::{Leadership, Ran};
use ha::job_result::JobResult;
use ha::plan::ExecutionPlanStore;
use ha::seam::Moment;
use ha::{ErrorKind, HighAvailabilityServices, JobStatus};

use super::events::What;
use super::history::Board;
use super::protocol::Submission;
use super::slots::SlotPool;
use super::{Failure, Member, artefact, ending};
use crate::term::Term;
use crate::{Engine, EngineError, Placement, Snapshot};

/// How many failures in a row, without a checkpoint between them, are taken for one that no restart mends.
const FAILURES_MAX: u32 = 10;
/// How long a job rests after a failure, at first and at most.
const REST: Duration = Duration::from_millis(50);
const REST_MAX: Duration = Duration::from_secs(2);

/// Masters the job until it has ended or leadership is lost.
pub(super) async fn run(
    member: Member,
    plans: Arc<dyn ExecutionPlanStore>,
    board: Board,
    pool: Arc<SlotPool>,
    submission: Submission,
) -> Result<(), Failure> {
    let election = member.services.job_manager_leader_election(&submission.job)?;
    let leadership = election.campaign().await?;
    leadership.publish(&member.address).await?;
    let began = member.seam.now();
    let master = Master { member: &member, leadership: &leadership, plans, board, pool, submission, began };
    match leadership.run(master.run()).await {
        Ran::Done(result) => result,
        // The dispatcher on the same latch learns it too, and tells.
        Ran::Lost(_) => Ok(()),
    }
}

struct Master<'a> {
    member: &'a Member,
    leadership: &'a Leadership,
    plans: Arc<dyn ExecutionPlanStore>,
    board: Board,
    pool: Arc<SlotPool>,
    submission: Submission,
    began: Moment,
}

impl Master<'_> {
    async fn run(self) -> Result<(), Failure> {
        let (job, key) = (&self.submission.job, &self.submission.artefact);
        let blobs = self.leadership.blob_store();
        let (artefact, ended) = match artefact::fetch(&*blobs, job, key, &self.member.scratch, &self.member.seam).await
        {
            Ok(path) => (Some(path.clone()), self.attempts(&path).await?),
            // Without its artefact it can never run.
            Err(Failure::Ha(error)) if is_lost(error.kind()) => (None, Err(error.to_string())),
            Err(failure) => return Err(failure),
        };
        self.finish(ended, artefact).await
    }

    /// Starts the job as often as it takes; the reason, if it fails again and again.
    async fn attempts(&self, artefact: &Path) -> Result<Result<(), String>, Failure> {
        let (mut failures, mut rest) = (0, REST);
        for restart in 0..=u16::MAX {
            let before = self.checkpoint();
            let error = match self.attempt(restart, artefact).await {
                Ok(()) => return Ok(Ok(())),
                Err(Failure::Engine(error)) => error,
                // The store, not the job: whoever leads next goes on.
                Err(failure) => return Err(failure),
            };
            if self.checkpoint() != before {
                (failures, rest) = (0, REST);
            }
            failures += 1;
            self.failed(&error, u64::from(restart) + 1).await;
            if failures >= FAILURES_MAX {
                return Ok(Err(error.to_string()));
            }
            self.member.seam.sleep(self.member.seam.jittered(rest)).await;
            rest = (rest * 2).min(REST_MAX);
        }
        Ok(Err("it was started too often under one leader".to_owned()))
    }

    fn checkpoint(&self) -> Option<u64> {
        self.board.get(&self.submission.job).and_then(|view| view.checkpoint)
    }

    async fn failed(&self, error: &EngineError, restarts: u64) {
        self.board.change(&self.submission.job, |view| {
            (view.state, view.restarts, view.error) = (JobStatus::Restarting, restarts, Some(error.to_string()));
        });
        self.member.tell(What::Failed(error.to_string())).await;
    }

    /// Runs the job from its latest checkpoint to its end, or to the first failure.
    async fn attempt(&self, restart: u16, artefact: &Path) -> Result<(), Failure> {
        let job = &self.submission.job;
        let factory = self.leadership.checkpoint_recovery_factory();
        let ids = factory.create_checkpoint_id_counter(job);
        ids.start().await?;
        let checkpoints = factory
            .create_recovered_completed_checkpoint_store(
                job,
                self.member.retained,
                RecoveryClaimMode::Claim,
                Arc::new(DiscardStateOnly),
            )
            .await?;
        let latest = checkpoints.get_latest_checkpoint().await?;
        // A counter that was lost begins at 1 again; no id may be given twice.
        let above = latest.as_ref().map_or(1, |latest| latest.id + 1);
        if ids.get().await? < above {
            ids.set_count(above).await?;
        }
        let restored = latest.as_ref().map(|latest| Snapshot::decode(&latest.state)).transpose()?;
        let (restored_id, restored_events) =
            (latest.map(|latest| latest.id), restored.as_ref().map_or(0, Snapshot::events));
        self.board.change(job, |view| (view.checkpoint, view.events) = (restored_id, restored_events));
        let plan = self.submission.plan.clone();
        let slots = self.pool.take(plan.parallelism as usize).await;
        let gate = Arc::clone(&self.member.gate);
        let held_at = gate.position();
        let placement = Placement { slots, gate: Arc::clone(&gate), artefact: Some(artefact.to_owned()) };
        let term = Term { token: self.leadership.token().epoch(), restart };
        let attempt = term.attempt().ok_or_else(|| {
            EngineError::new(
                crate::ErrorKind::Mismatch,
                format!("fencing token {} is too great for an attempt", term.token),
            )
        })?;
        let engine = Engine::start_on(placement, plan, restored, attempt).await?;
        let progress = engine.progress();
        tokio::select! {
            biased;
            () = progress.first_event() => {}
            // There was none left, or none as far as the source may read.
            finished = engine.finished() => finished?,
            _ = gate.arrived(held_at) => {}
        }
        self.board.change(job, |view| view.state = JobStatus::Running);
        self.member.tell(What::Recovered { checkpoint: restored_id, events: restored_events }).await;
        self.process(&engine, &*ids, &*checkpoints).await
    }

    /// Takes checkpoint after checkpoint until the source is exhausted and the last one stands.
    async fn process(
        &self,
        engine: &Engine,
        ids: &dyn CheckpointIdCounter,
        checkpoints: &dyn CompletedCheckpointStore,
    ) -> Result<(), Failure> {
        let progress = engine.progress();
        // The first one at once: the restored one may be far behind by the time it is needed again.
        let mut next = 0;
        loop {
            progress.reached(next).await;
            next = progress.events() + self.member.checkpoint_events;
            let id = ids.get_and_increment().await?;
            let snapshot = engine.trigger(id).await?;
            let checkpoint = CompletedCheckpoint::new(
                id,
                CheckpointKind::Checkpoint,
                self.member.seam.unix_ms(),
                snapshot.encode()?,
            );
            checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint).await?;
            // Only now: the checkpoint is acknowledged, whoever restores next restores this output.
            engine.commit(&snapshot).await?;
            let events = snapshot.events();
            self.board.change(&self.submission.job, |view| (view.checkpoint, view.events) = (Some(id), events));
            self.member.tell(What::Checkpointed { id, events }).await;
            if snapshot.is_final() {
                return Ok(());
            }
        }
    }

    /// The job has ended. See [`ending`] for the order of these steps.
    async fn finish(&self, ended: Result<(), String>, artefact: Option<PathBuf>) -> Result<(), Failure> {
        let result = self.result(ended);
        ending::store(self.leadership, &result).await?;
        self.board.end(&result);
        self.member.tell(What::Ended(result.clone())).await;
        ending::clean_up(self.leadership, &*self.plans, &result).await?;
        if let Some(path) = artefact {
            artefact::forget(&path).await;
        }
        self.member.tell(What::CleanedUp(result.job)).await;
        Ok(())
    }

    fn result(&self, ended: Result<(), String>) -> JobResult {
        let view = self.board.get(&self.submission.job);
        let run_time = self.member.seam.now().since(self.began).as_millis();
        let status = if ended.is_ok() { JobStatus::Finished } else { JobStatus::Failed };
        let mut result = JobResult::new(self.submission.job.clone(), status)
            .with_network_run_time_ms(u64::try_from(run_time).unwrap_or(u64::MAX))
            .with_accumulator(ending::SUBMISSION, self.submission.id.to_string().into())
            .with_accumulator(ending::EVENTS, view.as_ref().map_or(0, |view| view.events).into())
            .with_accumulator(ending::RESTARTS, view.as_ref().map_or(0, |view| view.restarts).into());
        if let Some(id) = view.and_then(|view| view.checkpoint) {
            result = result.with_accumulator(ending::CHECKPOINT, id.into());
        }
        match ended {
            Ok(()) => result,
            Err(why) => result.with_error(why),
        }
    }
}

/// Whether what is stored will never be whole again.
fn is_lost(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Corrupt | ErrorKind::StateMissing | ErrorKind::NotFound)
}
