//! What is done over and over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{Backend, Name, Prefix, SessionOptions};
use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha_core::cleanup::{CleanupStrategy, OrphanCollector, OrphanOptions, ResourceCleaner};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::retrieval::{Leader, LeaderRetrievalListener, LeaderView, LeaderWatch};
use ha_core::seam::Seam;
use ha_core::state::chunks_of;
use ha_core::{
    ClientHaServices, ClientHighAvailabilityServices, Error, ErrorKind, HaServices, HighAvailabilityServices, JobId,
    JobStatus, PresenceOptions, ServicesOptions,
};
use ha_testkit::cancel::cut_at;
use ha_testkit::ledger::{Counts, Holdings};

use crate::leak::Leaked;
use crate::{Gauge, Leak, Place, Sample};

/// How many checkpoints a job makes; more than are retained.
const CHECKPOINTS: u64 = 5;
const RETAINED: usize = 2;
/// Within this, everything that a cycle waits for comes, and rest comes after a cycle.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often, and after how long each time, it is looked whether all is at rest.
const LOOKS: usize = 100;
const LOOK: Duration = Duration::from_millis(20);
const SAME: usize = 5;

/// A process that lives for the whole soak, and others that come and go beside it.
#[derive(Debug)]
pub struct Soak {
    place: Arc<dyn Place>,
    seam: Seam,
    counts: Counts,
    silence: Duration,
    backend: Arc<dyn Backend>,
    resident: HaServices,
    /// How long a leader does nothing, in each cycle.
    rest: Duration,
    leaked: Leaked,
    cycle: u64,
    /// What is being done, for whoever has to know what did not come to its end.
    step: Mutex<&'static str>,
    /// How many tasks there were at the first rest.
    at_rest: Option<usize>,
}

impl Soak {
    /// Opens the services that live for the whole soak. The seam must be the one that the place was made with.
    ///
    /// # Errors
    /// As the backend's.
    pub async fn new(
        place: Arc<dyn Place>,
        (seam, counts): (Seam, Counts),
        silence: Duration,
        rest: Duration,
    ) -> Result<Self, Error> {
        let backend = place.connect().await?;
        let options = options("resident", silence, rest);
        let resident = HaServices::new(Arc::clone(&backend), place.storage(), &options, seam.clone())?;
        let leaked = Leaked::default();
        Ok(Self {
            place,
            seam,
            counts,
            silence,
            backend,
            resident,
            rest,
            leaked,
            cycle: 0,
            step: Mutex::default(),
            at_rest: None,
        })
    }

    /// Does everything once.
    ///
    /// # Errors
    /// Whatever does not go as it must: nothing disturbs a soak, so nothing may fail.
    pub async fn cycle(&mut self, leak: Option<Leak>) -> Result<(), Error> {
        self.cycle += 1;
        let cycle = self.cycle;
        self.in_time(self.lead_and_hand_over(cycle)).await?;
        self.in_time(self.finish(cycle)).await?;
        self.in_time(self.extra_latch()).await?;
        if let Some(leak) = leak {
            self.leaked.leak(leak, &self.seam, &self.backend, &*self.place).await?;
        }
        Ok(())
    }

