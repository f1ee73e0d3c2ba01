mod lifecycle;
mod options;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::backend::{Backend, Latch, Name};
use crate::blob::BlobStore;
use crate::checkpoint::CheckpointRecoveryFactory;
use crate::cleanup::{Failures, clean_up_cluster, clean_up_job};
use crate::election::sessions::Sessions;
use crate::election::{ElectionParts, LeaderElection, LeaderElectionService};
use crate::health::{Contact, Health, Observed};
use crate::job_result::{JobResultStore, RunningJobsRegistry};
use crate::names::layout;
use crate::plan::ExecutionPlanStore;
use crate::resolve::Committer;
use crate::retrieval::follower::SharedFollower;
use crate::retrieval::{DefaultLeaderRetrieval, LeaderRetrieval};
use crate::seam::Seam;
use crate::state::StateStorage;
use crate::stores::Stores;
use crate::wrap::Chroot;
use crate::writer::{Authority, Writer};
use crate::{ComponentId, Error, ErrorKind, JobId};

pub use lifecycle::Closing;
pub use options::ServicesOptions;

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
    /// * [`ErrorKind::IllegalState`]: the component takes part already.
    /// * [`ErrorKind::Closed`]: the services were closed.
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
    /// [`ErrorKind::Closed`]: the services were closed.
    fn leader_retriever(&self, component: ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error>;

    /// The retrieval of the leader of a component on an independent latch of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
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
    /// [`ErrorKind::Closed`]: the services were closed.
    fn resource_manager_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::resource_manager())
    }

    /// The retrieval of the dispatcher's leader.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    fn dispatcher_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::dispatcher())
    }

    /// The retrieval of the REST endpoint's leader.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    fn cluster_rest_endpoint_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::rest_server())
    }

    /// The retrieval of the master of a job.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    fn job_manager_leader_retriever(&self, job: &JobId) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.leader_retriever(ComponentId::job_master(job)?)
    }

    /// A store of execution plans, not started. It writes under whatever leadership this process holds
    /// of its one latch at the time of each write, and answers
    /// [`NotLeader`](ErrorKind::NotLeader) without one. A leader that wants to be held to exactly its
    /// own term gets its store from the [`Leadership`](crate::election::Leadership).
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    fn execution_plan_store(&self) -> Result<Arc<dyn ExecutionPlanStore>, Error>;

    /// A factory of checkpoint stores and counters, which write as those of
    /// [`HighAvailabilityServices::execution_plan_store`].
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    fn checkpoint_recovery_factory(&self) -> Result<Arc<dyn CheckpointRecoveryFactory>, Error>;

    /// The store of job results: the same one at each call. It writes as that of
    /// [`HighAvailabilityServices::execution_plan_store`].
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    fn job_result_store(&self) -> Result<Arc<dyn JobResultStore>, Error>;

    /// The store of blobs: the same one at each call. It writes as that of
    /// [`HighAvailabilityServices::execution_plan_store`]. Flink's `createBlobStore`.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    fn blob_store(&self) -> Result<Arc<dyn BlobStore>, Error>;

    /// A view that tells how far a job has come. Needs no leadership.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
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
    /// epochs and barriers, the record of formats, and everything that this version does not know. The states of
    /// savepoints stay, of snapshots that were restored without claiming them, and of checkpoints that their
    /// policy retains, as far as the job's result tells how it ended; their pointers go.
    ///
    /// A pointer that cannot be read is removed too, and logged: its state is an orphan, for a later
    /// [`OrphanCollector`](crate::cleanup::OrphanCollector).
    ///
    /// Not guaranteed: that leaders of *other* latches add nothing beside it. End them first.
    ///
    /// By default there is nothing to remove: for services that store nothing.
    ///
    /// # Errors
    /// The first error, with the others in its text. Whatever the kind, some may be removed; of what could not be
    /// removed, pointer and state stay together.
    /// * [`ErrorKind::NotLeader`], [`ErrorKind::Fenced`]: the leadership is over, or never was. Nothing more was
    ///   removed; a leader calls it again.
    /// * [`ErrorKind::Closed`]: the services were closed.
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
    /// [`ErrorKind::Closed`]: the services were closed, and remember nothing.
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

