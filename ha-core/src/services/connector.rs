use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    ClientHaServices, ClientHighAvailabilityServices, HaServices, HighAvailabilityServices,
    HighAvailabilityServicesFactory, ServicesSetup,
};
use crate::Error;
use crate::backend::Backend;
use crate::state::StateStorage;

/// Makes handles on a backend from settings. It is a [`HighAvailabilityServicesFactory`] by that: services
/// of a process get a handle of their own, and so does a client.
///
/// ```
/// use std::sync::Arc;
/// use ha_core::backend::Backend;
/// use ha_core::{BackendConnector, Error, FactoryRegistry, HighAvailabilityServices, ServicesSetup};
/// # use ha_core::{seam::Seam, state::StateStorage};
///
/// #[derive(Debug)]
/// struct MyStores(ha_embedded::Embedded);
///
/// #[async_trait::async_trait]
/// impl BackendConnector for MyStores {
///     async fn connect_backend(&self, setup: &ServicesSetup) -> Result<Arc<dyn Backend>, Error> {
///         setup.settings.only(&["address"])?;
///         Ok(Arc::new(self.0.connect()))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let my_stores = MyStores(ha_embedded::Embedded::new(seam.clone()));
/// let mut registry = FactoryRegistry::new();
/// registry.register("my-store", Arc::new(my_stores))?;
/// let (setup, storage) = (ServicesSetup::new(seam.clone()), StateStorage::open("memory://", seam)?);
/// let services = registry.create_ha_services("my-store", &setup, storage).await?;
/// services.close().await?;
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait BackendConnector: fmt::Debug + Send + Sync {
    /// A handle on the backend, as one process has it.
    ///
    /// # Errors
    /// As [`HighAvailabilityServicesFactory::create_ha_services`].
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    async fn connect_backend(&self, setup: &ServicesSetup) -> Result<Arc<dyn Backend>, Error>;
}

#[async_trait]
impl<T: BackendConnector> HighAvailabilityServicesFactory for T {
    async fn create_ha_services(
        &self,
        setup: &ServicesSetup,
        storage: StateStorage,
    ) -> Result<Arc<dyn HighAvailabilityServices>, Error> {
        // Before anything is connected that would have to be closed again.
        setup.options.validate()?;
        let backend = self.connect_backend(setup).await?;
        Ok(Arc::new(HaServices::new(backend, storage, &setup.options, setup.seam.clone())?))
    }

    async fn create_client_ha_services(
        &self,
        setup: &ServicesSetup,
    ) -> Result<Arc<dyn ClientHighAvailabilityServices>, Error> {
        setup.options.validate()?;
        let backend = self.connect_backend(setup).await?;
        Ok(Arc::new(ClientHaServices::new(backend, &setup.options, setup.seam.clone())?))
    }

    fn connector(&self) -> Option<&dyn BackendConnector> {
        Some(self)
    }
}
