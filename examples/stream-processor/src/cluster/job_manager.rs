//! A job manager: contends for leadership, and as the leader dispatches jobs to job masters.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha::election::{Leadership, Ran};
use ha::embedded::Handle;
use ha::plan::{ExecutionPlan as StoredPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha::seam::Seam;
use ha::{ErrorKind, HaServices, HighAvailabilityServices, JobId};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::events::{Event, What};
use super::network::{Mailbox, Message};
use super::{Failure, Member, job_master, runtime};

/// How long a job manager rests after a failure.
const REST: Duration = Duration::from_millis(50);

/// A job manager with threads of its own, as a process would have them.
#[derive(Debug)]
pub struct JobManager {
    name: String,
    runtime: Option<Runtime>,
    backend: Arc<Handle>,
}

/// What the parts of one job manager share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) name: String,
    pub(super) member: Member,
    pub(super) services: Arc<HaServices>,
    pub(super) seam: Seam,
}

impl Context {
    pub(super) async fn tell(&self, what: What) {
        let event = Event { by: self.name.clone(), at: self.seam.now(), what };
        // Nobody listens any more: the demo is over.
        let _ = self.member.listener.send(event).await;
    }
}

impl JobManager {
    /// Starts a job manager, which contends from now on.
    ///
    /// # Errors
    /// Its threads cannot be started, or its services not be set up.
    pub fn start(name: &str, member: &Member) -> Result<Self, Failure> {
        let runtime = runtime(name, 2)?;
        let seam = Seam::system();
        let (services, backend) = member.services(name, &seam)?;
        let context = Context { name: name.to_owned(), member: member.clone(), services: Arc::new(services), seam };
        runtime.spawn(contend(context));
        Ok(Self { name: name.to_owned(), runtime: Some(runtime), backend })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends it where it stands, as SIGKILL would: nothing is resigned, flushed or told. What of it
    /// has not reached the store never will.
    pub fn kill(mut self) {
        self.backend.crash();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for JobManager {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Contends for leadership for as long as the job manager lives.
async fn contend(context: Context) {
    loop {
        if let Err(error) = lead_once(&context).await {
            context.tell(What::Failed(error.to_string())).await;
            if matches!(&error, Failure::Ha(error) if error.kind() == ErrorKind::Closed) {
                return;
            }
            // What fails for good fails at once: leadership must not change hands in a busy loop.
            context.seam.sleep(REST).await;
        }
    }
}

async fn lead_once(context: &Context) -> Result<(), Failure> {
    let election = context.services.dispatcher_leader_election()?;
    let leadership = tokio::select! {
        biased;
        leadership = election.campaign() => leadership?,
        () = stand_by(context) => unreachable!("standing by has no end"),
    };
    // Reached before it is found: grant, store, confirm, publish.
    let mailbox = context.member.network.bind(format!("{}/dispatcher", context.name));
    leadership.publish(mailbox.address()).await?;
    context.tell(What::Leading(leadership.token())).await;
    match leadership.run(dispatch(context, &leadership, mailbox)).await {
        Ran::Done(result) => result,
        Ran::Lost(why) => {
            context.tell(What::Lost(why.to_string())).await;
            Ok(())
        }
    }
}

/// Tells once that another is seen to lead.
async fn stand_by(context: &Context) {
    if let Ok(retriever) = context.services.dispatcher_leader_retriever() {
        let leader = retriever.watch().leader().await;
        if !leader.address.starts_with(&format!("{}/", context.name)) {
            context.tell(What::StandingBy).await;
        }
    }
    std::future::pending().await
}

/// The dispatcher: recovers what is stored, takes in what is handed in, and has each job mastered.
async fn dispatch(context: &Context, leadership: &Leadership, mut mailbox: Mailbox) -> Result<(), Failure> {
    let plans = leadership.execution_plan_store();
    plans.start(Arc::new(OwnPlansOnly)).await?;
    let mut masters = JoinSet::new();
    for job in plans.job_ids().await? {
        if let Some(stored) = plans.recover_execution_plan(&job).await? {
            masters.spawn(job_master::run(context.clone(), Arc::clone(&plans), stored));
        }
    }
    loop {
        tokio::select! {
            biased;
            Some(done) = masters.join_next() => match done {
                Ok(result) => result?,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            },
            message = mailbox.next() => {
                let Message::Submit { job, plan, accepted } = message else { continue };
                if let Some(stored) = accept(&plans, &job, plan.into()).await? {
                    context.tell(What::Accepted(job)).await;
                    masters.spawn(job_master::run(context.clone(), Arc::clone(&plans), stored));
                }
                // The client may have stopped waiting; it asks again.
                let _ = accepted.send(());
            }
        }
    }
}

/// Stores a plan that was handed in; `None` if it is stored already, and so its job under way.
async fn accept(plans: &Arc<dyn ExecutionPlanStore>, job: &JobId, plan: Bytes) -> Result<Option<StoredPlan>, Failure> {
    if plans.job_ids().await?.contains(job) {
        return Ok(None);
    }
    let plan = StoredPlan::new(job.clone(), plan);
    plans.put_execution_plan(&plan).await?;
    Ok(Some(plan))
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
