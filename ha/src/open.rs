use std::sync::{Arc, OnceLock};

use ha_core::backend::Backend;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{
    ClientHighAvailabilityServices, Error, ErrorKind, FactoryRegistry, HighAvailabilityServices,
    HighAvailabilityServicesFactory, ServicesOptions, ServicesSetup,
};

use crate::config::{Configuration, DidYouMean, HighAvailabilityMode, Settings, StorageSettings, nearest, shown};

/// Services as they are configured: the one line that a service needs.
///
/// With `embedded` each call opens a store of its own, and so does state in memory; services that are to compete in one
/// process are opened by one [`Opener`].
///
/// ```
/// # #[cfg(feature = "embedded")]
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use ha::Configuration;
/// let configuration = Configuration::new().with("high-availability.type", "embedded");
/// let services = ha::open(&configuration).await?;
/// let leadership = services.dispatcher_leader_election()?.campaign().await?;
/// leadership.publish("host-1:6123").await?;
/// services.close().await?;
/// # Ok::<(), ha::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// As [`Opener::open`].
///
/// # Cancel safety
/// Nothing remains of a dropped call.
pub async fn open(configuration: &Configuration) -> Result<Arc<dyn HighAvailabilityServices>, Error> {
    Opener::new(Seam::system()).open(configuration).await
}

/// Services as a [URL](Configuration::from_url) says.
///
/// ```
/// # #[cfg(feature = "embedded")]
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let services = ha::open_url("embedded://?cluster-id=/prod").await?;
/// services.close().await?;
/// let error = ha::open_url("zookeper://localhost:2181/flink").await.unwrap_err();
/// assert!(error.to_string().contains("there is: "), "{error}");
/// # Ok::<(), ha::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// As [`Configuration::from_url`] and [`Opener::open`].
///
/// # Cancel safety
/// Nothing remains of a dropped call.
pub async fn open_url(url: &str) -> Result<Arc<dyn HighAvailabilityServices>, Error> {
    open(&Configuration::from_url(url)?).await
}

/// Opens services from configurations, with types of services, time and tasks of one's own.
///
/// Everything that one opener opens with `embedded` competes on one store, and shares what is stored at `memory://`.
///
/// ```
/// # #[cfg(feature = "embedded")]
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use ha::{Configuration, Opener, seam::Seam};
/// # let my_stores = ha::embedded::Embedded::new(Seam::system());
///
/// let seam = Seam::system();
/// let mut registry = ha::registry(&seam);
/// registry.register("com.example.MyStore", Arc::new(my_stores))?; // Flink's FACTORY_CLASS
/// let opener = Opener::new(seam).with_registry(registry);
/// let configuration = Configuration::new()
///     .with("high-availability.type", "com.example.MyStore")
///     .with("high-availability.storageDir", "memory://");
/// let services = opener.open(&configuration).await?;
/// services.close().await?;
/// # Ok::<(), ha::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Opener {
    registry: FactoryRegistry,
    seam: Seam,
    /// What is stored at `memory://`: the same for all that are opened here.
    memory: Arc<OnceLock<StateStorage>>,
}

/// The parts that services stand on, for tools that look at them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Opened {
    /// A handle on the backend, not yet narrowed to one cluster.
    pub backend: Arc<dyn Backend>,
    /// The state storage, not yet narrowed to one cluster.
    pub storage: StateStorage,
    /// Where the cluster is, and how services of it are set up.
    pub options: ServicesOptions,
}

impl Opener {
    /// An opener of the types that are compiled in.
    #[must_use]
    pub fn new(seam: Seam) -> Self {
        Self { registry: crate::registry(&seam), seam, memory: Arc::default() }
    }

    /// With these types of services instead: [`registry`](crate::registry) and those of your own.
    #[must_use]
    pub fn with_registry(self, registry: FactoryRegistry) -> Self {
        Self { registry, ..self }
    }

    /// Services for a process that takes part.
    ///
    /// # Errors
    /// * As [`Configuration::settings`].
    /// * [`ErrorKind::Invalid`]: there is no such type (the text lists those there are), no place for state was given, or a
    ///   setting does not fit.
    /// * [`ErrorKind::Unsupported`]: the type, or the place for state, is not compiled in (the text names the cargo
    ///   feature), or one of Flink's that this library does not have.
    /// * [`ErrorKind::Unavailable`], [`ErrorKind::Denied`], [`ErrorKind::Storage`]: the backend or the storage does not
    ///   answer, or does not let us in. Nothing was written.
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn open(&self, configuration: &Configuration) -> Result<Arc<dyn HighAvailabilityServices>, Error> {
        self.open_with(&configuration.settings()?).await
    }

