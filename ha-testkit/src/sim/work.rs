//! What a leader writes and reads.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use ha_core::blob::{BlobKey, BlobStore};
use ha_core::checkpoint::{
    CheckpointIdCounter, CheckpointRecoveryFactory, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly,
    RecoveryClaimMode,
};
use ha_core::cleanup::{OrphanCollector, OrphanOptions};
use ha_core::election::Leadership;
use ha_core::job_result::{JobResult, JobResultStore};
use ha_core::plan::{ExecutionPlan, ExecutionPlanStore};
use ha_core::state::chunks_of;
use ha_core::{Error, ErrorKind, HighAvailabilityServices, JobId, JobStatus};

use super::life::Own;
use super::reader::Indifferent;
use super::world::LATCH;
use crate::history::{Answer, Call, Checkpoint, Outcome, StoredResult, TakenFor, Term};

/// One is the beginning of another: whoever compares prefixes without their end mixes them up.
pub(super) const JOBS: [&str; 3] = ["job-1", "job-10", "job-2"];
/// The job whose result comes and goes: its key is created again and again.
pub(super) const SHORT_JOB: &str = "job-3";
/// How many checkpoints are retained.
const RETAINED: usize = 2;
/// How often a clean-up is noted as a removal of what others may put meanwhile.
const CLEAN_UP_ROUNDS: usize = 3;
/// How many contents there are.
const BLOBS: u64 = 4;
/// After so many calls a worker has had enough of leading, now and then.
const CALLS_MAX: u64 = 400;

pub(super) fn job(name: &str) -> JobId {
    JobId::new(name).expect("a name of letters, digits and hyphens")
}

fn content(which: u64) -> String {
    format!("content {which}")
}

/// Whether it makes no sense to go on under this leadership.
fn is_over(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced | ErrorKind::Closed)
}

/// One leadership's work.
struct Work<'a> {
    own: &'a Own,
    leadership: &'a Leadership,
    epoch: u64,
    plans: Arc<dyn ExecutionPlanStore>,
    results: Arc<dyn JobResultStore>,
    blobs: Arc<dyn BlobStore>,
}

/// Publishes, recovers, and works until the leadership is over or it has had enough.
pub(super) async fn all(own: &Own, leadership: &Leadership) {
    let epoch = leadership.token().epoch();
    let call = || Call::Publish { component: "dispatcher".into(), address: own.address.clone() };
    loop {
        let published = own.call(Some(epoch), call(), leadership.publish(&own.address), |()| Answer::Nothing).await;
        match published {
            Ok(()) => break own.world.published(epoch),
            Err(error) if is_over(&error) => return,
            Err(_) => own.rest(Duration::from_millis(100)).await,
        }
    }
    let (plans, results) = (leadership.execution_plan_store(), leadership.job_result_store());
    let work = Work { own, leadership, epoch, plans, results, blobs: leadership.blob_store() };
    while let Err(error) = work.plans.start(Arc::new(Indifferent)).await {
        if is_over(&error) {
            return;
        }
        work.leisure().await;
    }
    work.recover_plans().await;
    let calls = 20 + own.seam.random_u64() % CALLS_MAX;
    // Each ends by itself when the leadership is over.
    futures_util::join!(
        work.run_job(JOBS[0], calls),
        work.run_job(JOBS[1], calls),
        work.administer(calls),
        work.end_short_jobs(calls / 4)
    );
}

/// The counter and the checkpoints of one job, as one leader uses them.
struct Running {
    job: JobId,
    counter: Arc<dyn CheckpointIdCounter>,
    checkpoints: Arc<dyn CompletedCheckpointStore>,
}

