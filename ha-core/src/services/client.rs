use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::ServicesOptions;
use crate::backend::{Backend, Latch};
use crate::names::layout;
use crate::retrieval::follower::SharedFollower;
use crate::retrieval::{DefaultLeaderRetrieval, LeaderRetrieval};
use crate::seam::Seam;
use crate::wrap::Chroot;
use crate::{ComponentId, Error, ErrorKind};

/// What a client of a cluster needs: where the REST endpoint is. Flink's
/// `ClientHighAvailabilityServices`.
///
/// It needs no election rights, no session and no state storage, and has no way to get any.
#[async_trait]
pub trait ClientHighAvailabilityServices: fmt::Debug + Send + Sync {
    /// The retrieval of the leader of the cluster's REST endpoint, a new one at each call.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed): the services were closed.
    fn cluster_rest_endpoint_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error>;

    /// Ends everything that was got from here, and closes the backend handle. A second call does nothing.
    ///
    /// # Errors
    /// The backend handle was not closed in order. Nothing can be got from here all the same.
    ///
    /// # Cancel safety
    /// Call again to go on.
    async fn close(&self) -> Result<(), Error>;
}

/// The one implementation of [`ClientHighAvailabilityServices`] over backends.
///
/// Of the store it reads what stands below the cluster's latch and nothing else, and it writes nothing:
/// a credential that may read `{root}/{cluster-id}/leader/` is enough.
///
/// ```
/// use std::sync::Arc;
/// use ha_core::{ClientHaServices, ClientHighAvailabilityServices, ServicesOptions, seam::Seam};
/// # use ha_core::{HaServices, HighAvailabilityServices, state::StateStorage};
/// use ha_embedded::Embedded;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let seam = Seam::system();
/// let store = Embedded::new(seam.clone());
/// # let storage = StateStorage::open("memory://", seam.clone())?;
/// # let options = ServicesOptions::default();
/// # let services = HaServices::new(Arc::new(store.connect()), storage, &options, seam.clone())?;
/// # let leadership = services.cluster_rest_endpoint_leader_election()?.campaign().await?;
/// # leadership.publish("http://host-1:8081").await?;
/// let client = ClientHaServices::new(Arc::new(store.connect()), &ServicesOptions::default(), seam)?;
/// let leader = client.cluster_rest_endpoint_leader_retriever()?.watch().leader().await;
/// assert_eq!(leader.address, "http://host-1:8081");
/// client.close().await?;
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
pub struct ClientHaServices {
    backend: Arc<dyn Backend>,
    follower: Arc<SharedFollower>,
    options: ServicesOptions,
    seam: Seam,
}

impl ClientHaServices {
    /// The services of one client on that backend handle. No I/O. Of the options count the place of the
    /// cluster, and the silence: for so long a leader is shown while the store cannot be reached.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): an option does not fit; the text names it.
    pub fn new(backend: Arc<dyn Backend>, options: &ServicesOptions, seam: Seam) -> Result<Self, Error> {
        let backend: Arc<dyn Backend> = Arc::new(Chroot::new(backend, options.validate()?));
        let (home, silence) = (layout::leader(), options.session.silence);
        let follower = Arc::new(SharedFollower::new(Arc::clone(&backend), home, silence, seam.clone()));
        Ok(Self { backend, follower, options: options.clone(), seam })
    }
}

#[async_trait]
impl ClientHighAvailabilityServices for ClientHaServices {
    fn cluster_rest_endpoint_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        if self.follower.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "get service").because("the services were closed; open others"));
        }
        let (latch, component) = (Latch::below(&layout::leader()), ComponentId::rest_server());
        let (follower, silence) = (Arc::clone(&self.follower), self.options.session.silence);
        let formats = self.options.formats;
        Ok(Arc::new(DefaultLeaderRetrieval::new(follower, latch, &component, silence, formats, self.seam.clone())))
    }

    async fn close(&self) -> Result<(), Error> {
        self.follower.close();
        self.backend.close().await
    }
}

impl fmt::Debug for ClientHaServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, cluster_id) = (&self.options.root, &self.options.cluster_id);
        f.debug_struct("ClientHaServices")
            .field("backend", &self.backend.profile().name)
            .field("root", root)
            .field("cluster_id", cluster_id)
            .finish_non_exhaustive()
    }
}
