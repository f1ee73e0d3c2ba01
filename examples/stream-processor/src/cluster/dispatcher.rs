//! The dispatcher: recovers what is stored, takes in what is handed in, and has each job mastered.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha::election::Leadership;
use ha::job_result::{JobResult, JobResultStore};
use ha::plan::{ExecutionPlanListener, ExecutionPlanStore};
use ha::{ErrorKind, HighAvailabilityServices, JobId, JobStatus};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use super::events::What;
use super::history::{self, Board};
use super::intake::{self, Intake, Taken};
use super::post::{Mailbox, Message};
use super::protocol::{Answer, ClusterStatus, JobView, Offer, Refusal, Request, Submission};
use super::slots::SlotPool;
use super::{Failure, Member, ending, job_master};

/// Jobs that are handed in at the same time.
const INTAKES_MAX: usize = 16;

/// Dispatches for as long as the leadership lasts.
pub(super) async fn dispatch(member: &Member, leadership: &Leadership, mailbox: Mailbox) -> Result<(), Failure> {
    // On the same latch, so they are granted at once: workers find the leader as the resource manager, and clients
    // as the REST endpoint.
    let resources = member.services.resource_manager_leader_election()?.campaign().await?;
    resources.publish(&member.address).await?;
    let rest = member.services.cluster_rest_endpoint_leader_election()?.campaign().await?;
    rest.publish(&member.address).await?;
    let dispatcher = Dispatcher {
        member,
        leadership,
        plans: leadership.execution_plan_store(),
        results: leadership.job_result_store(),
        board: Board::default(),
        pool: Arc::default(),
        accepting: BTreeSet::new(),
        masters: JoinSet::new(),
        intakes: JoinSet::new(),
    };
    dispatcher.run(mailbox).await
}

struct Dispatcher<'a> {
    member: &'a Member,
    leadership: &'a Leadership,
    plans: Arc<dyn ExecutionPlanStore>,
    results: Arc<dyn JobResultStore>,
    board: Board,
    pool: Arc<SlotPool>,
    /// Jobs that are being handed in.
    accepting: BTreeSet<JobId>,
    masters: JoinSet<(JobId, Result<(), Failure>)>,
    intakes: JoinSet<Intake>,
}