/// The one implementation of [`HighAvailabilityServices`] over backends.
///
/// ```
/// use std::sync::Arc;
/// use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions, seam::Seam, state::StateStorage};
/// use ha_embedded::Embedded;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let seam = Seam::system();
/// let backend = Arc::new(Embedded::new(seam.clone()).connect());
/// let storage = StateStorage::open("memory://", seam.clone())?;
/// let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam)?;
///
/// let leadership = services.dispatcher_leader_election()?.campaign().await?;
/// leadership.publish("host-1:6123").await?;
/// let leader = services.dispatcher_leader_retriever()?.watch().leader().await;
/// assert_eq!(leader.address, "host-1:6123");
/// assert_eq!(leader.token, leadership.token());
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
pub struct HaServices {
    committer: Arc<Committer>,
    stores: Stores,
    sessions: Arc<Sessions>,
    seam: Seam,
    handicap: Duration,
    /// How the last calls of the backend went.
    store: Arc<Contact>,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    elections: BTreeMap<Latch, Arc<LeaderElectionService>>,
    followers: BTreeMap<Latch, Arc<SharedFollower>>,
    job_results: Option<Arc<dyn JobResultStore>>,
    blobs: Option<Arc<dyn BlobStore>>,
    closed: bool,
}

impl HaServices {
    /// The services of one process on that backend handle and state storage. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: an option does not fit; the text names it.
    pub fn new(
        backend: Arc<dyn Backend>,
        storage: StateStorage,
        options: &ServicesOptions,
        seam: Seam,
    ) -> Result<Self, Error> {
        let root = options.validate()?;
        let storage = lifecycle::storage_of(&storage, options, &root, backend.profile().name)?;
        let observed = Arc::new(Observed::new(backend, options.session.silence, seam.clone()));
        let store = observed.store();
        let backend: Arc<dyn Backend> = Arc::new(Chroot::new(observed, root));
        let sessions = Sessions::new(Arc::clone(&backend), options.session.clone(), seam.clone());
        Ok(Self {
            committer: Committer::new(backend, seam.clone()),
            stores: Stores::new(storage, options.job_results),
            store,
            sessions,
            seam,
            handicap: options.handicap,
            parts: Mutex::default(),
        })
    }

    /// The election service of the process's one latch.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    pub fn leader_election_service(&self) -> Result<Arc<LeaderElectionService>, Error> {
        self.election_service(&Latch::below(&layout::leader()))
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_parts(&self) -> Result<MutexGuard<'_, Parts>, Error> {
        let parts = self.parts();
        if parts.closed {
            return Err(Error::new(ErrorKind::Closed, "get service").because("the services were closed; open others"));
        }
        Ok(parts)
    }

    fn follower(&self, parts: &mut Parts, latch: &Latch) -> Arc<SharedFollower> {
        let start = || {
            let (backend, home) = (Arc::clone(self.committer.backend()), latch.home());
            Arc::new(SharedFollower::new(backend, home, self.sessions.options().silence, self.seam.clone()))
        };
        Arc::clone(parts.followers.entry(latch.clone()).or_insert_with(start))
    }

    fn election_service(&self, latch: &Latch) -> Result<Arc<LeaderElectionService>, Error> {
        let mut parts = self.open_parts()?;
        if let Some(service) = parts.elections.get(latch) {
            return Ok(Arc::clone(service));
        }
        let follower = self.follower(&mut parts, latch);
        let (committer, sessions) = (Arc::clone(&self.committer), Arc::clone(&self.sessions));
        let election = ElectionParts::new(committer, sessions, follower, self.handicap);
        let service = Arc::new(LeaderElectionService::new(latch.clone(), election, self.stores.clone()));
        parts.elections.insert(latch.clone(), Arc::clone(&service));
        Ok(service)
    }

    /// Writes under the leadership that this process holds at the time of each write.
    fn current_writer(&self) -> Result<Writer, Error> {
        let current = self.leader_election_service()?.current();
        Ok(Writer::new(Arc::clone(&self.committer), Authority::Current(current)))
    }

    fn retriever(&self, latch: Latch, component: &ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        let mut parts = self.open_parts()?;
        let follower = self.follower(&mut parts, &latch);
        let silence = self.sessions.options().silence;
        Ok(Arc::new(DefaultLeaderRetrieval::new(follower, latch, component, silence, self.seam.clone())))
    }
}

