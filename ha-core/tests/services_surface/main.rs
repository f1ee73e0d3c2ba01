//! What surrounds the services: factories by name, clients, where things are stored, and the time after close.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

mod after_close;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use ha_core::checkpoint::{
    CheckpointKind, CheckpointRecoveryFactory, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly,
    RecoveryClaimMode,
};
use ha_core::election::LeaderContender;
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::retrieval::{Leader, LeaderRetrievalListener, LeaderView};
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{
    BackendConnector, BackendSettings, ClientHaServices, ClientHighAvailabilityServices, Error, ErrorKind,
    FactoryRegistry, HaServices, HighAvailabilityServices, JobId, JobStatus, ServicesOptions, ServicesSetup,
};
use ha_embedded::Embedded;
use uuid::Uuid;

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match Seam::system().timeout(Duration::from_secs(60), future).await {
        Some(value) => value,
        None => panic!("not within a minute: {what}"),
    }
}

fn memory(seam: &Seam) -> StateStorage {
    StateStorage::open("memory://", seam.clone()).unwrap()
}

fn job() -> JobId {
    JobId::new("a").unwrap()
}

/// A backend that writes down what it is asked.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn Backend>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn note(&self, asked: String) {
        self.asked.lock().unwrap().push(asked);
    }
}

#[async_trait]
impl Backend for Watched {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.note(format!("read {key}"));
        self.inner.read(key).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.note(format!("read {below}"));
        self.inner.list(below).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.note(match scope {
            Scope::Key(key) => format!("read {key}"),
            Scope::Below(below) => format!("read {below}"),
        });
        self.inner.changed(scope, seen).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.note("commit".into());
        self.inner.commit(commit).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.note("open session".into());
        self.inner.open_session(options).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.note("close".into());
        self.inner.close().await
    }
}

/// A backend of somebody's own, registered under a name of its own.
#[derive(Debug)]
struct MyStores {
    store: Embedded,
    asked: Arc<Mutex<Vec<String>>>,
}

impl MyStores {
    fn new(seam: &Seam) -> Self {
        Self { store: Embedded::new(seam.clone()), asked: Arc::default() }
    }
}

#[async_trait]
impl BackendConnector for MyStores {
    async fn connect_backend(&self, setup: &ServicesSetup) -> Result<Arc<dyn Backend>, Error> {
        setup.settings.only(&["address"])?;
        let address = setup.settings.get("address").unwrap_or("default:1");
        self.asked.lock().unwrap().push(format!("connect {address}"));
        let (inner, asked) = (Arc::new(self.store.connect()), Arc::clone(&self.asked));
        Ok(Arc::new(Watched { inner, asked }))
    }
}

/// HA-08: for servers and for clients.
#[tokio::test]
async fn a_factory_of_ones_own_makes_services_and_client_services_under_its_name() {
    let seam = Seam::system();
    let stores = Arc::new(MyStores::new(&seam));
    let mut registry = FactoryRegistry::new();
    registry.register("My-Store", Arc::<MyStores>::clone(&stores)).unwrap();
    assert_eq!(registry.names().collect::<Vec<_>>(), ["my-store"]);
    let setup = ServicesSetup::new(seam.clone()).with_settings(BackendSettings::new().with("address", "host-1:8500"));
    let services = registry.create_ha_services("my-store", &setup, memory(&seam)).await.unwrap();
    let client = registry.create_client_ha_services("MY-STORE", &setup).await.unwrap();
    assert_eq!(*stores.asked.lock().unwrap(), ["connect host-1:8500", "connect host-1:8500"], "and nothing else yet");

    let election = services.web_monitor_leader_election().unwrap();
    let leadership = within("leads", election.campaign()).await.unwrap();
    leadership.publish("http://rest:1").await.unwrap();
    let mut watch = client.cluster_rest_endpoint_leader_retriever().unwrap().watch();
    let leader = within("found by the client", watch.leader()).await;
    assert_eq!((leader.address.as_str(), leader.session_id), ("http://rest:1", leadership.session_id()));
    let mut watch = services.web_monitor_leader_retriever().unwrap().watch();
    assert_eq!(within("found by its other name", watch.leader()).await, leader);
    services.close().await.unwrap();
    client.close().await.unwrap();
}