    /// As [`open`](Self::open), with settings that were made before.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn open_with(&self, settings: &Settings) -> Result<Arc<dyn HighAvailabilityServices>, Error> {
        let factory = self.factory(&settings.mode)?;
        let storage = self.storage(settings)?;
        factory.create_ha_services(&self.setup(settings), storage).await
    }

    /// Services for a client, which needs neither election rights nor a state storage.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for those of the state storage.
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn open_client(
        &self,
        configuration: &Configuration,
    ) -> Result<Arc<dyn ClientHighAvailabilityServices>, Error> {
        let settings = configuration.settings()?;
        self.factory(&settings.mode)?.create_client_ha_services(&self.setup(&settings)).await
    }

    /// The parts that services would stand on, without the services: for tools.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ErrorKind::Unsupported`]: services of this type stand on no backend (`none`), or on
    /// one that they do not hand out.
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn connect(&self, settings: &Settings) -> Result<Opened, Error> {
        let factory = self.factory(&settings.mode)?;
        let Some(connector) = factory.connector() else {
            return Err(Error::new(ErrorKind::Unsupported, "connect")
                .at(shown(settings.mode.type_name()))
                .because("services of this type stand on no backend that a tool could look at"));
        };
        settings.options.validate()?;
        let storage = self.storage(settings)?;
        let backend = connector.connect_backend(&self.setup(settings)).await?;
        Ok(Opened { backend, storage, options: settings.options.clone() })
    }

    fn setup(&self, settings: &Settings) -> ServicesSetup {
        ServicesSetup::new(self.seam.clone())
            .with_options(settings.options.clone())
            .with_settings(settings.backend.clone())
    }

    fn storage(&self, settings: &Settings) -> Result<StateStorage, Error> {
        let Some(storage) = &settings.storage else {
            return Err(Error::new(ErrorKind::Invalid, "configuration")
                .at("high-availability.storageDir")
                .because("not given: say where state is stored, as in file:///shared/ha"));
        };
        let scheme = storage.url.split(':').next().unwrap_or_default();
        let is_memory = scheme.eq_ignore_ascii_case("memory");
        if let Some(memory) = self.memory.get().filter(|_| is_memory) {
            return Ok(memory.clone());
        }
        let opened = open_storage(storage, &self.seam)?;
        // Two that come at once open two, and both take the first.
        Ok(if is_memory { self.memory.get_or_init(|| opened).clone() } else { opened })
    }

    fn factory(&self, mode: &HighAvailabilityMode) -> Result<&Arc<dyn HighAvailabilityServicesFactory>, Error> {
        let error = match self.registry.factory(mode.type_name()) {
            Err(error) if error.kind() == ErrorKind::Invalid => error,
            found => return found,
        };
        let names = || self.registry.names().collect::<Vec<_>>().join(", ");
        let refused = |kind, why: String| {
            let at = format!("high-availability.type {}", shown(mode.type_name()));
            Err(Error::new(kind, "open services").at(at).because(why))
        };
        match (mode, in_java(mode.type_name())) {
            (HighAvailabilityMode::ZooKeeper | HighAvailabilityMode::Kubernetes, _) => refused(
                ErrorKind::Unsupported,
                format!("a mode of Flink's that this library has no backend for yet; there is: {}", names()),
            ),
            (_, Some(ours)) => refused(
                ErrorKind::Unsupported,
                format!(
                    "the name of a class in Java, which is not loaded here; {ours}; or register a factory of your own \
                     under this name"
                ),
            ),
            _ => match nearest(mode.type_name(), self.registry.names()) {
                None => Err(error),
                near => refused(ErrorKind::Invalid, format!("no such type{}; there is: {}", DidYouMean(near), names())),
            },
        }
    }
}

fn open_storage(storage: &StorageSettings, seam: &Seam) -> Result<StateStorage, Error> {
    StateStorage::open_with(&storage.url, &storage.options, seam.clone())
}

/// What to write instead of the name of a class of Java's.
fn in_java(name: &str) -> Option<String> {
    // `com.example.Store`: at least two dots, which no type of ours has.
    if name.split('.').filter(|part| !part.is_empty()).count() < 3 {
        return None;
    }
    let known = [
        ("consul", "write `consul`"),
        ("filesystem", "write `filesystem`"),
        ("standalone", "write `none`"),
        ("embedded", "write `embedded`"),
        ("zookeeper", "services on ZooKeeper are none that this library has yet"),
        ("kubernetes", "services on Kubernetes are none that this library has yet"),
    ];
    let found = known.iter().find(|(word, _)| name.contains(word)).map(|(_, instead)| (*instead).to_owned());
    Some(found.unwrap_or_else(|| "write the name of a type that there is".to_owned()))
}