#[async_trait]
impl HighAvailabilityServices for HaServices {
    fn leader_election(&self, component: ComponentId) -> Result<Arc<dyn LeaderElection>, Error> {
        self.leader_election_service()?.create_leader_election(component)
    }

    fn leader_election_on(&self, latch: &Name, component: ComponentId) -> Result<Arc<dyn LeaderElection>, Error> {
        let latch = Latch::below(&layout::extra_latch(latch));
        self.election_service(&latch)?.create_leader_election(component)
    }

    fn leader_retriever(&self, component: ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.retriever(Latch::below(&layout::leader()), &component)
    }

    fn leader_retriever_on(&self, latch: &Name, component: ComponentId) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        self.retriever(Latch::below(&layout::extra_latch(latch)), &component)
    }

    fn execution_plan_store(&self) -> Result<Arc<dyn ExecutionPlanStore>, Error> {
        Ok(self.stores.execution_plan_store(self.current_writer()?))
    }

    fn checkpoint_recovery_factory(&self) -> Result<Arc<dyn CheckpointRecoveryFactory>, Error> {
        Ok(self.stores.checkpoint_recovery_factory(self.current_writer()?))
    }

    fn job_result_store(&self) -> Result<Arc<dyn JobResultStore>, Error> {
        let writer = self.current_writer()?;
        let made = &mut self.open_parts()?.job_results;
        Ok(Arc::clone(made.get_or_insert_with(|| self.stores.job_result_store(writer))))
    }

    fn blob_store(&self) -> Result<Arc<dyn BlobStore>, Error> {
        let writer = self.current_writer()?;
        let made = &mut self.open_parts()?.blobs;
        Ok(Arc::clone(made.get_or_insert_with(|| self.stores.blob_store(writer))))
    }

    fn running_jobs_registry(&self) -> Result<RunningJobsRegistry, Error> {
        drop(self.open_parts()?);
        Ok(RunningJobsRegistry::new(Arc::clone(self.committer.backend())))
    }

    async fn close(&self) -> Result<(), Error> {
        let elections = {
            let mut parts = self.parts();
            parts.closed = true;
            parts.elections.clone()
        };
        // At once: each may have to wait for a store that does not answer.
        futures_util::future::join_all(elections.values().map(|election| election.shut())).await;
        self.parts().elections.clear();
        self.committer.backend().close().await
    }

    async fn cleanup_all_data(&self) -> Result<(), Error> {
        clean_up_cluster(&self.current_writer()?, &self.stores.storage).await
    }

    async fn global_cleanup(&self, job: &JobId) -> Result<(), Error> {
        clean_up_job(&self.current_writer()?, &self.stores.storage, job).await
    }

    async fn local_cleanup(&self, job: &JobId) -> Result<(), Error> {
        drop(self.open_parts()?);
        self.stores.forget(job).await;
        Ok(())
    }

    async fn resign(&self) -> Result<(), Error> {
        self.resign_all().await
    }

    fn health(&self) -> Health {
        self.look_after_itself()
    }
}

impl fmt::Debug for HaServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HaServices")
            .field("backend", &self.committer.backend().profile().name)
            .field("storage", &self.stores.storage)
            .finish_non_exhaustive()
    }
}
