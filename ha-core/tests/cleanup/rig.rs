//! Processes on one store and one state storage. A process can be stopped at any call of either, as a crash would
//! stop it, or have any call fail; and it can be kept from learning that it was deposed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::TryStreamExt;
use ha_core::backend::{Backend, Entry, Expect, Key, Name, Prefix, Profile, SessionOptions};
use ha_core::blob::BlobKey;
use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode, RetentionPolicy};
use ha_core::cleanup::{OrphanOptions, OrphanSweep};
use ha_core::election::Leadership;
use ha_core::inspect::{Depth, Inspector};
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::record::Body;
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{HaServices, HighAvailabilityServices, JobId, JobStatus, ServicesOptions, application_prefix};
use ha_embedded::Embedded;
use object_store::memory::InMemory;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

pub(crate) use super::trap::Fault;
use super::trap::{Trap, Trapped, TrappedStates};

#[derive(Debug)]
pub(crate) struct Ignore;

impl ExecutionPlanListener for Ignore {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    text: String,
}

impl Body for Note {
    const KIND: &'static str = "note";
}

/// One store and one state storage.
pub(crate) struct World {
    pub(crate) seam: Seam,
    pub(crate) store: Embedded,
    pub(crate) states: Arc<InMemory>,
    pub(crate) silence: Duration,
}

