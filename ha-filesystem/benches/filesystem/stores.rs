//! What the stores write, beside bare files of the same size.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ha_core::backend::Name;
use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha_core::election::Leadership;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::seam::Seam;
use ha_core::{HighAvailabilityServices, JobId};
use ha_testkit::bench::cluster::lead;
use ha_testkit::bench::{self as table, Result, Times};
use ha_testkit::trials::Member as _;

use crate::bare::{Bare, newest_entry};
use crate::member::Member;

const WRITES: usize = 300;
const PLANS: usize = 150;
const STATE_BYTES: usize = 4096;
const PLAN_BYTES: usize = 16 * 1024;

pub(crate) async fn measure(below: &Path) -> Result<()> {
    table::head("Writing under a fence, one after the other");
    for files in [false, true] {
        let member = Member { files, ..Member::new(below, "writer") };
        let services = member.services(&Seam::system()).await?;
        let leadership = lead(&member, &services).await?;
        if files {
            plan_put(&leadership, &member.directory).await?;
        } else {
            checkpoint_add(&leadership, &member.directory).await?;
            counter_step(&leadership, &member.directory).await?;
        }
        leadership.resign().await?;
        services.close().await?;
    }
    Ok(())
}

/// The states stay in memory, so what is measured is the pointer part.
async fn checkpoint_add(leadership: &Leadership, directory: &Path) -> Result<()> {
    let (seam, job) = (Seam::system(), JobId::new("job")?);
    let factory = leadership.checkpoint_recovery_factory();
    let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    let store = factory.create_recovered_completed_checkpoint_store(&job, 1, mode, discarder).await?;
    let state = Bytes::from(vec![b'x'; STATE_BYTES]);
    let checkpoint = |id| CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, state.clone());
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await?;
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(2)).await?;
    let entry = newest_entry(directory)?;
    let mut plain = Bare::new(directory, "adds")?;
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for id in (3..).take(WRITES) {
        let began = seam.now();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await?;
        let middle = seam.now();
        plain.write(&entry)?;
        ours.add(middle.since(began));
        bare.add(seam.now().since(middle));
        plain.tidy()?;
    }
    table::line("checkpoint add with subsumption (goal 1.3x)", &ours, &bare);
    Ok(())
}

async fn counter_step(leadership: &Leadership, directory: &Path) -> Result<()> {
    let (seam, job) = (Seam::system(), JobId::new("job")?);
    let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job);
    counter.start().await?;
    counter.get_and_increment().await?;
    let entry = newest_entry(directory)?;
    let mut plain = Bare::new(directory, "steps")?;
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for _ in 0..WRITES {
        let began = seam.now();
        counter.get_and_increment().await?;
        let middle = seam.now();
        plain.write(&entry)?;
        ours.add(middle.since(began));
        bare.add(seam.now().since(middle));
        plain.tidy()?;
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

/// The states are files, durable before their pointers are written. Bare is a state and a file for the pointer.
async fn plan_put(leadership: &Leadership, directory: &Path) -> Result<()> {
    let seam = Seam::system();
    let store = leadership.execution_plan_store();
    store.start(Arc::new(Deaf)).await?;
    let plan = |number: usize| -> Result<ExecutionPlan> {
        Ok(ExecutionPlan::new(JobId::new(format!("job-{number}"))?, Bytes::from(vec![b'x'; PLAN_BYTES])))
    };
    store.put_execution_plan(&plan(0)?).await?;
    let entry = newest_entry(directory)?;
    let storage = leadership.storage();
    for (what, is_new) in [("plan put, new", true), ("plan put, replaced", false)] {
        let mut plain = Bare::new(directory, if is_new { "new" } else { "replaced" })?;
        let [mut ours, mut bare] = [const { Times::new() }; 2];
        for number in 1..=PLANS {
            let put = plan(if is_new { number } else { 0 })?;
            let folder = [Name::new("bare")?, put.job.name().clone()];
            let began = seam.now();
            store.put_execution_plan(&put).await?;
            let stored = seam.now();
            storage.write(&folder, put.plan.clone()).await?;
            plain.write(&entry)?;
            ours.add(stored.since(began));
            bare.add(seam.now().since(stored));
            plain.tidy()?;
        }
        table::line(&format!("{what} ({} KiB in a durable file)", PLAN_BYTES >> 10), &ours, &bare);
    }
    store.stop().await?;
    Ok(())
}
