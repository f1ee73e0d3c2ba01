//! What a deposed leader can still change that is a process of its own, was stopped by SIGSTOP, and goes on
//! when its successor has begun.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Backend, Entry, Expect, Name, Prefix, SessionOptions};
use ha_core::blob::BlobKey;
use ha_core::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly,
    RecoveryClaimMode,
};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::record::Body;
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{
    Error, HaServices, HighAvailabilityServices, JobId, JobStatus, PresenceOptions, ServicesOptions, application_prefix,
};
use ha_embedded::Embedded;
use ha_testkit::process::{Process, Stage, role};
use ha_testkit::remote::{Remote, Server};
use ha_testkit::run::block_on;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

const SILENCE: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a process asks itself whether it leads.
const ASK_EVERY: Duration = Duration::from_millis(5);
const BLOB: &str = "a library";

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
    /// Where the states lie; the file `go` beside them says that a leader may do its late work.
    place: PathBuf,
}

impl Member {
    async fn services(&self, seam: &Seam) -> HaServices {
        let backend = Remote::connect(self.server, &self.label, seam.clone()).await.unwrap();
        let states = url::Url::from_directory_path(self.place.join("states")).unwrap();
        let storage = StateStorage::open(states.as_str(), seam.clone()).unwrap();
        let session = SessionOptions { silence: SILENCE, label: self.label.clone() };
        // Silence is to decide here.
        let options = ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() };
        HaServices::new(Arc::new(backend), storage, &options, seam.clone()).unwrap()
    }
}

struct World {
    seam: Seam,
    server: Server,
    place: TempDir,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        let server = Server::start(Embedded::new(seam.clone()), seam.clone()).unwrap();
        Self { seam, server, place: TempDir::new().unwrap() }
    }

    fn member(&self, label: &str) -> Member {
        Member { label: label.into(), server: self.server.address(), place: self.place.path().into() }
    }

    async fn until<T>(&self, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                self.seam.sleep(ASK_EVERY).await;
            }
        };
        let found = self.seam.timeout(PATIENCE, found).await;
        found.unwrap_or_else(|| panic!("waited in vain: {what}"))
    }

    async fn entries(&self) -> Vec<Entry> {
        self.server.store().connect().list(&Prefix::root()).await.unwrap().entries
    }

    /// Every file of the state storage, and its bytes.
    fn states(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut states = BTreeMap::new();
        collect(&self.place.path().join("states"), &mut states);
        states
    }
}

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

fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, "state".into())
}

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

/// Leads, and waits until it may go on. Then it tries to change everything.
#[test]
fn late_worker() {
    role("late_worker", async |member: Member, stage: Stage| {
        let services = member.services(stage.seam()).await;
        let work = Work::begun(&services, &member.label).await;
        stage.tell("working", ());
        while !member.place.join("go").exists() {
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
fn a_stopped_leader_changes_nothing_of_any_kind_once_its_successor_has_begun() {
    block_on(async {
        // Fails if any kind of write has a way around the deadline and the fence.
        let w = World::new();
        let mut leader = Process::spawn(w.seam.clone(), "late_worker", &w.member("stopped"));
        leader.told("working").await;
        leader.stop().await;
        let standby = w.member("standby").services(&w.seam).await;
        let begun = w.seam.timeout(PATIENCE, Work::begun(&standby, "standby")).await;
        let successor = begun.expect("a successor leads");
        std::fs::write(w.place.path().join("go"), "").unwrap();
        let (entries, states) = (w.entries().await, w.states());

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
        assert_eq!(w.entries().await, entries, "a deposed leader has changed what its successor wrote");
        // What it wrote in vain is deleted again; what its successor has is not.
        w.until("only the successor's states are left", || (w.states() == states).then_some(())).await;
        assert!(successor.leadership.is_valid(), "and its successor was not disturbed");
    });
}
