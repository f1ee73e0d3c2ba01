use std::sync::Arc;

use async_trait::async_trait;
use ha_core::backend::Backend;
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, ServicesOptions};

use crate::factory::{BackendFactory, Missing, Store};

/// Makes a fresh, empty deployment for each case of the service suite.
///
/// Every [`BackendFactory`] is one: the library's services over its backend. Implement it yourself
/// to put something of your own between the services and the backend.
#[async_trait]
pub trait ServicesFactory: Send + Sync + 'static {
    /// Opens a deployment that no other case uses.
    ///
    /// # Errors
    /// [`Missing`]: what it needs is not here; as [`BackendFactory::open`].
    async fn open(&self) -> Result<Arc<dyn Deployment>, Missing>;
}

/// A namespace of a backend on which any number of processes run their services.
pub trait Deployment: Send + Sync + 'static {
    /// The namespace, with its hooks.
    fn store(&self) -> Arc<dyn Store>;

    /// The services of one more process. The suite stands between them and the store: `backend` is
    /// a handle of [`Deployment::store`] behind the suite's own wrappers.
    ///
    /// # Errors
    /// The options do not fit; the case fails.
    fn start(
        &self,
        backend: Arc<dyn Backend>,
        storage: StateStorage,
        options: &ServicesOptions,
    ) -> Result<HaServices, Error> {
        HaServices::new(backend, storage, options, self.store().seam())
    }
}

struct OverBackend(Arc<dyn Store>);

impl Deployment for OverBackend {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0)
    }
}

#[async_trait]
impl<F: BackendFactory> ServicesFactory for F {
    async fn open(&self) -> Result<Arc<dyn Deployment>, Missing> {
        Ok(Arc::new(OverBackend(BackendFactory::open(self).await?)))
    }
}
