use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{Name, SessionOptions};
use ha_core::blob::BlobStore;
use ha_core::checkpoint::CheckpointRecoveryFactory;
use ha_core::election::LeaderElection;
use ha_core::job_result::{JobResultStore, RunningJobsRegistry};
use ha_core::plan::ExecutionPlanStore;
use ha_core::retrieval::LeaderRetrieval;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{ComponentId, Error, HaServices, Health, HighAvailabilityServices, JobId, ServicesOptions};

use super::configured::{Closed, ConfiguredLeaderRetrieval};
use super::{StandaloneOptions, TOKEN_MAX};
use crate::Embedded;

/// The services of one process without an election; see [the module](super).
///
/// * **Elections**: granted at once (never from within the call), under
///   [`DEFAULT_LEADER_ID`](ha_core::DEFAULT_LEADER_ID); revoked when the election or the services are closed,
///   and for nothing else: there is no session that silence could end. Both faces are there.
/// * **Fencing tokens** grow within these services, and from one run of the process to the next as
///   [`StandaloneOptions::tokens_above`] says. They do not tell apart two processes that run at a time, but
///   that the one that was started later has the greater token.
/// * **Retrievals** of a component with an address show it, whoever leads in this process, and tell a
///   listener once. That leader has the token 0: nobody here knows its own. Without an address, what a
///   component of this process publishes is shown.
/// * **Stores** are whole, in memory. Plans, checkpoints, counters, results and blobs of a job that is
///   suspended are kept, and recovered by whoever leads it next *in these services*; Flink throws them away.
///   All of it is gone with these services, and states that were written to a storage that outlives the
///   process then stay there as orphans: give them `memory://`, or a directory that is removed with the process.
pub struct StandaloneHaServices {
    services: HaServices,
    addresses: BTreeMap<ComponentId, String>,
    seam: Seam,
    closed: Closed,
}

impl StandaloneHaServices {
    /// The services of one process. No I/O. Of `options` count those of the stores; place, session and
    /// handicap mean nothing where nobody shares the store.
    ///
    /// # Errors
    /// [`Invalid`](ha_core::ErrorKind::Invalid): an option does not fit; the text names it.
    pub fn new(
        standalone: &StandaloneOptions,
        storage: StateStorage,
        options: &ServicesOptions,
        seam: Seam,
    ) -> Result<Self, Error> {
        standalone.validate()?;
        options.validate()?;
        let session = SessionOptions { label: options.session.label.clone(), ..SessionOptions::default() };
        let options = ServicesOptions { session, handicap: Duration::ZERO, ..options.clone() };
        // The one place where the wall clock counts: there is no store that could tell what the last run of
        // this process has used. If that clock goes back between two runs, a receiver that remembers
        // greater tokens refuses us until it has caught up; `tokens_above` is for who cannot have that.
        let above = standalone.tokens_above.unwrap_or_else(|| seam.unix_ms().min(TOKEN_MAX));
        let backend = Arc::new(Embedded::endless(seam.clone(), above).connect());
        Ok(Self {
            services: HaServices::uncontested(backend, storage, &options, seam.clone())?,
            addresses: standalone.addresses.clone(),
            seam,
            closed: Closed::default(),
        })
    }
}

#[async_trait]
impl HighAvailabilityServices for StandaloneHaServices {
    fn leader_election(&self, component: ComponentId) -> Result<Arc<dyn LeaderElection>, Error> {
        self.services.leader_election(component)
    }

    fn leader_election_on(&self, latch: &Name, component: ComponentId) -> Result<Arc<dyn LeaderElection>, Error> {
        self.services.leader_election_on(latch, component)
    }

    fn leader_retriever(&self, component: ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        match self.addresses.get(&component) {
            Some(address) => ConfiguredLeaderRetrieval::open(address, &self.seam, &self.closed),
            None => self.services.leader_retriever(component),
        }
    }

    /// Independent latches have no configured addresses: what is published in this process is shown.
    fn leader_retriever_on(&self, latch: &Name, component: ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.services.leader_retriever_on(latch, component)
    }

    /// The address that is configured for the job's master, or else the default address.
    fn job_manager_leader_retriever_with_default(
        &self,
        job: &JobId,
        default_address: &str,
    ) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        let address = self.addresses.get(&ComponentId::job_master(job)?);
        let address = address.map_or(default_address, String::as_str);
        ConfiguredLeaderRetrieval::open(address, &self.seam, &self.closed)
    }

    fn execution_plan_store(&self) -> Result<Arc<dyn ExecutionPlanStore>, Error> {
        self.services.execution_plan_store()
    }

    fn checkpoint_recovery_factory(&self) -> Result<Arc<dyn CheckpointRecoveryFactory>, Error> {
        self.services.checkpoint_recovery_factory()
    }

    fn job_result_store(&self) -> Result<Arc<dyn JobResultStore>, Error> {
        self.services.job_result_store()
    }

    fn blob_store(&self) -> Result<Arc<dyn BlobStore>, Error> {
        self.services.blob_store()
    }

    fn running_jobs_registry(&self) -> Result<RunningJobsRegistry, Error> {
        self.services.running_jobs_registry()
    }

    async fn close(&self) -> Result<(), Error> {
        self.closed.set();
        self.services.close().await
    }

    async fn cleanup_all_data(&self) -> Result<(), Error> {
        self.services.cleanup_all_data().await
    }

    async fn global_cleanup(&self, job: &JobId) -> Result<(), Error> {
        self.services.global_cleanup(job).await
    }

    async fn local_cleanup(&self, job: &JobId) -> Result<(), Error> {
        self.services.local_cleanup(job).await
    }

    async fn resign(&self) -> Result<(), Error> {
        self.services.resign().await
    }

    fn health(&self) -> Health {
        self.services.health()
    }
}

impl fmt::Debug for StandaloneHaServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandaloneHaServices")
            .field("addresses", &self.addresses)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}
