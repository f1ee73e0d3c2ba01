//! What a deposed leader can still change that was stopped by SIGSTOP, and goes on when its successor has begun.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Backend, Expect, Name, Prefix};
use ha_core::blob::BlobKey;
use ha_core::checkpoint::{CheckpointIdCounter, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::record::Body;
use ha_core::state::chunks_of;
use ha_core::{Error, HaServices, HighAvailabilityServices, JobId, JobStatus, application_prefix};
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::run::block_on;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::member::{Member, acknowledged, checkpoint, checkpoints, told_after, writes};
use crate::world::{World, found, measured};

const ASK_EVERY: Duration = Duration::from_millis(5);
const BLOB: &str = "a library";

/// Every file of the state storage, and its bytes.
fn collect(directory: &Path, states: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, states);
        } else if let Ok(bytes) = std::fs::read(&path) {
            states.insert(path, bytes);
        }
    }
}

fn states(w: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut states = BTreeMap::new();
    collect(&w.path("states"), &mut states);
    states
}

fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _job: &JobId) {}
    fn on_removed_execution_plan(&self, _job: &JobId) {}
}

#[derive(Debug, Serialize, Deserialize)]
struct Note(String);

impl Body for Note {
    const KIND: &'static str = "note";
}

/// A leader with something stored of each kind.
struct Work {
    leadership: Leadership,
    plans: Arc<dyn ExecutionPlanStore>,
    counter: Arc<dyn CheckpointIdCounter>,
    checkpoints: Arc<dyn CompletedCheckpointStore>,
}

const CHANGES: [&str; 16] = [
    "publish",
    "replace a plan",
    "put a plan",
    "put requirements",
    "remove a plan",
    "count",
    "set the count",
    "add a checkpoint",
    "write a record of its own",
    "create a result",
    "clean a result",
    "put a blob",
    "delete a blob",
    "delete all blobs",
    "end the counter",
    "end the checkpoints",
];

