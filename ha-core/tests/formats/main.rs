//! Two versions of the library on one store: the same code with another range of formats.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

mod cleaning;
#[path = "../common/mod.rs"]
mod common;
mod independent;
mod raising;
mod refusing;
mod rolling;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::{Faulty, eventually, job};
use futures_util::TryStreamExt;
use ha_core::backend::{Backend, Key, SessionOptions};
use ha_core::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly,
    RecoveryClaimMode,
};
use ha_core::election::Leadership;
use ha_core::formats::Formats;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::Embedded;

/// Where the record of the cluster's format stands.
const RECORD: &str = "flink/default/formats";

/// The version that came first: it knows format 1.
fn old() -> Formats {
    Formats::new(1, 1).unwrap()
}

/// The version after it: it knows formats 1 and 2.
fn new() -> Formats {
    Formats::new(1, 2).unwrap()
}

/// The version after that: it does not know format 1 any more.
fn newest() -> Formats {
    Formats::new(2, 3).unwrap()
}

/// One store and one state storage, for processes of any version.
#[derive(Clone)]
struct Cluster {
    seam: Seam,
    store: Embedded,
    storage: StateStorage,
}

/// A process: its services, and its handle on the store, which counts.
struct Process {
    services: HaServices,
    backend: Arc<Faulty>,
}

impl Cluster {
    fn new() -> Self {
        let seam = Seam::system();
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        Self { store: Embedded::new(seam.clone()), storage, seam }
    }

    fn process(&self, formats: Formats) -> Process {
        let backend = Faulty::new(Arc::new(self.store.connect()));
        Process { services: self.services_on(Arc::<Faulty>::clone(&backend), formats), backend }
    }

    fn services_on(&self, backend: Arc<dyn Backend>, formats: Formats) -> HaServices {
        let session = SessionOptions { silence: Duration::from_secs(20), label: format!("{formats}") };
        let options = ServicesOptions { session, formats, ..ServicesOptions::default() };
        HaServices::new(backend, self.storage.clone(), &options, self.seam.clone()).unwrap()
    }

    /// Everything that is stored, byte for byte.
    async fn contents(&self) -> Vec<(String, Bytes, u64)> {
        let root = ha_core::backend::Prefix::root();
        let snapshot = self.store.connect().list(&root).await.unwrap();
        snapshot.entries.into_iter().map(|e| (e.key.to_string(), e.value, e.revision.native())).collect()
    }

    /// In which formats the records are written that are stored; without the one of the cluster's format.
    async fn formats(&self) -> BTreeSet<u64> {
        let contents = self.contents().await;
        let record = |(key, value, _): &(String, Bytes, u64)| {
            let value: serde_json::Value = serde_json::from_slice(value).ok()?;
            (key != RECORD).then(|| value.get("format")?.as_u64())?
        };
        contents.iter().filter_map(record).collect()
    }

    fn tamper(&self, value: Option<&str>) {
        self.store.tamper(&Key::new(RECORD).unwrap(), value.map(|value| value.to_owned().into()));
    }

    /// As an operator restores it: the cluster writes that format.
    fn record(&self, format: u32) {
        let id = "0123456789abcdef0123456789abcdef";
        self.tamper(Some(&format!(
            r#"{{"format":1,"kind":"cluster_format","write_id":"{id}","epoch":1,"body":{{"format":{format}}}}}"#
        )));
    }

    async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        match self.seam.timeout(Duration::from_secs(60), future).await {
            Some(output) => output,
            None => panic!("waited in vain: {what}"),
        }
    }

    async fn lead(&self, process: &Process) -> Leadership {
        self.campaign(process).await.unwrap()
    }

    /// A new process of that version wins.
    async fn leader(&self, formats: Formats) -> Leader {
        let process = self.process(formats);
        let leadership = self.lead(&process).await;
        Leader { leadership, process }
    }

    async fn campaign(&self, process: &Process) -> Result<Leadership, Error> {
        let election = process.services.dispatcher_leader_election().unwrap();
        self.within("the campaign comes to an end", election.campaign()).await
    }
}

/// A process that leads, and its leadership.
struct Leader {
    leadership: Leadership,
    process: Process,
}

impl std::ops::Deref for Leader {
    type Target = Leadership;
    fn deref(&self) -> &Leadership {
        &self.leadership
    }
}

/// A listener that has nothing to do.
struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

async fn plans(leadership: &Leadership) -> Arc<dyn ExecutionPlanStore> {
    let plans = leadership.execution_plan_store();
    plans.start(Arc::new(Deaf)).await.unwrap();
    plans
}

async fn counter(leadership: &Leadership) -> Arc<dyn CheckpointIdCounter> {
    let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job("job"));
    counter.start().await.unwrap();
    counter
}

async fn checkpoints(leadership: &Leadership) -> Result<Arc<dyn CompletedCheckpointStore>, Error> {
    let factory = leadership.checkpoint_recovery_factory();
    let discard = Arc::new(DiscardStateOnly);
    factory.create_recovered_completed_checkpoint_store(&job("job"), 3, RecoveryClaimMode::NoClaim, discard).await
}

fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, id, format!("state {id}").into())
}

fn plan(name: &str) -> ExecutionPlan {
    ExecutionPlan::new(job(name), format!("plan of {name}").into())
}

/// Both versions are named, and what to do.
fn assert_too_old(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::NewerFormat);
    let text = error.to_string();
    assert!(text.contains("format 2") && text.contains("format 1 alone") && text.contains("upgrade"), "{text}");
}
