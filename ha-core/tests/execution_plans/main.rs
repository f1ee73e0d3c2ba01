//! The store of execution plans.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod listening;
mod storing;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::{Fault, Leader, Rig, assert_deposed, eventually, job, poll_and_drop};
use ha_core::plan::{DefaultExecutionPlanStore, ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::seam::Seam;
use ha_core::state::{StateHandle, StateStorage};
use ha_core::writer::Writer;
use ha_core::{Error, ErrorKind, JobId};
use serde_json::json;

const BELOW: &str = "execution-plans";

/// Remembers what it was told.
#[derive(Debug, Default)]
struct Heard {
    added: Mutex<Vec<String>>,
    removed: Mutex<Vec<String>>,
    panics: bool,
}

impl ExecutionPlanListener for Heard {
    fn on_added_execution_plan(&self, job: &JobId) {
        self.added.lock().unwrap().push(job.to_string());
        assert!(!self.panics, "a listener of the test panics");
    }

    fn on_removed_execution_plan(&self, job: &JobId) {
        self.removed.lock().unwrap().push(job.to_string());
        assert!(!self.panics, "a listener of the test panics");
    }
}

impl Heard {
    fn added(&self) -> Vec<String> {
        self.added.lock().unwrap().clone()
    }

    fn removed(&self) -> Vec<String> {
        self.removed.lock().unwrap().clone()
    }
}

fn store_by(rig: &Rig, writer: Writer) -> DefaultExecutionPlanStore {
    DefaultExecutionPlanStore::new(writer, rig.storage.clone())
}

async fn started_by(rig: &Rig, writer: Writer) -> (DefaultExecutionPlanStore, Arc<Heard>) {
    let (store, heard) = (store_by(rig, writer), Arc::new(Heard::default()));
    store.start(Arc::clone(&heard) as _).await.unwrap();
    (store, heard)
}

async fn started(rig: &Rig, leader: &Leader) -> (DefaultExecutionPlanStore, Arc<Heard>) {
    started_by(rig, leader.writer.clone()).await
}

fn plan(name: &str, content: &'static str) -> ExecutionPlan {
    ExecutionPlan::new(job(name), content.into())
}

async fn recovered(store: &DefaultExecutionPlanStore, name: &str) -> String {
    let plan = store.recover_execution_plan(&job(name)).await.unwrap().unwrap();
    String::from_utf8(plan.plan.to_vec()).unwrap()
}

async fn handle_of(rig: &Rig, name: &str) -> StateHandle {
    let contents = rig.contents(BELOW).await;
    let (_, value, _) = contents.iter().find(|(key, ..)| *key == format!("{BELOW}/{name}")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(value).unwrap();
    serde_json::from_value(record["body"]["state"].clone()).unwrap()
}

async fn exists(storage: &StateStorage, handle: &StateHandle) -> bool {
    match storage.read(handle).await {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::StateMissing => false,
        Err(error) => panic!("{error}"),
    }
}

fn in_directory() -> (tempfile::TempDir, Rig) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    let rig = Rig { storage: StateStorage::open(&url, Seam::system()).unwrap(), ..Rig::new() };
    (directory, rig)
}

/// How many states of that job there are.
fn files(directory: &tempfile::TempDir, name: &str) -> usize {
    std::fs::read_dir(directory.path().join("submittedJobGraph").join(name)).map_or(0, Iterator::count)
}
