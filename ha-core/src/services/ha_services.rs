use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{DEFAULT_LEADER_ID, HighAvailabilityServices, ServicesOptions, lifecycle};
use crate::backend::{Backend, Latch, Name};
use crate::blob::BlobStore;
use crate::checkpoint::CheckpointRecoveryFactory;
use crate::cleanup::{clean_up_cluster, clean_up_job};
use crate::election::sessions::Sessions;
use crate::election::{ElectionParts, LeaderElection, LeaderElectionService};
use crate::evidence::{self, PresenceStats};
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
    pub(super) committer: Arc<Committer>,
    stores: Stores,
    pub(super) sessions: Arc<Sessions>,
    seam: Seam,
    handicap: Duration,
    /// How the last calls of the backend went.
    pub(super) store: Arc<Contact>,
    /// The session id of every grant; `None`: a random one for each.
    session_id: Option<Uuid>,
    pub(super) parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) elections: BTreeMap<Latch, Arc<LeaderElectionService>>,
    followers: BTreeMap<Latch, Arc<SharedFollower>>,
    job_results: Option<Arc<dyn JobResultStore>>,
    blobs: Option<Arc<dyn BlobStore>>,
    /// All leaderships were given up for good: no election begins any more.
    pub(super) resigned: bool,
    pub(super) closed: bool,
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
        let detector = evidence::detector(options.presence, &backend.profile(), options.session.silence, &seam)?;
        let sessions = Sessions::new(Arc::clone(&backend), options.session.clone(), detector, seam.clone());
        Ok(Self {
            committer: Committer::with_formats(backend, seam.clone(), options.formats),
            stores: Stores::new(storage, options.job_results),
            store,
            sessions,
            seam,
            handicap: options.handicap,
            session_id: None,
            parts: Mutex::default(),
        })
    }

    /// As [`HaServices::new`], for a store that no other process and no other services use: nobody
    /// competes, so whoever contends is granted leadership at once, and the leader session id is always
    /// [`DEFAULT_LEADER_ID`]. Standalone services are made of it.
    ///
    /// Not for a store that others use too. Writes would be fenced as ever, but one leadership could not
    /// be told from the next by its session id, and what is late from an earlier one would pass for current.
    ///
    /// # Errors
    /// As [`HaServices::new`].
    pub fn uncontested(
        backend: Arc<dyn Backend>,
        storage: StateStorage,
        options: &ServicesOptions,
        seam: Seam,
    ) -> Result<Self, Error> {
        Ok(Self { session_id: Some(DEFAULT_LEADER_ID), ..Self::new(backend, storage, options, seam)? })
    }

    /// The election service of the process's one latch.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]: the services were closed.
    pub fn leader_election_service(&self) -> Result<Arc<LeaderElectionService>, Error> {
        self.election_service(&Latch::below(&layout::leader()))
    }

    /// What presence has seen and done in this process; `None` if it is off.
    #[must_use]
    pub fn presence_stats(&self) -> Option<PresenceStats> {
        self.sessions.detector().map(|detector| detector.stats())
    }

    /// What the cluster writes, as the store says now; see [`formats`](crate::formats). Needs no leadership.
    ///
    /// # Errors
    /// * [`ErrorKind::NewerFormat`], [`ErrorKind::Unsupported`]: this version may take no part.
    /// * [`ErrorKind::Corrupt`]: the record cannot be read. Nobody takes part; restore it.
    /// * as [`Backend::read`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn cluster_format(&self) -> Result<u32, Error> {
        let standing = crate::formats::read(&**self.committer.backend(), self.committer.formats()).await?;
        Ok(standing.format)
    }

    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
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
        let election = ElectionParts::new(committer, sessions, follower, self.handicap, self.session_id);
        let service = Arc::new(LeaderElectionService::new(latch.clone(), election, self.stores.clone()));
        // It is still needed by the stores, which tell by it that nobody leads here.
        if parts.resigned {
            service.refuse();
        }
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
        let formats = self.committer.formats();
        Ok(Arc::new(DefaultLeaderRetrieval::new(follower, latch, component, silence, formats, self.seam.clone())))
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
        Ok(RunningJobsRegistry::reading(Arc::clone(self.committer.backend()), self.committer.formats()))
    }

    async fn close(&self) -> Result<(), Error> {
        let elections = {
            let mut parts = self.parts();
            parts.closed = true;
            parts.followers.values().for_each(|follower| follower.close());
            parts.elections.clone()
        };
        // At once: each may have to wait for a store that does not answer.
        futures_util::future::join_all(elections.values().map(|election| election.shut())).await;
        self.parts().elections.clear();
        // After the latches were let go of: whoever sees the socket end takes it for our death.
        if let Some(detector) = self.sessions.detector() {
            detector.close();
        }
        // After the addresses were withdrawn, which is the last that is written.
        self.committer.close();
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
