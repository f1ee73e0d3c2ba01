//! The in-process backend.
//!
//! One [`Embedded`] is a whole store in memory. Every [`connect`](Embedded::connect) makes a
//! handle on it as one process would have it, so that several services in one process really
//! compete. It is the reference model for the conformance suites, the store for tests, and the
//! right choice for a service that needs the interfaces and no second process.
//!
//! Nothing survives the process. A [`Session`](ha_core::backend::Session) that is dropped ends at
//! once: that its owner cannot write any more is certain here, so nobody has to wait.
//!
//! ```
//! use ha_core::backend::{Acquire, Backend, Latch, Prefix, SessionOptions};
//! use ha_core::seam::Seam;
//! use ha_embedded::Embedded;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let store = Embedded::new(Seam::system());
//! let (one, other) = (store.connect(), store.connect());
//! let latch = Latch::below(&Prefix::new("leader").unwrap());
//! let first = one.open_session(&SessionOptions::default()).await.unwrap();
//! let second = other.open_session(&SessionOptions::default()).await.unwrap();
//! assert!(matches!(first.try_acquire(&latch, "one".into(), None).await, Ok(Acquire::Won(_))));
//! assert!(matches!(second.try_acquire(&latch, "two".into(), None).await, Ok(Acquire::Held { .. })));
//! # });
//! ```
//!
//! Beside it live the [`standalone`] services, for those who want the interfaces and no election.

mod handle;
mod hooks;
mod session;
pub mod standalone;
mod store;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ha_core::backend::{Backend, EarlyEnd, Evidence, Profile};
use ha_core::seam::Seam;
use ha_core::{BackendConnector, Error, ServicesSetup};

pub use handle::Handle;
pub use hooks::SessionInfo;

use store::Shared;

/// A store in memory. Clones are the same store; it lives as long as anything refers to it.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

impl Embedded {
    /// An empty store with the limits of Consul, so that a service that outgrows this backend
    /// does not find them out when it moves: 512 KiB a value, 64 operations and 512 KiB a commit.
    #[must_use]
    pub fn new(seam: Seam) -> Self {
        let profile = Profile::new("embedded", 512 * 1024, 64, 512 * 1024);
        let profile = profile.with_early_ends([EarlyEnd::Evidence, EarlyEnd::Operator]);
        Self::with_profile(seam, profile.with_evidence(Evidence::Own))
    }

    /// An empty store that enforces the limits of this profile, and reports it.
    #[must_use]
    pub fn with_profile(seam: Seam, profile: Profile) -> Self {
        Self { shared: Arc::new(Shared::new(seam, profile)) }
    }

    /// A store for one user, with no silence to wait for and no epoch up to that one.
    fn endless(seam: Seam, epochs_above: u64) -> Self {
        let profile = Profile::new("standalone", 512 * 1024, 64, 512 * 1024);
        Self { shared: Arc::new(Shared::endless(seam, profile, epochs_above)) }
    }

    /// A handle on the store, as one process has it.
    #[must_use]
    pub fn connect(&self) -> Handle {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        // Only tells the handles apart inside the store; no run depends on its value.
        Handle::new(Arc::clone(&self.shared), NUMBERS.fetch_add(1, Ordering::Relaxed))
    }
}

/// All services that are made from one value compete on the one store that it is. There are no settings.
#[async_trait]
impl BackendConnector for Embedded {
    async fn connect_backend(&self, setup: &ServicesSetup) -> Result<Arc<dyn Backend>, Error> {
        setup.settings.only(&[])?;
        Ok(Arc::new(self.connect()))
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("profile", &self.shared.profile).finish_non_exhaustive()
    }
}
