//! The world that operations are cancelled in: a process that leads and has stored something of everything, on a store
//! where every call waits, under a clock that counts who waits and a seam that counts tasks.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use ha_core::backend::{Backend, Prefix, SessionOptions};
use ha_core::blob::{BlobKey, BlobStore};
use ha_core::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CheckpointRecoveryFactory, CompletedCheckpoint, CompletedCheckpointStore,
    DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::election::{LeaderContender, LeaderElection, Leadership};
use ha_core::inspect::{Depth, Inspector};
use ha_core::job_result::{JobResult, JobResultStore};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::retrieval::{Leader, LeaderRetrievalListener};
use ha_core::seam::Seam;
use ha_core::state::{StateHandle, StateStorage, chunks_of};
use ha_core::{Error, HaServices, HighAvailabilityServices, JobId, JobStatus, PresenceOptions, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::cancel::{Pausing, PausingStates};
use ha_testkit::journal::MemoryJournal;
use ha_testkit::ledger::{Counts, counted};
use object_store::memory::InMemory;

pub(crate) const SILENCE: Duration = Duration::from_secs(5);
/// By its clock. Nothing in these worlds takes as long, but what waits for a silence to run out.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Embedded,
    Journal,
}

#[derive(Debug)]
enum Store {
    Embedded(Embedded),
    Journal(MemoryJournal),
}

/// What is stored, as a process finds it that has just won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    plan: Option<(String, Option<String>)>,
    checkpoints: Vec<u64>,
    next_id: u64,
    blobs: Vec<bool>,
    dirty: Vec<String>,
    known: bool,
    /// Keys of the application itself.
    own: usize,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) line: Pausing,
    pub(crate) services: HaServices,
}

/// What the leader has opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) leadership: Leadership,
    pub(crate) plans: Arc<dyn ExecutionPlanStore>,
    pub(crate) factory: Arc<dyn CheckpointRecoveryFactory>,
    pub(crate) counter: Arc<dyn CheckpointIdCounter>,
    pub(crate) checkpoints: Arc<dyn CompletedCheckpointStore>,
    pub(crate) results: Arc<dyn JobResultStore>,
    pub(crate) blobs: Arc<dyn BlobStore>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seam: Seam,
    counts: Counts,
    store: Store,
    pub(crate) storage: StateStorage,
    pub(crate) process: Process,
    pub(crate) election: Arc<dyn LeaderElection>,
    opened: Option<Opened>,
    /// What an operation takes away.
    pub(crate) given: RefCell<Option<Leadership>>,
    /// A state that no pointer leads to, of nobody's.
    pub(crate) state: StateHandle,
}

pub(crate) fn job() -> JobId {
    JobId::new("job").unwrap()
}

pub(crate) fn plan(content: &'static str) -> ExecutionPlan {
    ExecutionPlan::new(job(), content.into())
}

pub(crate) fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, id, format!("state {id}").into())
}

pub(crate) fn result() -> JobResult {
    JobResult::new(job(), JobStatus::Finished)
}

pub(crate) fn options() -> ServicesOptions {
    let session = SessionOptions { silence: SILENCE, label: "cancelled".into() };
    ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() }
}

/// The content of the blob that every world has.
pub(crate) const BLOB: &str = "artefact";
pub(crate) const OTHER_BLOB: &str = "another artefact";

impl World {
    /// With a leader that has stored something of everything.
    pub(crate) async fn leading(on: On, seam: Seam) -> Self {
        let world = Self::new(on, seam).await;
        let leadership = world.in_time("the campaign", world.election.campaign()).await.unwrap();
        let opened = Opened::of(leadership).await;
        opened.leadership.publish("one:1").await.unwrap();
        opened.plans.put_execution_plan(&plan("one")).await.unwrap();
        let id = opened.counter.get_and_increment().await.unwrap();
        opened.checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.unwrap();
        opened.blobs.put(&job(), chunks_of(BLOB.into())).await.unwrap();
        Self { opened: Some(opened), ..world }
    }

    /// The same, and the job has ended.
    pub(crate) async fn ended(on: On, seam: Seam) -> Self {
        let world = Self::leading(on, seam).await;
        world.opened().results.create_dirty_result(&result()).await.unwrap();
        world
    }

