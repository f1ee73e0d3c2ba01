use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ClientHighAvailabilityServices, HighAvailabilityServices, HighAvailabilityServicesFactory, ServicesSetup};
use crate::backend::Name;
use crate::excerpt::excerpt;
use crate::state::StateStorage;
use crate::{Error, ErrorKind};

/// The kinds of services there are, by name: what `high-availability.type` chooses from. A backend of your
/// own is registered under a name of its own, in the place of Flink's `FACTORY_CLASS`.
///
/// Capitals count as small letters. [`BackendConnector`](super::BackendConnector) shows how a name is used.
#[derive(Debug, Clone, Default)]
pub struct FactoryRegistry {
    factories: BTreeMap<String, Arc<dyn HighAvailabilityServicesFactory>>,
    /// Names that are known, and the cargo feature that would bring each in.
    absent: BTreeMap<String, &'static str>,
}

impl FactoryRegistry {
    /// A registry that knows no names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a factory known under that name.
    ///
    /// # Errors
    /// * [`Invalid`](ErrorKind::Invalid): it is no [`Name`].
    /// * [`AlreadyExists`](ErrorKind::AlreadyExists): there is another of that name. It stays.
    pub fn register(&mut self, name: &str, factory: Arc<dyn HighAvailabilityServicesFactory>) -> Result<(), Error> {
        let name = Name::new(name.to_ascii_lowercase())?;
        if self.factories.contains_key(name.as_str()) {
            return Err(Error::new(ErrorKind::AlreadyExists, "register factory")
                .at(&name)
                .because("there is a factory of that name; choose another"));
        }
        self.absent.remove(name.as_str());
        self.factories.insert(name.as_str().to_owned(), factory);
        Ok(())
    }

    /// Makes known that services of that name exist and are not compiled in: who asks for them is told
    /// which cargo feature to add.
    pub fn declare_absent(&mut self, name: &str, feature: &'static str) {
        let name = name.to_ascii_lowercase();
        if !self.factories.contains_key(&name) {
            self.absent.insert(name, feature);
        }
    }

    /// The names that services can be made under, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    /// The factory of that name.
    ///
    /// # Errors
    /// * [`Unsupported`](ErrorKind::Unsupported): not compiled in; the text names the cargo feature.
    /// * [`Invalid`](ErrorKind::Invalid): there is none; the text lists those there are.
    pub fn factory(&self, name: &str) -> Result<&Arc<dyn HighAvailabilityServicesFactory>, Error> {
        let wanted = name.to_ascii_lowercase();
        let error = |kind| Error::new(kind, "high-availability services").at(excerpt(name, 40));
        match (self.factories.get(&wanted), self.absent.get(&wanted)) {
            (Some(factory), _) => Ok(factory),
            (None, Some(feature)) => Err(error(ErrorKind::Unsupported)
                .because(format!("not compiled in; depend on `ha` with the cargo feature `{feature}`"))),
            (None, None) => {
                let names: Vec<&str> = self.names().chain(self.absent.keys().map(String::as_str)).collect();
                let there_is = if names.is_empty() { "none".into() } else { names.join(", ") };
                Err(error(ErrorKind::Invalid)
                    .because(format!("no such type; there is: {there_is}; register a factory of your own first")))
            }
        }
    }

    /// Services of that kind for a process that takes part.
    ///
    /// # Errors
    /// As [`factory`](Self::factory) and [`HighAvailabilityServicesFactory::create_ha_services`].
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn create_ha_services(
        &self,
        name: &str,
        setup: &ServicesSetup,
        storage: StateStorage,
    ) -> Result<Arc<dyn HighAvailabilityServices>, Error> {
        self.factory(name)?.create_ha_services(setup, storage).await
    }

    /// Services of that kind for a client.
    ///
    /// # Errors
    /// As [`create_ha_services`](Self::create_ha_services).
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn create_client_ha_services(
        &self,
        name: &str,
        setup: &ServicesSetup,
    ) -> Result<Arc<dyn ClientHighAvailabilityServices>, Error> {
        self.factory(name)?.create_client_ha_services(setup).await
    }
}