impl Work {
    async fn begun(services: &HaServices, label: &str) -> Self {
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        leadership.publish(label).await.unwrap();
        let (plans, job) = (leadership.execution_plan_store(), job("job"));
        plans.start(Arc::new(Deaf)).await.unwrap();
        if plans.recover_execution_plan(&job).await.unwrap().is_none() {
            plans.put_execution_plan(&ExecutionPlan::new(job.clone(), "graph".into())).await.unwrap();
        }
        let factory = leadership.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job);
        counter.start().await.unwrap();
        let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
        let checkpoints = factory.create_recovered_completed_checkpoint_store(&job, 1, mode, discarder).await.unwrap();
        let id = counter.get_and_increment().await.unwrap();
        checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.unwrap();
        checkpoints.discards_settled().await;
        let (results, over) = (leadership.job_result_store(), JobId::new("over").unwrap());
        if !results.has_job_result_entry(&over).await.unwrap() {
            results.create_dirty_result(&JobResult::new(over, JobStatus::Failed)).await.unwrap();
        }
        // Not over one that is there: its second copy would be deleted in the background, while states are compared.
        let blobs = leadership.blob_store();
        if blobs.get(&job, &BlobKey::of(BLOB.as_bytes())).await.is_err() {
            blobs.put(&job, chunks_of(BLOB.into())).await.unwrap();
        }
        Self { leadership, plans, counter, checkpoints }
    }

    async fn make(&self, change: &str) -> Result<(), Error> {
        let (results, blobs) = (self.leadership.job_result_store(), self.leadership.blob_store());
        let (job, late) = (job("job"), "late");
        match change {
            "publish" => self.leadership.publish(late).await,
            "replace a plan" => self.plans.put_execution_plan(&ExecutionPlan::new(job, late.into())).await,
            "put a plan" => self.plans.put_execution_plan(&ExecutionPlan::new(JobId::new(late)?, late.into())).await,
            "put requirements" => self.plans.put_job_resource_requirements(&job, json!(late)).await,
            "remove a plan" => self.plans.global_cleanup(&job).await,
            "count" => self.counter.get_and_increment().await.map(drop),
            "set the count" => self.counter.set_count(1000).await,
            "add a checkpoint" => {
                self.checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint(900)).await.map(drop)
            }
            "write a record of its own" => {
                let key = application_prefix().key(&Name::new("note")?);
                self.leadership.guarded(|draft| draft.put(key, Expect::Absent, &Note(late.into()))).await.map(drop)
            }
            "create a result" => {
                results.create_dirty_result(&JobResult::new(JobId::new(late)?, JobStatus::Finished)).await
            }
            "clean a result" => results.mark_result_as_clean(&JobId::new("over")?).await,
            "put a blob" => blobs.put(&job, chunks_of(late.into())).await.map(drop),
            "delete a blob" => blobs.delete(&job, &BlobKey::of(BLOB.as_bytes())).await,
            "delete all blobs" => blobs.delete_all(&job).await,
            "end the counter" => self.counter.shutdown(JobStatus::Finished).await,
            "end the checkpoints" => self.checkpoints.shutdown(JobStatus::Finished).await,
            other => panic!("no change: {other}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Late {
    member: Member,
    /// When it is there, a leader may do its late work.
    go: PathBuf,
}

/// Leads, and waits until it may go on. Then it tries to change everything.
#[test]
fn late_worker() {
    role("stopped::late_worker", async |late: Late, stage: Stage| {
        let services = late.member.services(stage.seam()).await;
        let work = Work::begun(&services, &late.member.label).await;
        stage.tell("working", ());
        while !late.go.exists() {
            stage.seam().sleep(ASK_EVERY).await;
        }
        for change in CHANGES {
            let kind = work.make(change).await.map_err(|error| format!("{:?}", error.kind()));
            stage.tell("tried", json!([change, kind.err()]));
        }
        stage.tell("done", format!("{:?}", work.leadership.lost().await));
        std::future::pending().await
    });
}

///
#[test]
fn a_stopped_leader_changes_nothing_of_any_kind_in_the_directory_once_its_successor_has_begun() {
    block_on(async {
        // Fails if any kind of write has a way around the deadline and the fence.
        let w = World::on_disk();
        let late = Late { member: w.member("stopped"), go: w.path("go") };
        let mut leader = Process::spawn(w.seam.clone(), "stopped::late_worker", &late);
        leader.told("working").await;
        let stopped = leader.stop().await;
        let backend = w.member("standby").backend(&w.seam).await.unwrap();
        let standby = w.member("standby").services_on(Arc::clone(&backend), &w.seam);
        let successor = w.in_time("a successor leads", Work::begun(&standby, "standby")).await;
        measured("leader stopped, its successor has begun", stopped, w.seam.now());
        w.give("go");
        let (entries, before) = (backend.list(&Prefix::root()).await.unwrap().entries, states(&w));

        leader.cont();
        leader.told("done").await;
        let tried: Vec<(String, Option<String>)> = leader
            .events()
            .into_iter()
            .filter(|event| event.name == "tried")
            .map(|event| serde_json::from_value(event.value).unwrap())
            .collect();
        assert_eq!(tried.len(), CHANGES.len());
        for (change, kind) in tried {
            assert!(matches!(kind.as_deref(), Some("Fenced" | "NotLeader")), "{change}: {kind:?}");
        }
        let after = backend.list(&Prefix::root()).await.unwrap().entries;
        assert_eq!(after, entries, "a deposed leader has changed what its successor wrote");
        // What it wrote in vain is deleted again; what its successor has is not.
        w.until("only the successor's states are left", || (states(&w) == before).then_some(())).await;
        assert!(successor.leadership.is_valid(), "and its successor was not disturbed");
    });
}

#[test]
fn a_leader_that_is_stopped_in_the_middle_of_its_writes_lands_none_of_them_later() {
    block_on(async {
        // Fails if a write that was staged, or linked and not answered, before the pause counts for more after it than
        // the successor read when it began.
        let w = World::on_disk();
        let mut leader = w.member("stopped").spawn(&w.seam);
        for round in 1..=3 {
            writes(&leader, 20).await;
            leader.stop().await;
            let backend = w.member("standby").backend(&w.seam).await.unwrap();
            let standby = w.member("standby").services_on(Arc::clone(&backend), &w.seam);
            let leadership = w.leadership(&standby).await;
            let store = checkpoints(&leadership).await.unwrap();
            leadership.publish("successor").await.unwrap();
            let latest = store.get_latest_checkpoint_id().await.unwrap();
            store.add_checkpoint_and_subsume_oldest_one(checkpoint(latest + 1_000)).await.unwrap();
            let before = backend.list(&Prefix::root()).await.unwrap().entries;

            let resumed = leader.cont();
            let deposed = |event: &Event| event.value["kind"] == "NotLeader" || event.value["kind"] == "Fenced";
            let refused = |events: &[Event]| {
                let mut refused = events.iter().filter(|event| event.name == "refused" && event.at >= resumed);
                refused.any(deposed).then_some(())
            };
            leader.until("its write is refused because it leads no more", refused).await;
            told_after(&leader, "lost", resumed).await;
            let found = found(&store).await;
            let late: Vec<_> = acknowledged(&leader.events()).difference(&found).copied().collect();
            assert!(late.is_empty(), "round {round}: acknowledged, and not there: {late:?}");
            let after = backend.list(&Prefix::root()).await.unwrap().entries;
            assert_eq!(after, before, "round {round}: a deposed leader has changed what its successor wrote");
            standby.close().await.unwrap();
            told_after(&leader, "leading", resumed).await;
        }
        w.assert_nothing_is_lost(vec![leader]).await;
    });
}
