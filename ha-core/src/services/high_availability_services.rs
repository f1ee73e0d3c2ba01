use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::Closing;
use crate::backend::Name;
use crate::blob::BlobStore;
use crate::checkpoint::CheckpointRecoveryFactory;
use crate::cleanup::Failures;
use crate::election::LeaderElection;
use crate::health::Health;
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

    // Lifecycle and clean-up.

    /// Removes everything that is stored of the cluster if that is wanted, and closes in any case. Flink's
    /// `closeWithOptionalClean`.
    ///
    /// # Errors
    /// As [`cleanup_all_data`](Self::cleanup_all_data) and [`close`](Self::close); if both fail, the error of the
    /// clean-up, with the other in its text. The services are closed all the same. What is left is removed by any
    /// process that leads and calls it again.
    ///
    /// # Cancel safety
    /// Call again to go on.
    async fn close_with_optional_clean(&self, closing: Closing) -> Result<(), Error> {
        let mut failures = Failures::default();
        if closing == Closing::CleanUpAllData {
            failures.take(self.cleanup_all_data().await);
        }
        failures.take(self.close().await);
        failures.merged()
    }

    /// Removes everything that is stored of the cluster, under the leadership that this process holds of its one
    /// latch: execution plans, checkpoints, counters, blobs, and leader information that is not of a present
    /// leader. All pointers go first; then the states of those that are definitely gone; then orphans of earlier
    /// leaderships. Every step is taken, whatever became of the others.
    ///
    /// What stays: results of jobs (and dirty ones stay dirty), records of the application, latches with their
    /// epochs and barriers, the record of formats, and everything that this version does not know, but what stands
    /// among plans, jobs and blobs: that goes with them, and leads to no state that goes. The states of
    /// savepoints stay, of snapshots that were restored without claiming them, and of checkpoints that their
    /// policy retains, as far as the job's result tells how it ended; their pointers go.
    ///
    /// A pointer that is damaged is removed too, and logged: its state is an orphan, for a later
    /// [`OrphanCollector`](crate::cleanup::OrphanCollector). One in a newer format stays, with its state.
    ///
    /// Not guaranteed: that leaders of *other* latches add nothing beside it. End them first.
    ///
    /// By default there is nothing to remove: for services that store nothing.
    ///
    /// # Errors
    /// The first error, with the others in its text. Whatever the kind, some may be removed; of what could not be
    /// removed, pointer and state stay together.
    /// * [`NotLeader`](crate::ErrorKind::NotLeader), [`Fenced`](crate::ErrorKind::Fenced): the leadership is over, or never was. Nothing more was
    ///   removed; a leader calls it again.
    /// * [`Closed`](crate::ErrorKind::Closed): the services were closed.
    /// * [`NewerFormat`](crate::ErrorKind::NewerFormat): a pointer is in a format that this version does not know.
    ///   It stays, with its state; all others are gone. Let a newer version lead.
    /// * [`IllegalState`](crate::ErrorKind::IllegalState): all is removed but orphans, which cannot be told from what
    ///   another store, or the same one before it was restored, has at this place; see
    ///   [`OrphanCollector::collect`](crate::cleanup::OrphanCollector::collect).
    /// * others: call again.
    ///
    /// # Cancel safety
    /// After a drop some may be removed. Call again, in any process that leads.
    async fn cleanup_all_data(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Removes everything that is stored of one job, which is over for good, but its result: its plan, its
    /// checkpoints and their counter, its blobs, and what its master has published on the one latch. Flink's
    /// `globalCleanupAsync`. Of other jobs nothing is touched. It works for jobs that this process never saw, and
    /// may be called any number of times, also at once.
    ///
    /// What becomes of states and of pointers that cannot be read is as in
    /// [`cleanup_all_data`](Self::cleanup_all_data). Close the election of the job's master, and its checkpoint
    /// store, first: who still works on the job may store more of it.
    ///
    /// By default there is nothing to remove: for services that store nothing.
    ///
    /// # Errors
    /// As [`cleanup_all_data`](Self::cleanup_all_data).
    ///
    /// # Cancel safety
    /// After a drop some may be removed. Call again, in any process that leads.
    async fn global_cleanup(&self, job: &JobId) -> Result<(), Error> {
        let _ = job;
        Ok(())
    }

    /// Lets go of what this process remembers of a job: after it was suspended, or leadership was lost. Deletes
    /// nothing, and needs no leadership: another process recovers the job. Flink's `localCleanupAsync`.
    ///
    /// There are no locks on entries to release: the fence stands in their place. What is forgotten is that
    /// execution plan stores of this process own the job's plan; they must recover it before they change it again.
    ///
    /// By default nothing is remembered.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed): the services were closed, and remember nothing.
    ///
    /// # Cancel safety
    /// Call again to go on.
    async fn local_cleanup(&self, job: &JobId) -> Result<(), Error> {
        let _ = job;
        Ok(())
    }

    /// Gives up all leaderships for good and refuses new elections; everything else goes on. Returns when others
    /// can take the latches. A second call does nothing.
    ///
    /// By default there is none to give up.
    ///
    /// # Errors
    /// A latch was not let go of in time, or it could not be found out. The leadership is over all the same; others
    /// may have to wait until its session has ended by silence.
    ///
    /// # Cancel safety
    /// After a drop the rest happens in the background.
    async fn resign(&self) -> Result<(), Error> {
        Ok(())
    }

    /// How these services are, as far as this process knows: no I/O, no waiting. For probes.
    ///
    /// By default there is nothing that could be ill: for services that need no store.
    fn health(&self) -> Health {
        Health::default()
    }
}
