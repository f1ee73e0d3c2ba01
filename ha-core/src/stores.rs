//! How the stores are made, whoever they are got from.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::JobId;
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
    /// The plan stores that are in use: what they remember of a job can be released.
    plans: Arc<Mutex<Vec<Weak<DefaultExecutionPlanStore>>>>,
}

impl Stores {
    pub(crate) fn new(storage: StateStorage, job_results: JobResultStoreOptions) -> Self {
        Self { storage, job_results, plans: Arc::default() }
    }

    pub(crate) fn execution_plan_store(&self, writer: Writer) -> Arc<dyn ExecutionPlanStore> {
        let store = Arc::new(DefaultExecutionPlanStore::new(writer, self.storage.clone()));
        // Nothing in here can panic half-way, so a poisoned lock protects sound data.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.retain(|store| store.strong_count() > 0);
        plans.push(Arc::downgrade(&store));
        store
    }

    /// Lets go of what is remembered of that job.
    pub(crate) async fn forget(&self, job: &JobId) {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for store in plans.iter().filter_map(Weak::upgrade) {
            store.forget(job).await;
        }
    }

    pub(crate) fn checkpoint_recovery_factory(&self, writer: Writer) -> Arc<dyn CheckpointRecoveryFactory> {
        Arc::new(DefaultCheckpointRecoveryFactory::new(writer, self.storage.clone()))
    }

    pub(crate) fn job_result_store(&self, writer: Writer) -> Arc<dyn JobResultStore> {
        Arc::new(self.default_job_result_store(writer))
    }

    pub(crate) fn default_job_result_store(&self, writer: Writer) -> DefaultJobResultStore {
        DefaultJobResultStore::new(writer, self.job_results)
    }

    pub(crate) fn blob_store(&self, writer: Writer) -> Arc<dyn BlobStore> {
        Arc::new(DefaultBlobStore::new(writer, self.storage.clone()))
    }
}
