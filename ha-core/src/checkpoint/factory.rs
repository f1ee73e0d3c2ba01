use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    CheckpointDiscarder, CheckpointIdCounter, CheckpointStoreOptions, CompletedCheckpointStore,
    DefaultCheckpointIdCounter, DefaultCompletedCheckpointStore, RecoveryClaimMode,
};
use crate::state::StateStorage;
use crate::writer::Writer;
use crate::{Error, JobId};

/// Makes what a job master needs to take checkpoints and to recover from them. Flink's
/// `CheckpointRecoveryFactory`.
#[async_trait]
pub trait CheckpointRecoveryFactory: fmt::Debug + Send + Sync {
    /// Recovers the job's completed checkpoints. Do this once when leadership is gained, not at
    /// each restart of the job: it reads the states of all of them.
    ///
    /// `max_retained` is at least 1. A snapshot that the job is restored from is never discarded
    /// under [`RecoveryClaimMode::NoClaim`] and [`RecoveryClaimMode::Legacy`].
    ///
    /// # Errors
    /// As [`DefaultCompletedCheckpointStore::recover`]: one entry that cannot be read fails it all.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn create_recovered_completed_checkpoint_store(
        &self,
        job: &JobId,
        max_retained: usize,
        claim_mode: RecoveryClaimMode,
        discarder: Arc<dyn CheckpointDiscarder>,
    ) -> Result<Arc<dyn CompletedCheckpointStore>, Error>;

    /// The job's counter, not started. No I/O.
    fn create_checkpoint_id_counter(&self, job: &JobId) -> Arc<dyn CheckpointIdCounter>;
}

/// The [`CheckpointRecoveryFactory`] on a backend and a state storage. What it makes writes under
/// the authority of its writer.
#[derive(Debug, Clone)]
pub struct DefaultCheckpointRecoveryFactory {
    writer: Writer,
    storage: StateStorage,
}

impl DefaultCheckpointRecoveryFactory {
    /// A factory that writes pointers and counters by that writer, and states to that storage.
    #[must_use]
    pub fn new(writer: Writer, storage: StateStorage) -> Self {
        Self { writer, storage }
    }
}

#[async_trait]
impl CheckpointRecoveryFactory for DefaultCheckpointRecoveryFactory {
    async fn create_recovered_completed_checkpoint_store(
        &self,
        job: &JobId,
        max_retained: usize,
        claim_mode: RecoveryClaimMode,
        discarder: Arc<dyn CheckpointDiscarder>,
    ) -> Result<Arc<dyn CompletedCheckpointStore>, Error> {
        let options = CheckpointStoreOptions { retained_max: max_retained, claim_mode, discarder };
        let (writer, storage) = (self.writer.clone(), self.storage.clone());
        Ok(Arc::new(DefaultCompletedCheckpointStore::recover(job, writer, storage, options).await?))
    }

    fn create_checkpoint_id_counter(&self, job: &JobId) -> Arc<dyn CheckpointIdCounter> {
        Arc::new(DefaultCheckpointIdCounter::new(job, self.writer.clone()))
    }
}
