//! What the stores write, beside bare fenced transactions of the same values.

use std::sync::Arc;

use bytes::Bytes;
use ha_core::backend::Name;
use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha_core::election::Leadership;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::seam::Seam;
use ha_core::{HighAvailabilityServices, JobId};
use ha_testkit::bench::Result;
use ha_testkit::bench::cluster::lead;
use ha_testkit::trials::Member as _;
use serde_json::Value;

use crate::bare::{Bare, cas, delete_cas};
use crate::leader::Member;
use crate::table::{self, Times};

const WRITES: usize = 500;
const PLANS: usize = 200;
const STATE_BYTES: usize = 4096;
const PLAN_BYTES: usize = 16 * 1024;

/// A leader, and the same fence in bare operations.
struct Leader {
    seam: Seam,
    place: String,
    leadership: Leadership,
    bare: Bare,
    guard: [Value; 2],
}

impl Leader {
    /// The value that stands there, as Consul shows it.
    async fn stored(&self, key: &str) -> Result<Value> {
        Ok(self.bare.pair(&format!("{}/{key}", self.place)).await?["Value"].take())
    }

    /// A bare transaction under the leader's fence.
    async fn fenced(&self, operations: impl IntoIterator<Item = Value>) -> Result<u64> {
        let all: Vec<Value> = self.guard.iter().cloned().chain(operations).collect();
        self.bare.transact(&all).await
    }

    fn bare_key(&self, name: &str) -> String {
        format!("{}/application/bare/{name}", self.place)
    }
}

pub(crate) async fn measure(agent: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let storage = url::Url::from_directory_path(folder.path()).map_err(|()| "a folder that is no URL")?;
    table::head("Writing under a fence, one after the other");
    for storage in ["memory://", storage.as_str()] {
        let member = Member { storage: storage.into(), ..Member::new(agent, "writer") };
        let services = member.services(&Seam::system()).await?;
        let leadership = lead(&member, &services).await?;
        let bare = Bare::new(agent)?;
        let guard = bare.guard(&member.latch()).await?;
        let leader = Leader { seam: Seam::system(), place: member.place(), leadership, bare, guard };
        if storage == "memory://" {
            checkpoint_add(&leader).await?;
            counter_step(&leader).await?;
        } else {
            plan_put(&leader).await?;
        }
        leader.leadership.resign().await?;
        services.close().await?;
    }
    Ok(())
}

/// The states stay in memory, so what is measured is the pointer part.
async fn checkpoint_add(leader: &Leader) -> Result<()> {
    let (seam, job) = (&leader.seam, JobId::new("job")?);
    let factory = leader.leadership.checkpoint_recovery_factory();
    let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    let store = factory.create_recovered_completed_checkpoint_store(&job, 1, mode, discarder).await?;
    let state = Bytes::from(vec![b'x'; STATE_BYTES]);
    let checkpoint = |id| CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, state.clone());
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await?;
    let value = leader.stored(&format!("jobs/job/checkpoints/{:019}", 1)).await?;
    let bare_key = |id: u64| leader.bare_key(&format!("checkpoints/{id:019}"));
    let mut index = leader.fenced([cas(&bare_key(1), 0, &value, 0)]).await?;
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for id in (2..).take(WRITES) {
        let began = seam.now();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await?;
        let middle = seam.now();
        index = leader.fenced([cas(&bare_key(id), 0, &value, 0), delete_cas(&bare_key(id - 1), index)]).await?;
        ours.add(middle.since(began));
        bare.add(seam.now().since(middle));
    }
    table::line("checkpoint add with subsumption (goal 1.3x)", &ours, &bare);
    Ok(())
}

async fn counter_step(leader: &Leader) -> Result<()> {
    let (seam, job) = (&leader.seam, JobId::new("job")?);
    let counter = leader.leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job);
    counter.start().await?;
    counter.get_and_increment().await?;
    let (value, key) = (leader.stored("jobs/job/checkpoint_id_counter").await?, leader.bare_key("counter"));
    let mut index = leader.fenced([cas(&key, 0, &value, 0)]).await?;
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for number in 1..=WRITES {
        let began = seam.now();
        counter.get_and_increment().await?;
        let middle = seam.now();
        index = leader.fenced([cas(&key, index, &value, number)]).await?;
        ours.add(middle.since(began));
        bare.add(seam.now().since(middle));
    }
    table::line("counter step (goal 1.2x)", &ours, &bare);
    Ok(())
}

/// Listens to nothing.
pub(crate) struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

/// The states are files, durable before their pointers are written. Bare is a state and a transaction; a new plan's
/// state lies in a new folder on both sides.
async fn plan_put(leader: &Leader) -> Result<()> {
    let seam = &leader.seam;
    let store = leader.leadership.execution_plan_store();
    store.start(Arc::new(Deaf)).await?;
    let plan = |number: usize| -> Result<ExecutionPlan> {
        Ok(ExecutionPlan::new(JobId::new(format!("job-{number}"))?, Bytes::from(vec![b'x'; PLAN_BYTES])))
    };
    store.put_execution_plan(&plan(0)?).await?;
    let value = leader.stored("execution-plans/job-0").await?;
    let storage = leader.leadership.storage();
    for (what, is_new) in [("plan put, new", true), ("plan put, replaced", false)] {
        let [mut ours, mut bare, mut state, mut pointer] = [const { Times::new() }; 4];
        let (one, mut index) = (leader.bare_key("plan"), 0);
        if !is_new {
            index = leader.fenced([cas(&one, 0, &value, 0)]).await?;
        }
        for number in 1..=PLANS {
            let put = plan(if is_new { number } else { 0 })?;
            let folder = [Name::new("bare")?, put.job.name().clone()];
            let began = seam.now();
            store.put_execution_plan(&put).await?;
            let stored = seam.now();
            storage.write(&folder, put.plan.clone()).await?;
            let written = seam.now();
            let operation = match is_new {
                true => cas(&leader.bare_key(&format!("plans/{number}")), 0, &value, 0),
                false => cas(&one, index, &value, number),
            };
            index = leader.fenced([operation]).await?;
            let ended = seam.now();
            ours.add(stored.since(began));
            bare.add(ended.since(stored));
            state.add(written.since(stored));
            pointer.add(ended.since(written));
        }
        table::line(&format!("{what} ({} KiB in a durable file)", PLAN_BYTES >> 10), &ours, &bare);
        table::alone("    of bare: the state file", &state);
        table::alone("    of bare: the pointer's transaction", &pointer);
    }
    store.stop().await?;
    Ok(())
}
