//! What is stored of a cluster, for an operator's tool: read, decoded and judged, and never changed.
//!
//! An [`Inspector`] needs no leadership and opens no session. It lists each scope once instead of reading key by key, so
//! a large cluster costs as many requests as a small one. What cannot be read is reported, beside all that can:
//! one damaged entry hides nothing else.
//!
//! A list is what stood there at one moment. Leaders go on working meanwhile, so what looks broken is looked at again
//! before it is called so.

mod clusters;
mod contents;
mod leaders;
mod orphans;
mod problem;
mod verify;

use std::sync::Arc;

use crate::backend::{Backend, Mark, Name, Scope};
use crate::formats::{self, Formats};
use crate::names::layout;
use crate::seam::Seam;
use crate::services::storage_of;
use crate::state::StateStorage;
use crate::wrap::Chroot;
use crate::{Error, ServicesOptions};

pub use clusters::clusters;
pub use contents::{BlobView, CheckpointView, Contents, JobView, ResultView};
pub use leaders::{ComponentView, HolderView, LatchView, Leaders, RequestView};
pub(crate) use orphans::held_epochs;
pub use orphans::{OrphanView, Prospect};
pub use problem::{Problem, ProblemKind};
pub use verify::{Depth, Progress, Verified};

/// Reads what is stored of one cluster.
///
/// ```
/// use std::sync::Arc;
/// use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions, seam::Seam, state::StateStorage};
/// use ha_core::inspect::Inspector;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let (seam, options) = (Seam::system(), ServicesOptions::default());
/// # let store = ha_embedded::Embedded::new(seam.clone());
/// # let storage = StateStorage::open("memory://", seam.clone())?;
/// # let services = HaServices::new(Arc::new(store.connect()), storage.clone(), &options, seam.clone())?;
/// let leadership = services.dispatcher_leader_election()?.campaign().await?;
/// leadership.publish("host-1:6123").await?;
///
/// let inspector = Inspector::new(Arc::new(store.connect()), storage, &options, seam)?;
/// let leaders = inspector.leaders().await?;
/// assert_eq!(leaders.latches[0].epoch, Some(leadership.token().epoch()));
/// assert_eq!(leaders.latches[0].components[0].address, "host-1:6123");
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Inspector {
    backend: Arc<dyn Backend>,
    storage: StateStorage,
    formats: Formats,
    seam: Seam,
}

impl Inspector {
    /// Of the cluster that the options name, over that backend handle and state storage. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): an option does not fit; the text names it.
    pub fn new(
        backend: Arc<dyn Backend>,
        storage: StateStorage,
        options: &ServicesOptions,
        seam: Seam,
    ) -> Result<Self, Error> {
        let root = options.validate()?;
        let storage = storage_of(&storage, options, &root, backend.profile().name)?;
        let backend: Arc<dyn Backend> = Arc::new(Chroot::new(backend, root));
        Ok(Self { backend, storage, formats: options.formats, seam })
    }

    /// What the cluster writes; `None`: it was never raised, so the first format.
    ///
    /// # Errors
    /// The record cannot be read, or this version may take no part in the cluster; the text says which.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn format(&self) -> Result<u32, Error> {
        Ok(formats::read(&*self.backend, self.formats).await?.format)
    }

    /// Returns when something may differ, below a latch's home, from what [`Inspector::leaders`] has shown with that
    /// mark; and at once for [`Mark::UNSEEN`]. `None`: the cluster's one latch.
    ///
    /// # Errors
    /// As [`Backend::changed`]: look anew, after a pause.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn changed(&self, latch: Option<&Name>, seen: &Mark) -> Result<(), Error> {
        let scope = Scope::Below(layout::latch(latch).home());
        self.backend.changed(&scope, seen).await.map(drop)
    }
}
