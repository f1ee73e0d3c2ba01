use std::sync::Arc;

use async_trait::async_trait;
use ha_core::state::StateStorage;
use ha_core::{
    ClientHighAvailabilityServices, ComponentId, Error, ErrorKind, HighAvailabilityServices,
    HighAvailabilityServicesFactory, ServicesSetup,
};

use super::{StandaloneClientHaServices, StandaloneHaServices, StandaloneOptions};

/// What stands before the name of a component in the setting of its address.
const ADDRESS: &str = "leader-address.";
const TOKENS_ABOVE: &str = "tokens-above";

/// Makes standalone services from settings.
///
/// | setting | what it is |
/// |---|---|
/// | `leader-address.{component}` | where the leader of that component is: `resource_manager`, `dispatcher`, `rest_server`, any other |
/// | `tokens-above` | [`StandaloneOptions::tokens_above`] |
///
/// A client needs `leader-address.rest_server`. Each call makes services with stores of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandaloneServicesFactory;

fn options(setup: &ServicesSetup) -> Result<StandaloneOptions, Error> {
    let shown = |name: &str| format!("{:?}", name.chars().take(60).collect::<String>());
    let invalid = |name: &str| Error::new(ErrorKind::Invalid, "standalone settings").at(shown(name));
    let mut options = StandaloneOptions::default();
    for name in setup.settings.names() {
        let value = setup.settings.get(name).unwrap_or_default();
        if let Some(component) = name.strip_prefix(ADDRESS) {
            let component =
                ComponentId::new(component).map_err(|e| invalid(name).because("no component").caused_by(e))?;
            options = options.with_address(component, value);
        } else if name == TOKENS_ABOVE {
            let above = value.parse().map_err(|e| invalid(name).because("write a whole number").caused_by(e))?;
            options.tokens_above = Some(above);
        } else {
            return Err(
                invalid(name).because(format!("no such setting; known: {ADDRESS}{{component}}, {TOKENS_ABOVE}"))
            );
        }
    }
    Ok(options)
}

#[async_trait]
impl HighAvailabilityServicesFactory for StandaloneServicesFactory {
    async fn create_ha_services(
        &self,
        setup: &ServicesSetup,
        storage: StateStorage,
    ) -> Result<Arc<dyn HighAvailabilityServices>, Error> {
        let standalone = options(setup)?;
        Ok(Arc::new(StandaloneHaServices::new(&standalone, storage, &setup.options, setup.seam.clone())?))
    }

    async fn create_client_ha_services(
        &self,
        setup: &ServicesSetup,
    ) -> Result<Arc<dyn ClientHighAvailabilityServices>, Error> {
        setup.options.validate()?;
        Ok(Arc::new(StandaloneClientHaServices::new(&options(setup)?, setup.seam.clone())?))
    }
}
