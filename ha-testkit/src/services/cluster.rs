use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, TryStreamExt};
use ha_core::backend::{Backend, Commit, Entry, Expect, Latch, Outcome, Prefix, SessionOptions};
use ha_core::election::{LeaderElection, Leadership};
use ha_core::resolve::Committer;
use ha_core::retrieval::{Leader, LeaderView, LeaderWatch};
use ha_core::state::StateStorage;
use ha_core::wrap::Chroot;
use ha_core::writer::{Authority, Writer};
use ha_core::{ComponentId, Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::contender::{Contending, Recorder, Told};
use super::{Deployment, Line, States};
use crate::faults::{Faulty, FaultyStates, Plan, StatePlan};
use crate::fixture::{Fixture, key, latch, prefix, won};

/// Where the suite's cluster lies, by the defaults of [`ServicesOptions`].
const CLUSTER: &str = "flink/default";

/// What a case of the service suite works on: a deployment of its own, and the words for it.
#[derive(Clone)]
pub struct Cluster {
    fixture: Fixture,
    deployment: Arc<dyn Deployment>,
    states: States,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("fixture", &self.fixture).finish_non_exhaustive()
    }
}

impl Deref for Cluster {
    type Target = Fixture;
    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

/// All that is stored, byte for byte: keys, values and revisions; names and bytes of states.
pub(super) type Everything = (Vec<(String, Bytes, u64)>, Vec<(String, Bytes)>);

impl Cluster {
    pub(super) fn new(deployment: Arc<dyn Deployment>) -> Self {
        let fixture = Fixture::new(deployment.store());
        let states = deployment.states();
        Self { fixture, deployment, states }
    }

    /// How the services of the suite are set up.
    pub(super) fn options(&self, label: &str) -> ServicesOptions {
        let session = SessionOptions { silence: self.store().silence(), label: label.into() };
        ServicesOptions { session, ..ServicesOptions::default() }
    }

    /// One more process.
    pub(super) async fn process(&self, label: &str) -> Process {
        self.process_with(&self.options(label)).await
    }

    pub(super) async fn process_with(&self, options: &ServicesOptions) -> Process {
        let plan = Plan::none();
        let faulty = Faulty::new(self.connect().await, self.seam().clone(), plan.clone());
        let line = Line::new(Arc::new(faulty), self.seam().clone());
        let states = StatePlan::none();
        let services = self.deployment.start(Arc::new(line.clone()), self.storage(&states), options);
        Process { services: services.expect("services"), line, plan, states, c: self.clone() }
    }

    /// The state storage that all processes share, as one sees it for which things go wrong as planned.
    pub(super) fn storage(&self, plan: &StatePlan) -> StateStorage {
        let faulty = |states| Arc::new(FaultyStates::new(states, self.seam().clone(), plan.clone())) as _;
        self.states.storage.clone().behind(faulty)
    }

    /// What handles of states begin with.
    pub(super) fn base(&self) -> &str {
        self.states.storage.base()
    }

    /// One more process that leads. Nobody else may lead or contend.
    pub(super) async fn leader(&self, label: &str) -> (Process, Leadership) {
        let process = self.process(label).await;
        let leadership = process.lead().await;
        (process, leadership)
    }

    pub(super) fn latch(&self) -> Latch {
        latch(&format!("{CLUSTER}/leader"))
    }

    /// Ends the present term on evidence; the latch is free afterwards, or another's.
    pub(super) async fn depose(&self) {
        let backend = self.connect().await;
        let found = backend.read(self.latch().key()).await.expect("a read").and_then(|entry| entry.held);
        // A leader that was starved for longer than its silence has lost the latch by itself.
        let Some(term) = found else { return };
        let session = self.session(&backend).await;
        won(session.try_acquire(&self.latch(), "evidence".into(), Some(&term)).await);
        session.close().await.expect("a closed session");
    }

    /// The present leader is deposed, and a new process leads.
    pub(super) async fn take_over(&self, label: &str) -> (Process, Leadership) {
        self.depose().await;
        self.leader(label).await
    }

