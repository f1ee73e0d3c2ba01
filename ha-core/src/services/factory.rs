use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    BackendConnector, BackendSettings, ClientHighAvailabilityServices, HighAvailabilityServices, ServicesOptions,
};
use crate::Error;
use crate::seam::Seam;
use crate::state::StateStorage;

/// What a [`HighAvailabilityServicesFactory`] makes services from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServicesSetup {
    /// How the services are set up, whatever backend they stand on.
    pub options: ServicesOptions,
    /// The settings of the backend's own.
    pub settings: BackendSettings,
    /// Time, randomness and tasks.
    pub seam: Seam,
}

impl ServicesSetup {
    /// Default options and settings, on that seam.
    #[must_use]
    pub fn new(seam: Seam) -> Self {
        Self { options: ServicesOptions::default(), settings: BackendSettings::default(), seam }
    }

    /// With these options.
    #[must_use]
    pub fn with_options(self, options: ServicesOptions) -> Self {
        Self { options, ..self }
    }

    /// With these settings of the backend's own.
    #[must_use]
    pub fn with_settings(self, settings: BackendSettings) -> Self {
        Self { settings, ..self }
    }
}

/// Makes the services of one kind, for processes of a cluster and for its clients. Flink's
/// `HighAvailabilityServicesFactory`.
///
/// Who has a [`Backend`](crate::backend::Backend) implements [`BackendConnector`](super::BackendConnector)
/// instead, and gets this one with it.
///
/// # To ensure correctness
/// What cannot work is refused here and not at the first use: unknown
/// [settings](BackendSettings::only), options that do not [fit](ServicesOptions::validate), missing rights.
#[async_trait]
pub trait HighAvailabilityServicesFactory: fmt::Debug + Send + Sync {
    /// Services for a process that takes part: elections, retrievals, stores.
    ///
    /// # Errors
    /// * [`Invalid`](crate::ErrorKind::Invalid): an option or a setting does not fit. Correct it.
    /// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied): if the
    ///   factory looks at the store already. Nothing was written.
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    async fn create_ha_services(
        &self,
        setup: &ServicesSetup,
        storage: StateStorage,
    ) -> Result<Arc<dyn HighAvailabilityServices>, Error>;

    /// Services for a client, which only looks for the REST endpoint.
    ///
    /// # Errors
    /// As [`create_ha_services`](Self::create_ha_services).
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    async fn create_client_ha_services(
        &self,
        setup: &ServicesSetup,
    ) -> Result<Arc<dyn ClientHighAvailabilityServices>, Error>;

    /// What makes handles on the backend that these services stand on, for tools that look at it. `None` (the default): they
    /// stand on none, or on one that they keep to themselves.
    fn connector(&self) -> Option<&dyn BackendConnector> {
        None
    }
}
