//! What every test has: an agent, a place on it, a folder for states.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ha_core::checkpoint::CompletedCheckpointStore;
use ha_core::election::Leadership;
use ha_core::seam::{Moment, Seam};
use ha_core::{HaServices, HighAvailabilityServices};
use ha_testkit::Missing;
use ha_testkit::process::{Event, Process};
use ha_testkit::servers::consul::{Agent, Options};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::member::{Member, SILENCE, acknowledged, checkpoints, spawn};

/// Ended with the test process, which never drops it: the agent's keeper sees to that.
static AGENT: OnceCell<Arc<Agent>> = OnceCell::const_new();
/// Three servers and more are much for a small machine: those tests take turns.
static HEAVY: Mutex<()> = Mutex::const_new(());

/// How long anything is waited for that must come.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a test; where there is no Consul, it is shown as skipped here, and fails where `CI` is set.
pub(crate) fn run(test: impl Future<Output = Result<(), Missing>>) {
    if let Err(Missing(what)) = ha_testkit::run::block_on(test) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        eprintln!("SKIPPED: {what}");
    }
}

/// Lets a test that starts many processes run alone among its like.
pub(crate) async fn heavy() -> MutexGuard<'static, ()> {
    HEAVY.lock().await
}

/// Settings that let sessions be as short as these tests need them.
pub(crate) fn quick(options: Options) -> Options {
    options.with(json!({ "session_ttl_min": "100ms" }))
}

pub(crate) struct World {
    pub(crate) seam: Seam,
    pub(crate) agent: Arc<Agent>,
    pub(crate) place: Place,
}

/// A place in a store, and a folder for states.
pub(crate) struct Place {
    pub(crate) seam: Seam,
    pub(crate) root: String,
    storage: TempDir,
}

impl Place {
    pub(crate) fn new(seam: &Seam) -> Self {
        Self { seam: seam.clone(), root: format!("faults/{}", seam.uuid()), storage: TempDir::new().unwrap() }
    }

    pub(crate) fn member(&self, label: &str, addresses: &[String]) -> Member {
        let storage = url::Url::from_directory_path(self.storage.path()).unwrap().to_string();
        let (label, addresses, root) = (label.into(), addresses.to_vec(), self.root.clone());
        Member { label, addresses, root, storage, token: None, silence: SILENCE, serf_health: false }
    }

    pub(crate) fn latch(&self) -> String {
        format!("{}/default/leader/latch/.lock", self.root)
    }

    /// Kills the process and looks, as its successor, whether all that was acknowledged is there.
    pub(crate) async fn assert_nothing_is_lost(&self, mut processes: Vec<Process>, addresses: &[String]) {
        let mut expected = BTreeSet::new();
        for process in &mut processes {
            process.kill();
            process.exited().await;
            expected.extend(acknowledged(&process.events()));
        }
        let services = self.member("successor", addresses).services(&self.seam).await;
        let leadership = leadership(&self.seam, &services).await;
        let found = found(&checkpoints(&leadership).await.unwrap()).await;
        let lost: Vec<_> = expected.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", expected.len());
        services.close().await.unwrap();
    }
}

impl World {
    /// On the agent that all tests share, which keeps all in memory.
    pub(crate) async fn shared() -> Result<Self, Missing> {
        let start = async || Ok(Arc::new(Agent::start(Seam::system(), quick(Options::developer())).await?));
        let agent = Arc::clone(AGENT.get_or_try_init(start).await?);
        let seam = Seam::system();
        Ok(Self { place: Place::new(&seam), agent, seam })
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        vec![self.agent.address()]
    }

    pub(crate) fn member(&self, label: &str) -> Member {
        self.place.member(label, &self.addresses())
    }

    pub(crate) fn spawn(&self, label: &str) -> Process {
        spawn(&self.seam, &self.member(label))
    }

    pub(crate) async fn services(&self, label: &str) -> HaServices {
        self.member(label).services(&self.seam).await
    }

    /// All that is stored in the place, with the index of each write.
    pub(crate) async fn everything(&self) -> Vec<(String, u64)> {
        let path = format!("/v1/kv/{}/?recurse&consistent", self.place.root);
        let answer = self.agent.ask("GET", &path, b"").await;
        if answer.status == 404 {
            return Vec::new();
        }
        let pair = |pair: &serde_json::Value| {
            (pair["Key"].as_str().unwrap().to_owned(), pair["ModifyIndex"].as_u64().unwrap())
        };
        answer.json().as_array().unwrap().iter().map(pair).collect()
    }

    pub(crate) async fn put(&self, path: &str, body: &[u8]) -> String {
        let answer = self.agent.ask("PUT", &format!("/v1/{path}"), body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    pub(crate) async fn delete(&self, path: &str) {
        let answer = self.agent.ask("DELETE", &format!("/v1/{path}"), b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    /// The session that holds the latch.
    pub(crate) async fn holder(&self) -> String {
        let path = format!("/v1/kv/{}?consistent", self.place.latch());
        self.agent.ask("GET", &path, b"").await.json()[0]["Session"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        in_time(&self.seam, what, future).await
    }

    pub(crate) async fn leadership(&self, services: &HaServices) -> Leadership {
        leadership(&self.seam, services).await
    }
}

pub(crate) async fn in_time<T>(seam: &Seam, what: &str, future: impl Future<Output = T>) -> T {
    let output = seam.timeout(PATIENCE, future).await;
    output.unwrap_or_else(|| panic!("waited in vain: {what}"))
}

pub(crate) async fn leadership(seam: &Seam, services: &HaServices) -> Leadership {
    let election = services.dispatcher_leader_election().unwrap();
    in_time(seam, "it leads", election.campaign()).await.unwrap()
}

pub(crate) async fn found(store: &Arc<dyn CompletedCheckpointStore>) -> BTreeSet<u64> {
    let all = store.get_all_checkpoints().await.unwrap();
    for one in &all {
        assert_eq!(one.state, format!("state {}", one.id), "the pointer leads to another state");
    }
    all.iter().map(|one| one.id).collect()
}

pub(crate) fn epoch(leadership: &Leadership) -> u64 {
    leadership.token().to_string().parse().unwrap()
}

/// When the process told that for the first time at or after the moment; waits for it.
pub(crate) async fn told_after(process: &Process, name: &str, after: Moment) -> Event {
    let find = |events: &[Event]| events.iter().find(|event| event.name == name && event.at >= after).cloned();
    process.until(name, find).await
}

/// Shows how long something took. No test depends on it; `docs/consul.md` quotes it.
pub(crate) fn measured(what: &str, from: Moment, to: Moment) {
    eprintln!("MEASURED {what}: {} ms", to.since(from).as_millis());
}
