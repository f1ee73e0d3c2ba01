use std::sync::Arc;

use async_trait::async_trait;
use ha_core::backend::Backend;
use ha_core::{BackendConnector, Error, ServicesSetup};

use crate::{Consul, ConsulSettings};

/// Makes handles on Consul from settings by name: each a [`Consul`] of its own, as one process has it.
///
/// What the [environment](ConsulSettings::from_env) says counts first, and over it the
/// [named settings](ConsulSettings::with_named).
///
/// ```no_run
/// use std::sync::Arc;
/// use ha_consul::ConsulConnector;
/// use ha_core::{BackendSettings, FactoryRegistry, HighAvailabilityServices, ServicesSetup};
/// use ha_core::{seam::Seam, state::StateStorage};
///
/// # async fn example() -> Result<(), ha_core::Error> {
/// let mut registry = FactoryRegistry::new();
/// registry.register("consul", Arc::new(ConsulConnector))?;
/// let (seam, settings) = (Seam::system(), BackendSettings::new().with("host", "consul.local"));
/// let setup = ServicesSetup::new(seam.clone()).with_settings(settings);
/// let states = StateStorage::open("file:///var/lib/my-service", seam)?;
/// let services = registry.create_ha_services("consul", &setup, states).await?;
/// services.close().await
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ConsulConnector;

#[async_trait]
impl BackendConnector for ConsulConnector {
    async fn connect_backend(&self, setup: &ServicesSetup) -> Result<Arc<dyn Backend>, Error> {
        let settings = ConsulSettings::from_env()?.with_named(&setup.settings)?;
        Ok(Arc::new(Consul::connect(settings, setup.seam.clone()).await?))
    }
}
