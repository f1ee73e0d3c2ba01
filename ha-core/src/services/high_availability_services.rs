use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::backend::Name;
use crate::blob::BlobStore;
use crate::checkpoint::CheckpointRecoveryFactory;
use crate::election::LeaderElection;
use crate::job_result::{JobResultStore, RunningJobsRegistry};
use crate::plan::ExecutionPlanStore;
use crate::retrieval::LeaderRetrieval;
use crate::{ComponentId, Error, JobId};

/// The leader session id where no election is held: all zeros. Flink's `DEFAULT_LEADER_ID`.
pub const DEFAULT_LEADER_ID: Uuid = Uuid::nil();

/// Everything that a highly available service needs, in one place. Flink's
/// `HighAvailabilityServices`.
///
/// Getting a service does no I/O; a backend is contacted when the service is used. Elections and
/// retrievals of one latch share one session and one watch, however many are got.
#[async_trait]
pub trait HighAvailabilityServices: fmt::Debug + Send + Sync {
    /// The election of any component on the process's one latch.
    ///
    /// # Errors
    /// * [`IllegalState`](crate::ErrorKind::IllegalState): the component takes part already.
    /// * [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn leader_election(&self, component: ComponentId) -> Result<Arc<dyn LeaderElection>, Error>;

    /// The election of a component on an independent latch of that name, such as a shard's. It is
    /// kept alive by the same session.
    ///
    /// # Errors
    /// As [`HighAvailabilityServices::leader_election`].
    fn leader_election_on(&self, latch: &Name, component: ComponentId) -> Result<Arc<dyn LeaderElection>, Error>;

    /// The retrieval of the leader of any component on the process's one latch.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn leader_retriever(&self, component: ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error>;

    /// The retrieval of the leader of a component on an independent latch of that name.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn leader_retriever_on(&self, latch: &Name, component: ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error>;

    /// The election of the resource manager.
    ///
    /// # Errors
    /// As [`HighAvailabilityServices::leader_election`].
    fn resource_manager_leader_election(&self) -> Result<Arc<dyn LeaderElection>, Error> {
        self.leader_election(ComponentId::resource_manager())
    }

    /// The election of the dispatcher.
    ///
    /// # Errors
    /// As [`HighAvailabilityServices::leader_election`].
    fn dispatcher_leader_election(&self) -> Result<Arc<dyn LeaderElection>, Error> {
        self.leader_election(ComponentId::dispatcher())
    }

    /// The election of the REST endpoint.
    ///
    /// # Errors
    /// As [`HighAvailabilityServices::leader_election`].
    fn cluster_rest_endpoint_leader_election(&self) -> Result<Arc<dyn LeaderElection>, Error> {
        self.leader_election(ComponentId::rest_server())
    }

    /// The election of the web monitor: another name of the REST endpoint, one component with
    /// [`cluster_rest_endpoint_leader_election`](Self::cluster_rest_endpoint_leader_election).
    ///
    /// # Errors
    /// As [`HighAvailabilityServices::leader_election`].
    fn web_monitor_leader_election(&self) -> Result<Arc<dyn LeaderElection>, Error> {
        self.cluster_rest_endpoint_leader_election()
    }

    /// The election of a job's master.
    ///
    /// # Errors
    /// As [`HighAvailabilityServices::leader_election`].
    fn job_manager_leader_election(&self, job: &JobId) -> Result<Arc<dyn LeaderElection>, Error> {
        self.leader_election(ComponentId::job_master(job)?)
    }

    /// The retrieval of the resource manager's leader.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn resource_manager_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::resource_manager())
    }

    /// The retrieval of the dispatcher's leader.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn dispatcher_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::dispatcher())
    }

    /// The retrieval of the REST endpoint's leader.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn cluster_rest_endpoint_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::rest_server())
    }

    /// The retrieval of the web monitor's leader: another name of the REST endpoint. Flink's
    /// `getWebMonitorLeaderRetriever`.
    ///
    /// # Errors
    /// As [`HighAvailabilityServices::leader_retriever`].
    fn web_monitor_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.cluster_rest_endpoint_leader_retriever()
    }

    /// The retrieval of the master of a job.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn job_manager_leader_retriever(&self, job: &JobId) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::job_master(job)?)
    }

    /// The retrieval of the master of a job, and the address to fall back to where leaders cannot be
    /// discovered. Services that find leaders in a store, as [`HaServices`](crate::HaServices) does,
    /// ignore the address, and do not check it; standalone services answer with it.
    ///
    /// # Errors
    /// As [`job_manager_leader_retriever`](Self::job_manager_leader_retriever), and
    /// [`Invalid`](crate::ErrorKind::Invalid) where the address is used: it is empty or too long.
    fn job_manager_leader_retriever_with_default(
        &self,
        job: &JobId,
        _default_address: &str,
    ) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.job_manager_leader_retriever(job)
    }

    /// A store of execution plans, not started. It writes under whatever leadership this process holds
    /// of its one latch at the time of each write, and answers
    /// [`NotLeader`](crate::ErrorKind::NotLeader) without one. A leader that wants to be held to exactly its
    /// own term gets its store from the [`Leadership`](crate::election::Leadership).
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn execution_plan_store(&self) -> Result<Arc<dyn ExecutionPlanStore>, Error>;

    /// A factory of checkpoint stores and counters, which write as those of
    /// [`HighAvailabilityServices::execution_plan_store`].
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn checkpoint_recovery_factory(&self) -> Result<Arc<dyn CheckpointRecoveryFactory>, Error>;

    /// The store of job results: the same one at each call. It writes as that of
    /// [`HighAvailabilityServices::execution_plan_store`].
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn job_result_store(&self) -> Result<Arc<dyn JobResultStore>, Error>;

    /// The store of blobs: the same one at each call. It writes as that of
    /// [`HighAvailabilityServices::execution_plan_store`]. Flink's `createBlobStore`.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn blob_store(&self) -> Result<Arc<dyn BlobStore>, Error>;

    /// A view that tells how far a job has come. Needs no leadership.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed.
    fn running_jobs_registry(&self) -> Result<RunningJobsRegistry, Error>;

    /// Gives up leadership, ends everything that was got from here, and closes the backend handle.
    /// Nothing stored is deleted: another instance recovers from it. A second call does nothing.
    ///
    /// # Errors
    /// The first step that failed; the others were taken all the same.
    ///
    /// # Cancel safety
    /// Call again to go on.
    async fn close(&self) -> Result<(), Error>;
}