    /// As [`Cluster::take_over`] from contenders, who may win again: they are deposed until they do not.
    pub(super) async fn take_over_from(&self, old: &[&Contending]) -> (Process, Leadership) {
        let process = self.process("successor").await;
        let election = process.election();
        let campaign = self.go(async move { election.campaign().await.expect("a leadership") });
        // Whoever is faster after an eviction wins; so they are evicted until it is the successor.
        let mut campaign = std::pin::pin!(campaign);
        loop {
            let told: Vec<usize> = old.iter().map(|one| one.recorder.told().len()).collect();
            self.depose().await;
            let won_again = self.eventually("the contenders are revoked", || async {
                old.iter().zip(&told).all(|(one, told)| one.recorder.told().len() > *told)
            });
            won_again.await;
            let settled = async {
                loop {
                    if old.iter().all(|one| matches!(one.recorder.told().last(), Some(Told::Grant(_)))) {
                        return None;
                    }
                    if let Some(won) = campaign.as_mut().now_or_never() {
                        return Some(won);
                    }
                    self.seam().sleep(Duration::from_millis(5)).await;
                }
            };
            if let Some(leadership) = self.in_time("somebody leads again", settled).await {
                return (process, leadership);
            }
        }
    }

    /// The entry below the cluster's place.
    pub(super) async fn entry(&self, at: &str) -> Option<Entry> {
        self.connect().await.read(&key(&format!("{CLUSTER}/{at}"))).await.expect("a read")
    }

    /// Stores what stands there under further keys too, as many in a commit as fit.
    pub(super) async fn copy(&self, backend: &Arc<dyn Backend>, at: &str, to: &[String]) {
        let found = backend.read(&key(&format!("{CLUSTER}/{at}"))).await.expect("a read");
        let value = found.expect("something to copy").value;
        for some in to.chunks(backend.profile().commit_operations_max) {
            let put = |commit: Commit, to: &String| {
                commit.put(key(&format!("{CLUSTER}/{to}")), Expect::Absent, value.clone())
            };
            let commit = some.iter().fold(Commit::new(self.seam().write_id()), put);
            let outcome = backend.commit(&commit).await.expect("a commit");
            assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
        }
    }

    /// The names below a place of the cluster.
    pub(super) async fn names(&self, below: &str) -> Vec<String> {
        let backend = self.connect().await;
        let entries = self.list(&backend, &format!("{CLUSTER}/{below}")).await;
        entries.iter().map(|entry| entry.key.last().to_owned()).collect()
    }

    /// Writes past all rules below the cluster's place.
    pub(super) async fn tamper(&self, at: &str, value: Option<&str>) {
        let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
        self.store().tamper(&key(&format!("{CLUSTER}/{at}")), value).await;
    }

    /// The paths of the states that are stored.
    pub(super) async fn states(&self) -> Vec<String> {
        let list: Vec<_> = self.states.inside.list(None).try_collect().await.expect("a list of states");
        let mut paths: Vec<String> = list.into_iter().map(|meta| meta.location.to_string()).collect();
        paths.sort();
        paths
    }

    /// Waits until that many states are stored.
    pub(super) async fn until_states(&self, count: usize) {
        self.eventually(&format!("{count} states are stored"), || async { self.states().await.len() == count }).await;
    }

    /// Replaces or removes a state, as a broken disk would.
    pub(super) async fn spoil(&self, path: &str, bytes: Option<&str>) {
        let path = Path::from(path);
        match bytes {
            Some(bytes) => drop(self.states.inside.put(&path, bytes.to_owned().into()).await.expect("a put")),
            None => self.states.inside.delete(&path).await.expect("a removal"),
        }
    }

    pub(super) async fn everything(&self) -> Everything {
        let backend = self.connect().await;
        let entries = self.list(&backend, "flink").await;
        let entries = entries.into_iter().map(|e| (e.key.to_string(), e.value, e.revision.native())).collect();
        let mut states = Vec::new();
        for path in self.states().await {
            match self.states.inside.get(&Path::from(path.as_str())).await {
                Ok(got) => states.push((path, got.bytes().await.expect("its bytes"))),
                // Deleted since it was listed.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => panic!("state {path}: {error}"),
            }
        }
        (entries, states)
    }

