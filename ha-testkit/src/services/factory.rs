use std::sync::Arc;

use async_trait::async_trait;
use ha_core::backend::Backend;
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, ServicesOptions};
use object_store::ObjectStore;
use object_store::memory::InMemory;

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

    /// Where its processes store state. By default in the memory of this process, empty for each deployment.
    ///
    /// It is asked once. The suite puts its faults before it, and counts on one attempt for each call: on a store over a
    /// network that is a retry-timeout of zero.
    fn states(&self) -> States {
        let memory = Arc::new(InMemory::new());
        let store: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&memory);
        States { storage: StateStorage::over(store, "memory:///", self.store().seam()), inside: memory }
    }

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

/// A state storage, and the way into it that the suite has beside the services.
#[derive(Debug, Clone)]
pub struct States {
    /// What services are given.
    pub storage: StateStorage,
    /// The same states, to look at and to spoil: a path here is what follows the storage's base in a handle.
    pub inside: Arc<dyn ObjectStore>,
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
