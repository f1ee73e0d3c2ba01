use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ha_core::backend::{Expect, Name};
use ha_core::blob::BlobKey;
use ha_core::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly,
    RecoveryClaimMode,
};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::record::Body;
use ha_core::state::chunks_of;
use ha_core::{Error, HaServices, HighAvailabilityServices, JobId, JobStatus, application_prefix};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ASK_EVERY, Member};
use crate::process::{Process, Stage};

const BLOB: &str = "a library";
const WORKS: &str = "whoever leads can store";

fn job(name: &str) -> JobId {
    JobId::new(name).expect("a name")
}

fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, "state".into())
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
#[derive(Debug)]
pub struct Work {
    /// Its leadership.
    pub leadership: Leadership,
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
    /// Waits for the leadership, publishes, and takes over or stores one of each kind.
    ///
    /// # Panics
    /// Something of it fails.
    ///
    /// # Cancel safety
    /// After a drop a part of it may be stored; another one takes it over.
    pub async fn begun(services: &HaServices, label: &str) -> Self {
        let leadership = services.dispatcher_leader_election().expect(WORKS).campaign().await.expect(WORKS);
        leadership.publish(label).await.expect(WORKS);
        let (plans, over, job) = (leadership.execution_plan_store(), job("over"), job("job"));
        plans.start(Arc::new(Deaf)).await.expect(WORKS);
        if plans.recover_execution_plan(&job).await.expect(WORKS).is_none() {
            plans.put_execution_plan(&ExecutionPlan::new(job.clone(), "graph".into())).await.expect(WORKS);
        }
        let factory = leadership.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job);
        counter.start().await.expect(WORKS);
        let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
        let checkpoints =
            factory.create_recovered_completed_checkpoint_store(&job, 1, mode, discarder).await.expect(WORKS);
        let id = counter.get_and_increment().await.expect(WORKS);
        checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.expect(WORKS);
        checkpoints.discards_settled().await;
        let results = leadership.job_result_store();
        if !results.has_job_result_entry(&over).await.expect(WORKS) {
            results.create_dirty_result(&JobResult::new(over, JobStatus::Failed)).await.expect(WORKS);
        }
        // Not over one that is there: its second copy would be deleted in the background, while states are compared.
        let blobs = leadership.blob_store();
        if blobs.get(&job, &BlobKey::of(BLOB.as_bytes())).await.is_err() {
            blobs.put(&job, chunks_of(BLOB.into())).await.expect(WORKS);
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

/// What a process that works late is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Late<M> {
    /// Who it is.
    pub member: M,
    /// When this file is there, it does its late work.
    pub go: PathBuf,
}

/// A role: leads, tells `working`, and waits until it may go on, which a test allows when its successor has begun. Then it
/// tries every kind of write there is, and tells `done` when it knows that its leadership is lost.
///
/// # Panics
/// The services cannot be opened, or its work cannot be begun.
///
/// # Cancel safety
/// After a drop the leadership is resigned.
pub async fn work_late<M: Member>(late: Late<M>, stage: Stage) {
    let services = late.member.services(stage.seam()).await.expect("services");
    let work = Work::begun(&services, late.member.label()).await;
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
}

/// Judges a process that has done its late work.
///
/// # Panics
/// One of its writes was not tried, or was not refused because it leads no more.
pub fn assert_all_was_refused(process: &Process) {
    let tried = process.events().into_iter().filter(|event| event.name == "tried");
    let tried: Vec<(String, Option<String>)> =
        tried.map(|event| serde_json::from_value(event.value).expect("a change and what became of it")).collect();
    assert_eq!(tried.len(), CHANGES.len());
    for (change, kind) in tried {
        assert!(matches!(kind.as_deref(), Some("Fenced" | "NotLeader")), "{change}: {kind:?}");
    }
}

/// Every file below a directory, and its bytes. What vanishes meanwhile is left out.
#[must_use]
pub fn files_below(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.append(&mut files_below(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.insert(path, bytes);
        }
    }
    files
}