    fn step(&self, step: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    async fn in_time(&self, work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        let late = || Error::new(ErrorKind::Unavailable, "soak").because("it did not come to its end");
        let done = self.seam.timeout(PATIENCE + self.rest, work).await.unwrap_or_else(|| Err(late()));
        let step = *self.step.lock().unwrap_or_else(PoisonError::into_inner);
        done.map_err(|error| error.at(format!("cycle {}, {step}", self.cycle)))
    }

    async fn guest(&self, name: &str) -> Result<(Arc<dyn Backend>, HaServices), Error> {
        let backend = self.place.connect().await?;
        let options = options(name, self.silence, self.rest);
        let services = HaServices::new(Arc::clone(&backend), self.place.storage(), &options, self.seam.clone())?;
        Ok((backend, services))
    }

    /// The resident leads and does a job; a guest wins after it, and does half of one.
    async fn lead_and_hand_over(&self, cycle: u64) -> Result<(), Error> {
        self.step("the resident campaigns");
        let leadership = self.resident.dispatcher_leader_election()?.campaign().await?;
        self.step("a guest gives up");
        let (backend, guest) = self.guest("guest").await?;
        let election = guest.dispatcher_leader_election()?;
        // Somebody gives up at a campaign that cannot be won, at another point each time; at the last one it waits.
        let given_up = cut_at((cycle % 8) as usize, election.campaign());
        let _ = self.seam.timeout(Duration::from_millis(20), given_up).await;
        self.step("a client looks");
        let client = ClientHaServices::new(
            self.place.connect().await?,
            &options("", self.silence, self.rest),
            self.seam.clone(),
        )?;
        self.step("the resident leads as another component");
        let election_of_rest = self.resident.cluster_rest_endpoint_leader_election()?;
        let rest = election_of_rest.campaign().await?;
        self.step("a client sees it");
        rest.publish("rest:1").await?;
        let mut watch = client.cluster_rest_endpoint_leader_retriever()?.watch();
        seen(&mut watch, "rest:1").await;
        drop(watch);
        client.close().await?;
        drop(rest);

        self.step("the resident does a job");
        let retrieval = guest.dispatcher_leader_retriever()?;
        retrieval.start(Arc::new(Deaf))?;
        let done = self.job(&leadership, &format!("resident-{cycle}")).await?;
        self.clean_up(&leadership, &done).await?;
        self.step("the resident sees itself");
        seen(&mut self.resident.dispatcher_leader_retriever()?.watch(), "dispatcher:1").await;
        self.seam.sleep(self.rest).await;
        self.step("the resident resigns");
        leadership.resign().await?;

        self.step("the guest campaigns");
        let leadership = election.campaign().await?;
        self.job(&leadership, &format!("guest-{cycle}")).await?;
        retrieval.stop().await;
        self.step("the guest goes");
        match cycle % 3 {
            0 => guest.close().await?,
            // Left without a word.
            1 => drop((leadership, guest)),
            // Its handle is closed while it leads.
            _ => backend.close().await?,
        }
        Ok(())
    }

    /// What the guest has left is finished.
    async fn finish(&self, cycle: u64) -> Result<(), Error> {
        self.step("the resident wins again");
        let leadership = self.resident.dispatcher_leader_election()?.campaign().await?;
        self.step("the resident cleans up");
        let mut left = cleaner(&leadership)?.clean_up_dirty_results().await?;
        left.finished().await;
        drop(left);
        OrphanCollector::of(&leadership, OrphanOptions::default()).collect().await.map(drop)?;
        if cycle.is_multiple_of(2) { leadership.resign().await } else { Ok(()) }
    }

    /// Leads on a latch of its own, and leaves it by dropping it.
    async fn extra_latch(&self) -> Result<(), Error> {
        self.step("an extra latch");
        let (latch, component) = (Name::new("shard-1")?, ha_core::ComponentId::resource_manager());
        let leadership = self.resident.leader_election_on(&latch, component.clone())?.campaign().await?;
        leadership.publish("shard:1").await?;
        seen(&mut self.resident.leader_retriever_on(&latch, component)?.watch(), "shard:1").await;
        Ok(())
    }

    /// Runs a job to its end, up to its dirty result.
    async fn job(&self, leadership: &Leadership, name: &str) -> Result<JobResult, Error> {
        let job = JobId::new(name)?;
        leadership.publish("dispatcher:1").await?;
        let plans = leadership.execution_plan_store();
        plans.start(Arc::new(Deaf)).await?;
        for content in ["one", "two"] {
            plans.put_execution_plan(&ExecutionPlan::new(job.clone(), content.into())).await?;
        }
        plans.stop().await?;
        leadership.blob_store().put(&job, chunks_of(format!("artefact of {name}").into())).await?;
        let factory = leadership.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job);
        counter.start().await?;
        let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
        let store = factory.create_recovered_completed_checkpoint_store(&job, RETAINED, mode, discarder).await?;
        for _ in 0..CHECKPOINTS {
            let id = counter.get_and_increment().await?;
            let checkpoint =
                CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, id, format!("{name} {id}").into());
            store.add_checkpoint_and_subsume_oldest_one(checkpoint).await?;
        }
        store.discards_settled().await;
        let result = JobResult::new(job, JobStatus::Finished);
        leadership.job_result_store().create_dirty_result(&result).await?;
        Ok(result)
    }

    async fn clean_up(&self, leadership: &Leadership, result: &JobResult) -> Result<(), Error> {
        let end = cleaner(leadership)?.clean_up(result).await;
        self.resident.local_cleanup(&result.job).await?;
        match end {
            ha_core::cleanup::CleanupEnd::Clean => Ok(()),
            other => Err(Error::new(ErrorKind::IllegalState, "clean up").at(&result.job).because(format!("{other:?}"))),
        }
    }

    /// Waits until nothing of the last cycle runs any more, and counts everything.
    ///
    /// # Errors
    /// As the backend's.
    pub async fn sample(&mut self) -> Result<Sample, Error> {
        self.come_to_rest().await;
        let reader = self.place.connect().await?;
        let entries = reader.list(&Prefix::root()).await?.entries;
        reader.close().await?;
        let held = entries.iter().filter(|entry| entry.held.is_some()).count() as u64;
        let keys = entries.len() as u64;
        drop((entries, reader));
        let mut gauges = vec![(Gauge::Keys, keys), (Gauge::Latches, held)];
        gauges.extend(self.place.holds().await?);
        self.come_to_rest().await;
        let holdings = Holdings::now();
        gauges.extend([
            (Gauge::Resident, holdings.resident_bytes),
            (Gauge::Allocated, crate::allocated_bytes()),
            (Gauge::Tasks, self.counts.tasks() as u64),
            (Gauge::RuntimeTasks, tokio::runtime::Handle::current().metrics().num_alive_tasks() as u64),
            (Gauge::Timers, self.counts.timers() as u64),
            (Gauge::Threads, holdings.threads),
            (Gauge::Descriptors, holdings.descriptors),
            (Gauge::Sockets, holdings.sockets),
        ]);
        Ok(Sample { cycle: self.cycle, gauges })
    }

    /// Rest is when the tasks are the same, and no more than at the first rest, a few times in a row. If that does not
    /// come, it is counted all the same: then there are more.
    async fn come_to_rest(&mut self) {
        let (mut last, mut same) = (usize::MAX, 0);
        for _ in 0..LOOKS {
            self.seam.sleep(LOOK).await;
            let tasks = self.counts.tasks();
            let few = self.at_rest.is_none_or(|at_rest| tasks <= at_rest);
            same = if tasks == last && few { same + 1 } else { 0 };
            last = tasks;
            if same == SAME {
                break;
            }
        }
        self.at_rest.get_or_insert(last);
    }
}

/// Where a leader rests, time is simulated; a socket knows none of that.
fn options(label: &str, silence: Duration, rest: Duration) -> ServicesOptions {
    let session = SessionOptions { silence, label: label.into() };
    let presence = if rest.is_zero() { PresenceOptions::Automatic } else { PresenceOptions::Off };
    ServicesOptions { session, presence, ..ServicesOptions::default() }
}

fn cleaner(leadership: &Leadership) -> Result<ResourceCleaner, Error> {
    let soon = CleanupStrategy::FixedDelay { delay: Duration::from_millis(1), attempts: None };
    ResourceCleaner::of(leadership, soon)
}

/// Waits until the watch shows a leader at that address.
async fn seen(watch: &mut LeaderWatch, address: &str) {
    while !matches!(watch.view(), LeaderView::Leader(leader) if leader.address == address) {
        watch.changed().await;
    }
}

#[derive(Debug)]
struct Deaf;

#[async_trait]
impl LeaderRetrievalListener for Deaf {
    async fn notify_leader(&self, _leader: Option<Leader>) {}
    async fn handle_error(&self, _error: Error) {}
}

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _job: &JobId) {}
    fn on_removed_execution_plan(&self, _job: &JobId) {}
}