    /// With the leadership where an operation can take it.
    pub(crate) async fn giving(on: On, seam: Seam) -> Self {
        let mut world = Self::leading(on, seam).await;
        world.given.replace(world.opened.take().map(|opened| opened.leadership));
        world
    }

    /// Where everything is stored, and nobody leads any more.
    pub(crate) async fn vacant(on: On, seam: Seam) -> Self {
        let mut world = Self::leading(on, seam).await;
        let opened = world.opened.take().unwrap();
        opened.leadership.resign().await.unwrap();
        world
    }

    async fn new(on: On, seam: Seam) -> Self {
        let (seam, counts) = counted(seam);
        let store = match on {
            On::Embedded => Store::Embedded(Embedded::new(seam.clone())),
            On::Journal => Store::Journal(MemoryJournal::new(seam.clone())),
        };
        let states = PausingStates::new(Arc::new(InMemory::new()), seam.clone());
        let storage = StateStorage::over(Arc::new(states), "memory:///", seam.clone());
        let state = storage.write(&[], "state".into()).await.unwrap();
        let process = Self::process_on(&store, &storage, &seam).await;
        let election = process.services.dispatcher_leader_election().unwrap();
        let given = RefCell::new(None);
        Self { seam, counts, store, storage, process, election, opened: None, given, state }
    }

    async fn connect(store: &Store, seam: &Seam) -> Arc<dyn Backend> {
        match store {
            Store::Embedded(embedded) => Arc::new(embedded.connect()),
            Store::Journal(journal) => {
                let options = JournalOptions::default().with_points(16, 1 << 20);
                JournalBackend::open(journal.handle(), seam.clone(), options).await.unwrap()
            }
        }
    }

    async fn process_on(store: &Store, storage: &StateStorage, seam: &Seam) -> Process {
        let line = Pausing::new(Self::connect(store, seam).await, seam.clone());
        let services = HaServices::new(Arc::new(line.clone()), storage.clone(), &options(), seam.clone()).unwrap();
        Process { line, services }
    }

    /// One more process.
    pub(crate) async fn process(&self) -> Process {
        Self::process_on(&self.store, &self.storage, &self.seam).await
    }

    /// What an operator connects with.
    pub(crate) fn operator(&self) -> Arc<dyn Backend> {
        Arc::new(self.process.line.clone())
    }

    pub(crate) fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("a world with a leader")
    }

    pub(crate) async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let done = self.seam.timeout(PATIENCE, future).await;
        done.unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}; {:?}", self.counts))
    }

    /// Every pointer leads to whole state, whatever was cut off.
    pub(crate) async fn is_whole(&self) {
        let backend = Self::connect(&self.store, &self.seam).await;
        let inspector = Inspector::new(Arc::clone(&backend), self.storage.clone(), &options(), self.seam.clone());
        let inspector = inspector.unwrap();
        let contents = inspector.contents().await.unwrap();
        assert!(contents.problems.is_empty(), "{:?}", contents.problems);
        let verified = inspector.verify(&contents, Depth::Checksum, |_| {}).await.unwrap();
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
        backend.close().await.unwrap();
    }

    /// Ends the process in order and looks at what is left.
    pub(crate) async fn close_and_look(mut self) -> Stored {
        self.in_time("closing", self.process.services.close()).await.unwrap();
        self.opened = None;
        self.given.replace(None);
        self.look().await
    }

    /// Leaves the process where it stands, as a program does that drops everything.
    pub(crate) async fn drop_and_look(mut self) -> Stored {
        self.opened = None;
        self.given.replace(None);
        self.look().await
    }

    /// Nothing of the process is left, and the next one wins and finds what is stored.
    async fn look(self) -> Stored {
        let Self { seam, counts, store, storage, process, election, .. } = self;
        let Process { line, services } = process;
        drop((services, election));
        let left = || line.sessions() > 0 || line.calls() > 0;
        let deadline = seam.now() + PATIENCE;
        while left() {
            assert!(seam.now() < deadline, "left: {} sessions, {} calls", line.sessions(), line.calls());
            seam.sleep(Duration::from_millis(1)).await;
        }
        drop(line);
        counts.until(&seam, |counts| counts.tasks() == 0 && counts.computing() == 0).await;
        // Its own timer is the only one.
        let timers = async {
            seam.sleep(Duration::from_millis(1)).await;
            counts.timers()
        };
        assert_eq!(timers.await, 0, "somebody sleeps on");

        let process = Self::process_on(&store, &storage, &seam).await;
        let election = process.services.dispatcher_leader_election().unwrap();
        let campaign = seam.timeout(PATIENCE, election.campaign()).await;
        let leadership = campaign.expect("the latch is held by nobody").unwrap();
        let opened = Opened::of(leadership).await;
        let stored = opened.stored(&Self::connect(&store, &seam).await).await;
        drop((opened, election));
        process.services.close().await.unwrap();
        stored
    }

    /// Whether others can lead while this process lives on: the cancelled operation keeps no latch.
    pub(crate) async fn others_can_lead(&self) {
        let other = self.process().await;
        let election = other.services.dispatcher_leader_election().unwrap();
        drop(self.in_time("another leads", election.campaign()).await.unwrap());
        self.in_time("it closes", other.services.close()).await.unwrap();
    }
}