impl Work<'_> {
    async fn leisure(&self) {
        // Most of the time at once: then something is under way whenever something goes wrong.
        if self.own.chance(3) {
            self.own.rest(self.own.world.leisure() * 3).await;
        } else {
            self.own.rest(Duration::from_millis(60)).await;
        }
    }

    async fn write<T>(&self, call: Call, made: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.call(call, made, |_| Answer::Nothing).await
    }

    async fn call<T>(
        &self,
        call: Call,
        made: impl Future<Output = Result<T, Error>>,
        answer: impl FnOnce(&T) -> Answer,
    ) -> Result<T, Error> {
        let written = call.is_write().then(|| call.clone());
        let made = self.own.call(Some(self.epoch), call, made, answer).await;
        if let (Ok(_), Some(call)) = (&made, written) {
            self.own.world.written(self.epoch, &call);
        }
        made
    }

    /// A text that is written once.
    fn text(&self) -> String {
        format!("{}-{:016x}", self.own.address, self.own.seam.random_u64())
    }

    async fn recover_plans(&self) {
        for name in JOBS {
            drop(read_plan(self.own, Some(self.epoch), &*self.plans, &job(name)).await);
        }
    }

    /// Recovers a job and lets it take checkpoints, until it is over.
    async fn run_job(&self, name: &str, calls: u64) {
        let mut left = calls;
        while left > 0 && self.leadership.is_valid() {
            match self.recover(name).await {
                Ok(running) => match self.take_checkpoints(&running, &mut left).await {
                    Err(error) if is_over(&error) => return,
                    _ => {}
                },
                Err(error) if is_over(&error) => return,
                Err(_) => {}
            }
            left = left.saturating_sub(1);
            self.leisure().await;
        }
    }

    async fn recover(&self, name: &str) -> Result<Running, Error> {
        let job = job(name);
        let factory = self.leadership.checkpoint_recovery_factory();
        let call = Call::Recover { job: name.into() };
        let recovering = recovered_by(&*factory, &job);
        let (checkpoints, _) = self.call(call, recovering, |(_, all)| recovered(all)).await?;
        let counter = factory.create_checkpoint_id_counter(&job);
        counter.start().await?;
        drop(self.call(Call::ReadCounter { job: name.into() }, counter.get(), |next| Answer::Id(*next)).await);
        Ok(Running { job, counter, checkpoints })
    }

    async fn take_checkpoints(&self, running: &Running, left: &mut u64) -> Result<(), Error> {
        let name = || running.job.to_string();
        while *left > 0 {
            *left -= 1;
            if self.own.chance(60) {
                return self.end_job(running).await;
            }
            if self.own.chance(25) {
                // As if it had failed, and were run again by the same leader.
                return Ok(());
            }
            self.perhaps_skip_ids(running).await?;
            self.perhaps_count_twice(running).await?;
            let next = self.perhaps_dropped(running.counter.get_and_increment());
            let id = self.call(Call::NextId { job: name() }, next, |id| Answer::Id(*id)).await;
            let id = match id {
                Ok(id) => id,
                Err(error) if is_over(&error) => return Err(error),
                Err(_) => continue,
            };
            let state = self.text();
            let taken_for = self.drawn();
            let checkpoint = CompletedCheckpoint::new(id, taken_for.into(), 0, state.clone().into());
            let call = Call::AddCheckpoint { job: name(), id, state, retain: RETAINED, taken_for };
            let adding = running.checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint);
            match self.write(call, self.perhaps_dropped(adding)).await {
                Err(error) if is_over(&error) => return Err(error),
                // In doubt: some look what there is, some end the job, and the others go on.
                Err(error) if error.may_have_applied() && self.own.chance(2) => return Ok(()),
                Err(error) if error.may_have_applied() && self.own.chance(4) => return self.end_job(running).await,
                _ => {}
            }
            self.leisure().await;
        }
        Ok(())
    }

    /// Mostly a checkpoint; now and then a savepoint.
    fn drawn(&self) -> TakenFor {
        match self.own.seam.random_u64() % 40 {
            0 => TakenFor::FinalSavepoint,
            1..6 => TakenFor::Savepoint,
            _ => TakenFor::Checkpoint,
        }
    }

    /// Now and then some ids are left out, as when a job is restored from a checkpoint of another.
    async fn perhaps_skip_ids(&self, running: &Running) -> Result<(), Error> {
        if !self.own.chance(40) {
            return Ok(());
        }
        let job = || running.job.to_string();
        // Not noted as a read: an instance that has given ids does not go below them, whatever is stored.
        let Ok(next) = running.counter.get().await.map(|next| next + 3) else { return Ok(()) };
        match self.write(Call::SetCount { job: job(), next }, running.counter.set_count(next)).await {
            Err(error) if is_over(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Now and then two instances of the counter take an id at the same time.
    async fn perhaps_count_twice(&self, running: &Running) -> Result<(), Error> {
        if !self.own.chance(20) {
            return Ok(());
        }
        let other = self.leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&running.job);
        other.start().await?;
        let next = async |counter: &dyn CheckpointIdCounter| {
            let call = Call::NextId { job: running.job.to_string() };
            self.call(call, counter.get_and_increment(), |id| Answer::Id(*id)).await
        };
        match futures_util::join!(next(&*other), next(&*running.counter)) {
            (Err(error), _) | (_, Err(error)) if is_over(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Now and then a call is dropped half-way: its outcome is unknown.
    async fn perhaps_dropped<T>(&self, made: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if !self.own.chance(30) {
            return made.await;
        }
        let patience = Duration::from_micros(self.own.seam.random_u64() % 30_000);
        let dropped = || Error::new(ErrorKind::Indeterminate, "call").because("dropped half-way");
        self.own.seam.timeout(patience, made).await.unwrap_or_else(|| Err(dropped()))
    }

    /// The job is over for good: a dirty result, then all of it removed, then a clean one.
    async fn end_job(&self, running: &Running) -> Result<(), Error> {
        let name = || running.job.to_string();
        self.put_result(&running.job).await?;
        let ending = running.checkpoints.shutdown(JobStatus::Finished);
        self.write(Call::RemoveCheckpoints { job: name() }, ending).await?;
        let ending = running.counter.shutdown(JobStatus::Finished);
        self.write(Call::RemoveCounter { job: name() }, ending).await?;
        // What the stores have left, a clean-up would hide.
        if self.own.chance(2) {
            self.clean_up(&running.job).await?;
        }
        self.clean_result(&running.job).await
    }

    /// Removes all of a job in several steps: where it fails, each may have been done.
    async fn clean_up(&self, job: &JobId) -> Result<(), Error> {
        let name = || job.to_string();
        let term = || Some(Term::new(LATCH, self.epoch));
        let mut calls = vec![Call::RemoveCheckpoints { job: name() }, Call::RemoveCounter { job: name() }];
        // It looks again until it finds nothing more: what is put meanwhile is removed, too.
        for _ in 0..CLEAN_UP_ROUNDS {
            calls.push(Call::RemovePlan { job: name() });
            calls.extend((0..BLOBS).map(|which| Call::RemoveBlob { blob: format!("{job}/{}", content(which)) }));
        }
        let pending: Vec<_> = calls.into_iter().map(|call| self.own.scribe.invoked(term(), call)).collect();
        let cleaned = self.own.services.global_cleanup(job).await;
        for pending in pending {
            pending.returned(match &cleaned {
                Ok(()) => Outcome::Done(Answer::Nothing),
                Err(error) => Outcome::Unknown { kind: format!("{:?}", error.kind()) },
            });
        }
        cleaned
    }

    async fn put_result(&self, job: &JobId) -> Result<(), Error> {
        let text = self.text();
        let result = JobResult::new(job.clone(), JobStatus::Finished).with_error(text.clone());
        let call = Call::PutResult { job: job.to_string(), result: text };
        self.write(call, self.results.create_dirty_result(&result)).await
    }

    /// One job after another of the same name: a result, which is removed and comes again. So late copies of commits
    /// find what looks like what they were sent for.
    async fn end_short_jobs(&self, calls: u64) {
        for _ in 0..calls {
            if !self.leadership.is_valid() && self.own.chance(4) {
                return;
            }
            match self.end_short_job().await {
                Err(error) if is_over(&error) => return,
                _ => self.leisure().await,
            }
        }
    }

    async fn end_short_job(&self) -> Result<(), Error> {
        let job = job(SHORT_JOB);
        // Whatever became of it: there may be one.
        match self.put_result(&job).await {
            Err(error) if is_over(&error) => return Err(error),
            _ => self.leisure().await,
        }
        if self.own.chance(3) {
            read_result(self.own, Some(self.epoch), &*self.results, &job).await?;
        }
        match self.own.chance(4) {
            // Several who found the same one may all be told that it is gone.
            true => {
                let (one, other) = futures_util::join!(self.clean_result(&job), self.clean_result(&job));
                one.and(other)
            }
            false => self.clean_result(&job).await,
        }
    }

    async fn clean_result(&self, job: &JobId) -> Result<(), Error> {
        let call = Call::CleanResult { job: job.to_string(), keeps: false };
        self.write(call, self.perhaps_dropped(self.results.mark_result_as_clean(job))).await
    }

    /// Plans, results and blobs.
    async fn administer(&self, calls: u64) {
        for _ in 0..calls {
            if !self.leadership.is_valid() && self.own.chance(4) {
                return;
            }
            let done = match self.own.chance(8) {
                // Two at once, perhaps on one plan or blob.
                true => {
                    let (one, other) = futures_util::join!(self.one_step(), self.one_step());
                    one.and(other)
                }
                false => self.one_step().await,
            };
            match done {
                Err(error) if is_over(&error) => return,
                _ => self.leisure().await,
            }
        }
    }

    async fn one_step(&self) -> Result<(), Error> {
        let name = JOBS[(self.own.seam.random_u64() % JOBS.len() as u64) as usize];
        let job = job(name);
        match self.own.seam.random_u64() % 20 {
            0..7 => {
                let plan = self.text();
                let call = Call::PutPlan { job: name.into(), plan: plan.clone() };
                let plan = ExecutionPlan::new(job, plan.into());
                let put = self.write(call, self.perhaps_dropped(self.plans.put_execution_plan(&plan))).await;
                match &put {
                    Err(error) if error.may_have_applied() && self.own.chance(2) => {
                        read_plan(self.own, Some(self.epoch), &*self.plans, &plan.job).await
                    }
                    _ => put,
                }
            }
            7 => self.write(Call::RemovePlan { job: name.into() }, self.plans.global_cleanup(&job)).await,
            8..12 => read_plan(self.own, Some(self.epoch), &*self.plans, &job).await,
            12 => self.put_result(&job).await,
            // Also of a job that somebody else ends just now.
            13 => self.clean_result(&job).await,
            14 | 15 => read_result(self.own, Some(self.epoch), &*self.results, &job).await,
            16..19 => self.one_blob(&job).await,
            _ => {
                let options = OrphanOptions { orphans_max: 20, ..OrphanOptions::default() };
                OrphanCollector::of(self.leadership, options).collect().await.map(drop)
            }
        }
    }

    async fn one_blob(&self, job: &JobId) -> Result<(), Error> {
        let content = content(self.own.seam.random_u64() % BLOBS);
        let key = BlobKey::of(content.as_bytes());
        let blob = format!("{job}/{content}");
        match self.own.seam.random_u64() % 5 {
            0..2 => {
                let call = Call::PutBlob { blob, content: content.clone() };
                let putting = self.perhaps_dropped(self.blobs.put(job, chunks_of(content.into())));
                self.write(call, putting).await.map(drop)
            }
            2 => self.write(Call::RemoveBlob { blob }, self.perhaps_dropped(self.blobs.delete(job, &key))).await,
            _ => self.read_blob(job, &content).await,
        }
    }

    async fn read_blob(&self, job: &JobId, content: &str) -> Result<(), Error> {
        let key = BlobKey::of(content.as_bytes());
        let reading = async {
            let chunks = match self.blobs.get(job, &key).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                other => other?,
            };
            let chunks: Vec<_> = chunks.try_collect().await?;
            Ok(Some(String::from_utf8_lossy(&chunks.concat()).into_owned()))
        };
        let call = Call::ReadBlob { blob: format!("{job}/{content}") };
        self.call(call, reading, |content| Answer::Value(content.clone())).await.map(drop)
    }
}

/// Of what kinds an acknowledged write is looked for in the calm: those of [`kind_of`].
pub(super) const KINDS: usize = 7;

/// What goes on in a healthy cluster: both jobs take ids and checkpoints, plans are put, results come and go.
pub(super) fn kind_of(call: &Call) -> Option<(&'static str, String)> {
    match call {
        Call::NextId { job } => Some(("id", job.clone())),
        Call::AddCheckpoint { job, .. } => Some(("checkpoint", job.clone())),
        Call::PutPlan { .. } => Some(("plan", String::new())),
        Call::PutResult { .. } => Some(("result", String::new())),
        Call::CleanResult { .. } => Some(("clean result", String::new())),
        _ => None,
    }
}

/// The checkpoints of the job as whoever leads, or does not, recovers them.
pub(super) async fn recovered_by(
    factory: &dyn CheckpointRecoveryFactory,
    job: &JobId,
) -> Result<(Arc<dyn CompletedCheckpointStore>, Vec<Arc<CompletedCheckpoint>>), Error> {
    let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    let store = factory.create_recovered_completed_checkpoint_store(job, RETAINED, mode, discarder).await?;
    let all = store.get_all_checkpoints().await?;
    Ok((store, all))
}

pub(super) fn recovered(all: &[Arc<CompletedCheckpoint>]) -> Answer {
    let state = |checkpoint: &CompletedCheckpoint| String::from_utf8_lossy(&checkpoint.state).into_owned();
    Answer::Checkpoints(all.iter().map(|of| Checkpoint { id: of.id, state: state(of) }).collect())
}

pub(super) async fn read_plan(
    own: &Own,
    under: Option<u64>,
    plans: &dyn ExecutionPlanStore,
    job: &JobId,
) -> Result<(), Error> {
    let call = Call::ReadPlan { job: job.to_string() };
    let text = |plan: &ExecutionPlan| String::from_utf8_lossy(&plan.plan).into_owned();
    let reading = plans.recover_execution_plan(job);
    own.call(under, call, reading, |plan| Answer::Value(plan.as_ref().map(text))).await.map(drop)
}

pub(super) async fn read_result(
    own: &Own,
    under: Option<u64>,
    results: &dyn JobResultStore,
    job: &JobId,
) -> Result<(), Error> {
    let reading = async {
        let all = results.dirty_results().await?;
        match all.broken.into_iter().next() {
            Some(broken) => Err(broken.error),
            None => Ok(all.results.into_iter().find(|result| result.job == *job)),
        }
    };
    let stored = |result: &JobResult| StoredResult { result: result.error.clone().unwrap_or_default(), clean: false };
    let call = Call::ReadResult { job: job.to_string() };
    own.call(under, call, reading, |found| Answer::Result(found.as_ref().map(stored))).await.map(drop)
}

/// Everything that one who audits reads, under a leadership of its own. Whether all of it could be read.
pub(super) async fn audit(own: &Own, leadership: &Leadership) -> bool {
    let epoch = leadership.token().epoch();
    let (plans, results) = (leadership.execution_plan_store(), leadership.job_result_store());
    let work = Work { own, leadership, epoch, plans, results, blobs: leadership.blob_store() };
    if work.plans.start(Arc::new(Indifferent)).await.is_err() {
        return false;
    }
    let mut whole = true;
    for name in JOBS {
        whole &= read_plan(own, Some(epoch), &*work.plans, &job(name)).await.is_ok();
        whole &= read_result(own, Some(epoch), &*work.results, &job(name)).await.is_ok();
        whole &= work.recover(name).await.is_ok();
        for which in 0..BLOBS {
            whole &= work.read_blob(&job(name), &content(which)).await.is_ok();
        }
    }
    whole &= read_result(own, Some(epoch), &*work.results, &job(SHORT_JOB)).await.is_ok();
    whole
}
