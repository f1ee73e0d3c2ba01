//! The store of completed checkpoints.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

mod adding;
#[path = "../common/mod.rs"]
mod common;
mod ending;
mod failing;
mod recovering;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{Fault, Leader, Rig, assert_deposed, eventually, job, poll_and_drop};
use ha_core::backend::{Name, Profile};
use ha_core::checkpoint::{
    CheckpointDiscarder, CheckpointKind, CheckpointOrigin, CheckpointRecoveryFactory, CheckpointStoreOptions,
    CompletedCheckpoint, CompletedCheckpointStore, DefaultCheckpointRecoveryFactory, DefaultCompletedCheckpointStore,
    RecoveryClaimMode, RetentionPolicy,
};
use ha_core::seam::Seam;
use ha_core::state::{StateHandle, StateStorage};
use ha_core::writer::Writer;
use ha_core::{Error, ErrorKind, JobStatus};

const BELOW: &str = "jobs/job/checkpoints";

/// Remembers what it was asked to discard.
#[derive(Debug, Default)]
struct Recorder {
    ids: Mutex<Vec<u64>>,
    panics: bool,
    fails: Mutex<usize>,
}

#[async_trait]
impl CheckpointDiscarder for Recorder {
    async fn discard(&self, checkpoint: &CompletedCheckpoint) -> Result<(), Error> {
        assert!(!self.panics, "a discarder of the test panics");
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Err(Error::new(ErrorKind::Storage, "discard").because("for the test"));
        }
        self.ids.lock().unwrap().push(checkpoint.id);
        Ok(())
    }
}

struct Opened {
    store: DefaultCompletedCheckpointStore,
    discarded: Arc<Recorder>,
}

impl Opened {
    async fn add(&self, checkpoint: CompletedCheckpoint) -> Result<Option<u64>, Error> {
        let subsumed = self.store.add_checkpoint_and_subsume_oldest_one(checkpoint).await?;
        Ok(subsumed.map(|checkpoint| checkpoint.id))
    }

    async fn ids(&self) -> Vec<u64> {
        self.store.get_all_checkpoints().await.unwrap().iter().map(|checkpoint| checkpoint.id).collect()
    }

    async fn discarded(&self) -> Vec<u64> {
        self.store.discards_settled().await;
        let mut ids = self.discarded.ids.lock().unwrap().clone();
        ids.sort_unstable();
        ids
    }
}

async fn try_open(rig: &Rig, writer: Writer, retained_max: usize) -> Result<Opened, Error> {
    open_with(rig, writer, retained_max, RecoveryClaimMode::NoClaim, Arc::default()).await
}

async fn open_with(
    rig: &Rig,
    writer: Writer,
    retained_max: usize,
    claim_mode: RecoveryClaimMode,
    discarded: Arc<Recorder>,
) -> Result<Opened, Error> {
    let discarder = Arc::clone(&discarded) as Arc<dyn CheckpointDiscarder>;
    let options = CheckpointStoreOptions { retained_max, claim_mode, discarder };
    let store = DefaultCompletedCheckpointStore::recover(&job("job"), writer, rig.storage.clone(), options).await?;
    Ok(Opened { store, discarded })
}

async fn open(rig: &Rig, leader: &Leader, retained_max: usize) -> Opened {
    try_open(rig, leader.writer.clone(), retained_max).await.unwrap()
}

fn of_kind(id: u64, kind: CheckpointKind) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, kind, id.wrapping_mul(1000), format!("state {id}").into())
}

fn checkpoint(id: u64) -> CompletedCheckpoint {
    of_kind(id, CheckpointKind::Checkpoint)
}

fn savepoint(id: u64) -> CompletedCheckpoint {
    of_kind(id, CheckpointKind::Savepoint)
}

fn names(ids: &[u64]) -> Vec<String> {
    ids.iter().map(|id| format!("{BELOW}/{id:019}")).collect()
}

/// The handles of the states that the pointers lead to, as they stand in the backend.
async fn handles(rig: &Rig) -> Vec<StateHandle> {
    let handle = |value: &[u8]| {
        let record: serde_json::Value = serde_json::from_slice(value).unwrap();
        serde_json::from_value(record["body"]["state"].clone()).unwrap()
    };
    rig.contents(BELOW).await.iter().map(|(_, value, _)| handle(value)).collect()
}

async fn exists(storage: &StateStorage, handle: &StateHandle) -> bool {
    match storage.read(handle).await {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::StateMissing => false,
        Err(error) => panic!("{error}"),
    }
}