impl Opened {
    async fn of(leadership: Leadership) -> Self {
        let plans = leadership.execution_plan_store();
        plans.start(Arc::new(Deaf)).await.unwrap();
        let factory = leadership.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job());
        counter.start().await.unwrap();
        let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
        let checkpoints =
            factory.create_recovered_completed_checkpoint_store(&job(), 1, mode, discarder).await.unwrap();
        let (results, blobs) = (leadership.job_result_store(), leadership.blob_store());
        Self { leadership, plans, factory, counter, checkpoints, results, blobs }
    }

    async fn has_blob(&self, content: &str) -> bool {
        let Ok(chunks) = self.blobs.get(&job(), &BlobKey::of(content.as_bytes())).await else { return false };
        let chunks: Vec<_> = chunks.try_collect().await.expect("a blob that is there is whole");
        assert_eq!(chunks.concat(), content.as_bytes());
        true
    }

    async fn stored(&self, backend: &Arc<dyn Backend>) -> Stored {
        let plan = self.plans.recover_execution_plan(&job()).await.unwrap();
        let all = self.checkpoints.get_all_checkpoints().await.unwrap();
        for one in &all {
            assert_eq!(one.state, format!("state {}", one.id));
        }
        let dirty = self.results.dirty_results().await.unwrap();
        assert!(dirty.broken.is_empty(), "{dirty:?}");
        let entries = backend.list(&Prefix::root()).await.unwrap().entries;
        let stored = Stored {
            plan: plan.map(|plan| {
                (String::from_utf8(plan.plan.to_vec()).unwrap(), plan.requirements.map(|some| some.to_string()))
            }),
            checkpoints: all.iter().map(|one| one.id).collect(),
            next_id: self.counter.get().await.unwrap(),
            blobs: vec![self.has_blob(BLOB).await, self.has_blob(OTHER_BLOB).await],
            dirty: dirty.results.iter().map(|result| result.job.to_string()).collect(),
            known: self.results.has_job_result_entry(&job()).await.unwrap(),
            own: entries.iter().filter(|entry| entry.key.as_str().contains("/application/")).count(),
        };
        backend.close().await.unwrap();
        stored
    }
}

/// Hears everything and does nothing.
#[derive(Debug)]
pub(crate) struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _job: &JobId) {}
    fn on_removed_execution_plan(&self, _job: &JobId) {}
}

#[async_trait]
impl LeaderRetrievalListener for Deaf {
    async fn notify_leader(&self, _leader: Option<Leader>) {}
    async fn handle_error(&self, _error: Error) {}
}

#[async_trait]
impl LeaderContender for Deaf {
    async fn grant_leadership(&self, _session_id: uuid::Uuid) {}
    async fn revoke_leadership(&self) {}
    async fn handle_error(&self, _error: Error) {}
    fn description(&self) -> String {
        "deaf".into()
    }
}