impl Dispatcher<'_> {
    async fn run(mut self, mut mailbox: Mailbox) -> Result<(), Failure> {
        self.plans.start(Arc::new(OwnPlansOnly)).await?;
        let broken = self.clean_up_after_the_ended().await?;
        history::show(self.leadership, &self.board).await?;
        self.recover(&broken).await?;
        self.member.tell(What::Settled { jobs: self.masters.len() }).await;
        loop {
            tokio::select! {
                biased;
                Some(done) = self.masters.join_next() => if let Some((job, done)) = own(done) {
                    self.mastered(job, done).await?;
                },
                Some(done) = self.intakes.join_next() => if let Some(intake) = own(done) {
                    self.taken_in(intake).await;
                },
                message = mailbox.next() => self.take(message),
            }
        }
    }

    /// Finishes what earlier leaders have begun: jobs with a dirty result. Gives the jobs whose result cannot be
    /// read, which must neither run nor be cleaned up after.
    async fn clean_up_after_the_ended(&self) -> Result<BTreeSet<JobId>, Failure> {
        let dirty = self.results.dirty_results().await?;
        let mut broken = BTreeSet::new();
        for entry in dirty.broken {
            if let Some(job) = &entry.job {
                self.set_aside(job, &entry.error.to_string());
            }
            self.member.tell(What::Failed(entry.error.to_string())).await;
            broken.extend(entry.job);
        }
        for result in dirty.results {
            // Also if nobody can clean up after it: its client waits to hear how it ended.
            self.board.end(&result);
            self.member.tell(What::EndedEarlier(result.clone())).await;
            match ending::clean_up(self.leadership, &*self.plans, &result).await {
                Ok(()) => self.member.tell(What::CleanedUp(result.job)).await,
                Err(error) if is_of_one_job(&error) => self.member.tell(What::Failed(error.to_string())).await,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(broken)
    }

    /// Starts every job that has a plan and no result.
    async fn recover(&mut self, broken: &BTreeSet<JobId>) -> Result<(), Failure> {
        for job in self.plans.job_ids().await? {
            if broken.contains(&job) || self.results.has_job_result_entry(&job).await? {
                continue;
            }
            let stored = match self.plans.recover_execution_plan(&job).await {
                Ok(stored) => stored,
                // It stays stored, for people to look at; the other jobs go on.
                Err(error) if is_of_one_job(&error) => {
                    self.set_aside(&job, &error.to_string());
                    self.member.tell(What::Failed(error.to_string())).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(stored) = stored else { continue };
            match serde_json::from_slice(&stored.plan) {
                Ok(submission) => self.master(submission),
                Err(error) => {
                    let why = format!("{job}: {}", Failure::Plan(error));
                    self.set_aside(&job, &why);
                    self.member.tell(What::Failed(why)).await;
                }
            }
        }
        Ok(())
    }

    /// Shows a job that is stored and cannot be run.
    fn set_aside(&self, job: &JobId, why: &str) {
        self.board.put(JobView { error: Some(why.to_owned()), ..JobView::new(job.clone(), JobStatus::Suspended) });
    }

    fn master(&mut self, submission: Submission) {
        self.board.put(JobView::new(submission.job.clone(), JobStatus::Created));
        let (plans, board, pool) = (Arc::clone(&self.plans), self.board.clone(), Arc::clone(&self.pool));
        let (member, job) = (self.member.clone(), submission.job.clone());
        self.masters.spawn(async move { (job, job_master::run(member, plans, board, pool, submission).await) });
    }

    /// A job's master has ended: with the job, or because it could not go on.
    async fn mastered(&self, job: JobId, done: Result<(), Failure>) -> Result<(), Failure> {
        match done {
            Err(Failure::Ha(error)) if is_of_one_job(&error) => {
                let why = error.to_string();
                // It stays stored, for people to look at; the other jobs go on.
                self.board.change(&job, |view| {
                    if !view.state.is_globally_terminal() {
                        (view.state, view.error) = (JobStatus::Suspended, Some(why.clone()));
                    }
                });
                self.member.tell(What::Failed(why)).await;
                Ok(())
            }
            done => done,
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Submit { submission, content, answer } => {
                let job = submission.job.clone();
                if self.intakes.len() >= INTAKES_MAX {
                    tell(answer, Answer::TryAgain("too many jobs are handed in at this moment".to_owned()));
                // Race: two clients hand in the same job, and each finds that there is none yet.
                // Closed by: one intake for each job at a time; the second is refused, or tries again.
                // Cost if missed: the second plan replaces the first, whose client was told that it is stored.
                } else if !self.accepting.insert(job) {
                    tell(answer, Answer::Refused(Refusal::BeingSubmitted));
                } else {
                    let stores = intake::Stores {
                        plans: Arc::clone(&self.plans),
                        results: Arc::clone(&self.results),
                        blobs: self.leadership.blob_store(),
                        seam: self.member.seam.clone(),
                    };
                    let board = self.board.clone();
                    self.intakes.spawn(intake::take_in(stores, board, *submission, content, answer));
                }
            }
            Message::Offer { offer, pool } => {
                // The worker may be gone; it offers again.
                let _ = pool.send(self.offered(&offer));
            }
            // Race: this process was paused, and what it was asked meanwhile is answered before it learns that
            //     another leads.
            // Closed by: a look at the clock before each answer; without an answer, the client asks again.
            // Cost if missed: a client is told that there is no such job, which the next leader has taken in.
            Message::Ask { answer, .. } if !self.leadership.is_valid() => drop(answer),
            Message::Ask { request, answer } => tell(answer, self.answer(request)),
        }
    }

    fn offered(&self, offer: &Offer) -> Result<Arc<SlotPool>, Refusal> {
        let token = self.leadership.token();
        if (offer.session_id, offer.token) != (self.leadership.session_id(), token) {
            return Err(Refusal::OtherTerm(token));
        }
        Ok(Arc::clone(&self.pool))
    }

    fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(ClusterStatus {
                leader: self.member.address.clone(),
                token: self.leadership.token(),
                free_slots: self.pool.free(),
                jobs: self.board.all(),
            }),
            Request::Job(job) => Answer::Job(self.board.get(&job)),
            Request::Submit(_) | Request::Offer(_) => {
                Answer::Refused(Refusal::Invalid("this is no question".to_owned()))
            }
        }
    }

    async fn taken_in(&mut self, intake: Intake) {
        let Intake { submission, taken, answer } = intake;
        self.accepting.remove(&submission.job);
        let said = match taken {
            Taken::Stored => {
                self.member.tell(What::Accepted(submission.job.clone())).await;
                self.master(submission);
                Answer::Accepted
            }
            Taken::Before => {
                // Race: the plan was stored, but not even this leader was told so (an unknown outcome); the client
                //     hands the job in again.
                // Closed by: looking whether anybody masters the job, before saying that all is well.
                // Cost if missed: the job is accepted, and waits for the next leader.
                if self.board.get(&submission.job).is_none() {
                    self.master(submission);
                }
                Answer::Accepted
            }
            Taken::Refused(why) => Answer::Refused(why),
            Taken::NotNow(error) => Answer::TryAgain(error),
        };
        tell(answer, said);
    }
}

/// The client may have stopped waiting; it asks again.
fn tell(answer: oneshot::Sender<Answer>, said: Answer) {
    let _ = answer.send(said);
}

/// What a task of this value's own has come to; its panic is ours.
fn own<T>(done: Result<T, JoinError>) -> Option<T> {
    match done {
        Ok(value) => Some(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

/// Whether what is stored of one job cannot be used: no reason to leave the others alone.
fn is_of_one_job(error: &ha::Error) -> bool {
    use ErrorKind::{Corrupt, NewerFormat, NotFound, StateMissing};
    matches!(error.kind(), Corrupt | NewerFormat | NotFound | StateMissing)
}

/// The status and figures of a job that has ended.
pub(super) fn view_of(result: &JobResult) -> JobView {
    let number = |name: &str| result.accumulators.get(name).and_then(serde_json::Value::as_u64);
    let mut view = JobView::new(result.job.clone(), result.status);
    view.checkpoint = number(ending::CHECKPOINT);
    view.events = number(ending::EVENTS).unwrap_or_default();
    view.restarts = number(ending::RESTARTS).unwrap_or_default();
    view.run_time_ms = Some(result.network_run_time_ms);
    view.error.clone_from(&result.error);
    view
}

/// Jobs come through this dispatcher alone; what others change in the store concerns the next leader.
#[derive(Debug)]
struct OwnPlansOnly;

impl ExecutionPlanListener for OwnPlansOnly {
    fn on_added_execution_plan(&self, job: &JobId) {
        tracing::warn!(%job, "a plan was added past this dispatcher");
    }
    fn on_removed_execution_plan(&self, job: &JobId) {
        tracing::warn!(%job, "a plan was removed past this dispatcher");
    }
}