    /// Waits until the watch shows a leader at that address.
    pub(super) async fn sees(&self, watch: &mut LeaderWatch, address: &str) -> Leader {
        let seen = async {
            loop {
                if let LeaderView::Leader(leader) = watch.view()
                    && leader.address == address
                {
                    return leader;
                }
                watch.changed().await;
            }
        };
        self.in_time(&format!("the leader at {address} is seen"), seen).await
    }

    /// Waits until the watch shows that.
    pub(super) async fn shows(&self, watch: &mut LeaderWatch, view: &LeaderView) {
        let seen = async {
            while watch.view() != *view {
                watch.changed().await;
            }
        };
        self.in_time(&format!("the watch shows {view:?}"), seen).await;
    }
}

/// One process.
#[derive(Debug)]
pub struct Process {
    pub(super) services: HaServices,
    pub(super) line: Line,
    pub(super) plan: Plan,
    /// What goes wrong between this process and the state storage.
    pub(super) states: StatePlan,
    c: Cluster,
}

impl Process {
    /// The election of the dispatcher.
    pub(super) fn election(&self) -> Arc<dyn LeaderElection> {
        self.services.dispatcher_leader_election().expect("an election")
    }

    /// Wins the leadership as the dispatcher.
    pub(super) async fn lead(&self) -> Leadership {
        self.lead_as(ComponentId::dispatcher()).await
    }

    pub(super) async fn lead_as(&self, component: ComponentId) -> Leadership {
        let election = self.services.leader_election(component).expect("an election");
        self.c.in_time("the campaign is won", election.campaign()).await.expect("a leadership")
    }

    /// Contends as the dispatcher, by callbacks.
    pub(super) async fn contend(&self) -> Contending {
        Contending::start(self.election(), Recorder::new()).await
    }

    pub(super) async fn contend_as(&self, component: ComponentId) -> Contending {
        let election = self.services.leader_election(component).expect("an election");
        Contending::start(election, Recorder::new()).await
    }

    /// Who leads, as this process sees it.
    pub(super) fn watch(&self) -> LeaderWatch {
        self.services.dispatcher_leader_retriever().expect("a retrieval").watch()
    }

    /// The session that was opened last.
    pub(super) fn session_id(&self) -> String {
        self.line.sessions().pop().expect("a session")
    }

    /// Writes under that leadership, and gives up soon on what is not answered.
    pub(super) fn hasty(&self, leadership: &Leadership) -> Writer {
        let backend: Arc<dyn Backend> = Arc::new(self.line.clone());
        let cluster: Prefix = prefix(CLUSTER);
        let inside = Arc::new(Chroot::new(backend, cluster));
        let committer = Committer::with_budget(inside, self.c.seam().clone(), Duration::ZERO);
        Writer::new(committer, Authority::Leader(leadership.grant().clone()))
    }

    /// Drops the services alone, so that what they leave behind on the line can be seen.
    pub(super) fn drop_services(self) -> Line {
        self.line
    }

    /// Ends as a process does: its handle is closed, nothing is resigned in order.
    pub(super) async fn kill(&self) {
        self.line.close().await.expect("a closed handle");
    }
}

/// A job of the suite.
pub(super) fn job(name: &str) -> JobId {
    JobId::new(name).expect("a valid job id")
}

/// A deposed leader must be told so.
#[track_caller]
pub(super) fn assert_deposed<T: std::fmt::Debug>(what: &str, result: Result<T, Error>) {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::Fenced | ErrorKind::NotLeader) => {}
        other => panic!("a deposed leader must be refused: {what}: {other:?}"),
    }
}

/// The error of that kind, or a panic.
#[track_caller]
pub(super) fn assert_kind<T: std::fmt::Debug>(kind: ErrorKind, result: Result<T, Error>) -> Error {
    match result {
        Err(error) if error.kind() == kind => error,
        other => panic!("must fail as {kind:?}, and was {other:?}"),
    }
}
