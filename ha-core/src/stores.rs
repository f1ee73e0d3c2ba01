//! How the stores are made, whoever they are got from.

use std::sync::Arc;

use crate::blob::{BlobStore, DefaultBlobStore};
use crate::checkpoint::{CheckpointRecoveryFactory, DefaultCheckpointRecoveryFactory};
use crate::job_result::{DefaultJobResultStore, JobResultStore, JobResultStoreOptions};
use crate::plan::{DefaultExecutionPlanStore, ExecutionPlanStore};
use crate::state::StateStorage;
use crate::writer::Writer;

/// What the stores of one process have in common: all but the authority that they write under.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    pub(crate) storage: StateStorage,
    pub(crate) job_results: JobResultStoreOptions,
}

impl Stores {
    pub(crate) fn execution_plan_store(&self, writer: Writer) -> Arc<dyn ExecutionPlanStore> {
        Arc::new(DefaultExecutionPlanStore::new(writer, self.storage.clone()))
    }

    pub(crate) fn checkpoint_recovery_factory(&self, writer: Writer) -> Arc<dyn CheckpointRecoveryFactory> {
        Arc::new(DefaultCheckpointRecoveryFactory::new(writer, self.storage.clone()))
    }

    pub(crate) fn job_result_store(&self, writer: Writer) -> Arc<dyn JobResultStore> {
        Arc::new(DefaultJobResultStore::new(writer, self.job_results))
    }

    pub(crate) fn blob_store(&self, writer: Writer) -> Arc<dyn BlobStore> {
        Arc::new(DefaultBlobStore::new(writer, self.storage.clone()))
    }
}