/// HA-09: at creation, not at the first use.
#[tokio::test]
async fn an_unknown_name_fails_at_creation_and_says_what_there_is() {
    let seam = Seam::system();
    let setup = ServicesSetup::new(seam.clone());
    let mut registry = FactoryRegistry::new();
    registry.register("my-store", Arc::new(MyStores::new(&seam))).unwrap();
    registry.declare_absent("consul", "consul");
    let failed = async |name: &str| {
        let server = registry.create_ha_services(name, &setup, memory(&seam)).await.unwrap_err();
        let client = registry.create_client_ha_services(name, &setup).await.unwrap_err();
        assert_eq!(server, client);
        (server.kind(), server.to_string())
    };
    let (kind, text) = failed("org.example.MyFactory").await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(text.contains("there is: my-store, consul"), "{text}");
    let (kind, text) = failed("CONSUL").await;
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(text.contains("cargo feature `consul`"), "{text}");
    assert!(failed(&"x".repeat(10_000)).await.1.len() < 300, "a name from outside is not repeated without end");
}

#[tokio::test]
async fn a_name_is_registered_once_and_an_absent_one_can_be_supplied() {
    let seam = Seam::system();
    let mut registry = FactoryRegistry::new();
    registry.declare_absent("consul", "consul");
    registry.register("consul", Arc::new(MyStores::new(&seam))).unwrap();
    registry.declare_absent("Consul", "consul");
    assert!(registry.factory("consul").is_ok(), "one that is there is not made absent");
    let again = registry.register("CONSUL", Arc::new(MyStores::new(&seam))).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    for bad in ["", "a/b", ".."] {
        assert_eq!(registry.register(bad, Arc::new(MyStores::new(&seam))).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_connected() {
    let seam = Seam::system();
    let stores = MyStores::new(&seam);
    let asked = Arc::clone(&stores.asked);
    let mut registry = FactoryRegistry::new();
    registry.register("my-store", Arc::new(stores)).unwrap();
    let options = ServicesOptions { cluster_id: String::new(), ..ServicesOptions::default() };
    for setup in [
        ServicesSetup::new(seam.clone()).with_options(options),
        ServicesSetup::new(seam.clone()).with_settings(BackendSettings::new().with("adress", "host:1")),
    ] {
        let server = registry.create_ha_services("my-store", &setup, memory(&seam)).await.unwrap_err();
        let client = registry.create_client_ha_services("my-store", &setup).await.unwrap_err();
        assert_eq!((server.kind(), client.kind()), (ErrorKind::Invalid, ErrorKind::Invalid));
    }
    assert!(asked.lock().unwrap().is_empty());
}

/// A client must get along with a credential that may do nothing but read below the latch.
#[tokio::test]
async fn client_services_open_no_session_write_nothing_and_read_only_below_the_latch() {
    let seam = Seam::system();
    let stores = MyStores::new(&seam);
    let options = ServicesOptions::default();
    let leader = HaServices::new(Arc::new(stores.store.connect()), memory(&seam), &options, seam.clone()).unwrap();
    let leadership = within("leads", leader.cluster_rest_endpoint_leader_election().unwrap().campaign()).await.unwrap();
    leadership.publish("http://rest:1").await.unwrap();

    let backend = stores.connect_backend(&ServicesSetup::new(seam.clone())).await.unwrap();
    let client = ClientHaServices::new(backend, &options, seam).unwrap();
    let told = Arc::new(Told);
    let retrieval = client.cluster_rest_endpoint_leader_retriever().unwrap();
    retrieval.start(Arc::<Told>::clone(&told)).unwrap();
    within("found", retrieval.watch().leader()).await;
    within("resigned", leadership.resign()).await.unwrap();
    let mut watch = retrieval.watch();
    within("seen to be gone", async {
        while watch.view() != LeaderView::Vacant {
            watch.changed().await;
        }
    })
    .await;
    client.close().await.unwrap();
    let asked = stores.asked.lock().unwrap().clone();
    let read_only = |asked: &&String| asked.starts_with("read flink/default/leader/") || *asked == "close";
    assert_eq!(asked.iter().find(|asked| !asked.starts_with("connect") && !read_only(asked)), None);
    assert_eq!(asked.iter().filter(|asked| *asked == "close").count(), 1);
}

/// HA-10: the place of everything is root, then cluster id.
#[tokio::test]
async fn everything_is_stored_below_root_and_cluster_id_and_clusters_do_not_see_each_other() {
    let seam = Seam::system();
    let store = Embedded::new(seam.clone());
    let services = |cluster_id: &str| {
        let options = ServicesOptions { root: "ha/prod".into(), cluster_id: cluster_id.into(), ..Default::default() };
        HaServices::new(Arc::new(store.connect()), memory(&seam), &options, seam.clone()).unwrap()
    };
    for cluster in ["one", "one-more", "/eu/two"] {
        let services = services(cluster);
        let leadership =
            within("each leads its own", services.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
        leadership.publish(cluster).await.unwrap();
        write_something_everywhere(&services).await;
        let mut watch = services.dispatcher_leader_retriever().unwrap().watch();
        assert_eq!(within("sees its own leader", watch.leader()).await.address, cluster);
        services.close().await.unwrap();
    }
    let all = store.connect().list(&Prefix::root()).await.unwrap().entries;
    let below = |place: &str| all.iter().filter(|entry| entry.key.as_str().starts_with(place)).count();
    let counts = ["ha/prod/one/", "ha/prod/one-more/", "ha/prod/eu/two/"].map(below);
    assert!(counts[0] > 5 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), all.len(), "nothing lies elsewhere");
}

async fn recovered(factory: &dyn CheckpointRecoveryFactory) -> Result<Arc<dyn CompletedCheckpointStore>, Error> {
    let (claim, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    factory.create_recovered_completed_checkpoint_store(&job(), 1, claim, discarder).await
}

async fn write_something_everywhere(services: &dyn HighAvailabilityServices) {
    let plans = services.execution_plan_store().unwrap();
    plans.start(Arc::new(Told)).await.unwrap();
    plans.put_execution_plan(&ExecutionPlan::new(job(), "plan".into())).await.unwrap();
    plans.stop().await.unwrap();
    let factory = services.checkpoint_recovery_factory().unwrap();
    let counter = factory.create_checkpoint_id_counter(&job());
    counter.start().await.unwrap();
    let id = counter.get_and_increment().await.unwrap();
    let checkpoint = CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, "state".into());
    recovered(&*factory).await.unwrap().add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
    services.job_result_store().unwrap().create_dirty_result(&JobResult::new(job(), JobStatus::Failed)).await.unwrap();
    services.blob_store().unwrap().put(&job(), chunks_of("blob".into())).await.unwrap();
}

/// Somebody who may be told anything.
#[derive(Debug, Default)]
struct Told;

#[async_trait]
impl LeaderContender for Told {
    async fn grant_leadership(&self, _session_id: Uuid) {}
    async fn revoke_leadership(&self) {}
    async fn handle_error(&self, _error: Error) {}
    fn description(&self) -> String {
        "anybody".into()
    }
}

#[async_trait]
impl LeaderRetrievalListener for Told {
    async fn notify_leader(&self, _leader: Option<Leader>) {}
    async fn handle_error(&self, _error: Error) {}
}

impl ExecutionPlanListener for Told {
    fn on_added_execution_plan(&self, _job: &JobId) {}
    fn on_removed_execution_plan(&self, _job: &JobId) {}
}
