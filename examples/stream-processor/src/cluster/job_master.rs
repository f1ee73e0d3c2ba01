//! A job master: elected for one job, it restores the latest checkpoint, runs the engine on the
//! workers that offer themselves, and takes checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly,
    RecoveryClaimMode,
};
use ha::election::{Leadership, Ran};
use ha::plan::{ExecutionPlan as StoredPlan, ExecutionPlanStore};
use ha::{HighAvailabilityServices, JobStatus};
use tokio::runtime::Handle;

use super::Failure;
use super::events::What;
use super::job_manager::Context;
use super::network::{Mailbox, Message};
use crate::{Engine, ExecutionPlan, Placement, Snapshot};

/// How many completed checkpoints are kept.
const RETAINED: usize = 2;

/// Masters the job until it has finished or leadership is lost.
pub(super) async fn run(
    context: Context,
    plans: Arc<dyn ExecutionPlanStore>,
    stored: StoredPlan,
) -> Result<(), Failure> {
    let election = context.services.job_manager_leader_election(&stored.job)?;
    let leadership = election.campaign().await?;
    let mailbox = context.member.network.bind(format!("{}/job/{}", context.name, stored.job));
    leadership.publish(mailbox.address()).await?;
    let master = Master { context: &context, leadership: &leadership, plans, stored };
    match leadership.run(master.run(mailbox)).await {
        Ran::Done(result) => result,
        // The dispatcher on the same latch learns it too, and tells.
        Ran::Lost(_) => Ok(()),
    }
}

struct Master<'a> {
    context: &'a Context,
    leadership: &'a Leadership,
    plans: Arc<dyn ExecutionPlanStore>,
    stored: StoredPlan,
}

impl Master<'_> {
    async fn run(self, mailbox: Mailbox) -> Result<(), Failure> {
        let job = &self.stored.job;
        let plan: ExecutionPlan = serde_json::from_slice(&self.stored.plan)?;
        let factory = self.leadership.checkpoint_recovery_factory();
        let ids = factory.create_checkpoint_id_counter(job);
        ids.start().await?;
        let checkpoints = factory
            .create_recovered_completed_checkpoint_store(
                job,
                RETAINED,
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
        let slots = self.offers(mailbox).await;
        let restored_id = latest.map(|latest| latest.id);
        let restored_events = restored.as_ref().map_or(0, Snapshot::events);
        let gate = Arc::clone(&self.context.member.gate);
        let held_at = gate.position();
        let placement = Placement { slots, gate: Arc::clone(&gate) };
        let attempt = self.leadership.token().epoch();
        let engine = Engine::start_on(placement, plan, restored, attempt).await?;
        let progress = engine.progress();
        tokio::select! {
            biased;
            () = progress.first_event() => {}
            // There was none left, or none as far as the source may read.
            finished = engine.finished() => finished?,
            () = gate.arrived(held_at) => {}
        }
        self.context.tell(What::Recovered { checkpoint: restored_id, events: restored_events }).await;
        self.process(&engine, &*ids, &*checkpoints).await?;
        self.finish(&*ids, &*checkpoints).await
    }

    /// Waits until every worker has offered itself to this very leadership.
    async fn offers(&self, mut mailbox: Mailbox) -> Vec<Handle> {
        let mut slots = BTreeMap::new();
        while slots.len() < self.context.member.workers {
            if let Message::Offer { worker, session_id, slot } = mailbox.next().await
                && session_id == self.leadership.session_id()
            {
                slots.insert(worker, slot);
            }
        }
        slots.into_values().collect()
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
            next = progress.events() + self.context.member.checkpoint_events;
            let id = ids.get_and_increment().await?;
            let snapshot = engine.trigger(id).await?;
            let checkpoint = CompletedCheckpoint::new(
                id,
                CheckpointKind::Checkpoint,
                self.context.seam.unix_ms(),
                snapshot.encode()?,
            );
            checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint).await?;
            // Only now: the checkpoint is acknowledged, whoever restores next restores this output.
            engine.commit(&snapshot).await?;
            self.context.tell(What::Checkpointed { id, events: snapshot.events() }).await;
            if snapshot.is_final() {
                return Ok(());
            }
        }
    }

    /// The job is finished: nothing of it must be recovered any more. The plan goes first; what a
    /// crash leaves of the rest belongs to no job.
    async fn finish(
        &self,
        ids: &dyn CheckpointIdCounter,
        checkpoints: &dyn CompletedCheckpointStore,
    ) -> Result<(), Failure> {
        self.plans.global_cleanup(&self.stored.job).await?;
        checkpoints.shutdown(JobStatus::Finished).await?;
        ids.shutdown(JobStatus::Finished).await?;
        self.context.tell(What::Finished(self.stored.job.clone())).await;
        Ok(())
    }
}