/// A process that leads, or did.
pub(crate) struct Process {
    pub(crate) services: HaServices,
    pub(crate) leadership: Leadership,
    pub(crate) trap: Arc<Trap>,
    session: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let seam = Seam::system();
        Self {
            store: Embedded::new(seam.clone()),
            states: Arc::new(InMemory::new()),
            silence: Duration::from_secs(3600),
            seam,
        }
    }

    pub(crate) fn with_profile(profile: Profile) -> Self {
        let world = Self::new();
        Self { store: Embedded::with_profile(world.seam.clone(), profile), ..world }
    }

    fn trapped(&self, trap: &Arc<Trap>) -> (Arc<dyn Backend>, StateStorage) {
        let backend = Arc::new(Trapped { inner: Arc::new(self.store.connect()), trap: Arc::clone(trap) });
        let states = TrappedStates { inner: Arc::clone(&self.states), trap: Arc::clone(trap) };
        (backend, StateStorage::over(Arc::new(states), "memory:///", self.seam.clone()))
    }

    /// An operator's sweep, of a process that does not lead.
    pub(crate) fn sweep(&self, trap: &Arc<Trap>, options: OrphanOptions) -> OrphanSweep {
        let (backend, storage) = self.trapped(trap);
        OrphanSweep::new(backend, &storage, &ServicesOptions::default(), options, self.seam.clone()).unwrap()
    }

    pub(crate) fn inspector(&self) -> Inspector {
        let (backend, storage) = self.trapped(&Arc::default());
        Inspector::new(backend, storage, &ServicesOptions::default(), self.seam.clone()).unwrap()
    }

    /// Every pointer leads to intact state.
    pub(crate) async fn assert_sound(&self, what: &str) {
        let inspector = self.inspector();
        let contents = inspector.contents().await.unwrap();
        assert!(contents.problems.is_empty(), "{what}: {:?}", contents.problems);
        let verified = inspector.verify(&contents, Depth::Checksum, drop).await.unwrap();
        assert_eq!((verified.intact, verified.problems), (contents.pointers(), Vec::new()), "{what}");
    }

    pub(crate) fn services(&self, trap: &Arc<Trap>, cluster: &str) -> HaServices {
        let (backend, storage) = self.trapped(trap);
        let session = SessionOptions { silence: self.silence, label: "test".into() };
        let options = ServicesOptions { session, cluster_id: cluster.into(), ..ServicesOptions::default() };
        HaServices::new(backend, storage, &options, self.seam.clone()).unwrap()
    }

    /// One more process that leads. Nobody else may.
    pub(crate) async fn leader(&self) -> Process {
        self.leader_of("default").await
    }

    pub(crate) async fn leader_of(&self, cluster: &str) -> Process {
        let trap = Arc::new(Trap::default());
        let services = self.services(&trap, cluster);
        let before: BTreeSet<String> = self.store.sessions().into_iter().map(|session| session.id).collect();
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let session = self.store.sessions().into_iter().map(|s| s.id).find(|id| !before.contains(id)).unwrap();
        Process { services, leadership, trap, session }
    }

    /// The leader is deposed, without learning it, and another process leads.
    pub(crate) async fn depose(&self, leader: &Process) -> Process {
        self.end(leader);
        self.leader().await
    }

    pub(crate) fn end(&self, leader: &Process) {
        leader.trap.deaf.store(true, Ordering::SeqCst);
        self.store.revoke(&leader.session).unwrap();
    }

    pub(crate) async fn entries(&self) -> Vec<Entry> {
        self.store.connect().list(&Prefix::root()).await.unwrap().entries
    }

    /// The keys of the cluster, but those of latches.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let is_latch = |name: &str| matches!(name, "latch" | "epoch" | "barrier");
        let keys = self.entries().await.into_iter().filter(|entry| !is_latch(entry.key.last()));
        keys.map(|entry| entry.key.as_str().strip_prefix("flink/default/").unwrap_or(entry.key.as_str()).to_owned())
            .collect()
    }

    /// The states: where they are, and what they hold.
    pub(crate) async fn states(&self) -> Vec<(String, String)> {
        let all: Vec<ObjectMeta> = self.states.list(None).try_collect().await.unwrap();
        let mut states = Vec::new();
        for meta in all {
            let bytes = self.states.get(&meta.location).await.unwrap().bytes().await.unwrap();
            states.push((meta.location.to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
        states.sort();
        states
    }

    /// What the states hold, in order.
    pub(crate) async fn contents(&self) -> Vec<String> {
        let mut contents: Vec<String> = self.states().await.into_iter().map(|(_, content)| content).collect();
        contents.sort();
        contents
    }

    pub(crate) fn tamper(&self, key: &str, value: Option<&str>) {
        let key = Key::new(format!("flink/default/{key}")).unwrap();
        self.store.tamper(&key, value.map(|value| value.to_owned().into()));
    }
}

impl Process {
    /// Stores one of everything for a job.
    pub(crate) async fn populate(&self, name: &str) -> Vec<BlobKey> {
        let job = job(name);
        let plans = self.leadership.execution_plan_store();
        plans.start(Arc::new(Ignore)).await.unwrap();
        plans.put_execution_plan(&ExecutionPlan::new(job.clone(), format!("plan of {name}").into())).await.unwrap();
        plans.stop().await.unwrap();
        let factory = self.leadership.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job);
        counter.start().await.unwrap();
        let mode = RecoveryClaimMode::NoClaim;
        let discarder = Arc::new(DiscardStateOnly);
        let store = factory.create_recovered_completed_checkpoint_store(&job, 9, mode, discarder).await.unwrap();
        let retained = RetentionPolicy::RetainOnFailure;
        for (kind, retention) in [
            (CheckpointKind::Checkpoint, RetentionPolicy::default()),
            (CheckpointKind::Savepoint, RetentionPolicy::default()),
            (CheckpointKind::Checkpoint, retained),
        ] {
            let id = counter.get_and_increment().await.unwrap();
            let checkpoint = CompletedCheckpoint::new(id, kind, 0, format!("{name} {kind:?} {retention:?}").into());
            store.add_checkpoint_and_subsume_oldest_one(checkpoint.with_retention(retention)).await.unwrap();
        }
        self.populate_blobs(name).await
    }

    /// Puts three blobs, or finds that they are there.
    pub(crate) async fn populate_blobs(&self, name: &str) -> Vec<BlobKey> {
        let blobs = self.leadership.blob_store();
        let mut keys = Vec::new();
        for number in 0..3 {
            keys.push(blobs.put(&job(name), chunks_of(format!("blob {number} of {name}").into())).await.unwrap());
        }
        keys
    }

    /// The job is over.
    pub(crate) async fn end_job(&self, name: &str, status: JobStatus) -> JobResult {
        let result = JobResult::new(job(name), status);
        self.leadership.job_result_store().create_dirty_result(&result).await.unwrap();
        result
    }

    pub(crate) async fn note(&self, name: &str) {
        let key = application_prefix().key(&Name::new(name).unwrap());
        let note = Note { text: "ours".into() };
        self.leadership.guarded(|draft| draft.put(key, Expect::Absent, &note)).await.unwrap();
    }

    /// Runs work until it ends or the process crashes; `None` if it crashed.
    pub(crate) async fn until_crash<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.trap.crashed.notified() => None,
            done = work => Some(done),
        }
    }
}

pub(crate) fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

/// Waits until the claim holds; fails the test if it does not within a minute.
pub(crate) async fn eventually(what: &str, mut claim: impl AsyncFnMut() -> bool) {
    let seam = Seam::system();
    let give_up = seam.now() + Duration::from_secs(60);
    while !claim().await {
        assert!(seam.now() < give_up, "not within a minute: {what}");
        seam.sleep(Duration::from_millis(2)).await;
    }
}
