use std::sync::Arc;

use async_trait::async_trait;
use ha_core::backend::Backend;
use ha_core::journal::JournalBackend;
use ha_core::seam::Seam;
use ha_core::{BackendConnector, Error, ServicesSetup};

use crate::{FilesystemDevice, FilesystemSettings};

/// A handle on the backend in that directory, as one process has it.
///
/// ```
/// use ha_core::backend::{Backend, Commit, Expect, Key, Outcome};
/// use ha_core::seam::Seam;
/// use ha_filesystem::FilesystemSettings;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let directory = tempfile::tempdir().unwrap();
/// let seam = Seam::system();
/// let settings = FilesystemSettings::at(directory.path());
/// let one = ha_filesystem::connect(settings.clone(), seam.clone()).await?;
/// let other = ha_filesystem::connect(settings, seam.clone()).await?;
/// let key = Key::new("greeting")?;
/// let commit = Commit::new(seam.write_id()).put(key.clone(), Expect::Absent, "hello".into());
/// assert!(matches!(one.commit(&commit).await?, Outcome::Applied { .. }));
/// assert_eq!(other.read(&key).await?.unwrap().value, "hello");
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// As [`FilesystemDevice::open`], and as [`JournalBackend::open`]: what lies there is damaged, or newer than this version.
///
/// # Cancel safety
/// After a drop the folders of the journal may have been made.
pub async fn connect(settings: FilesystemSettings, seam: Seam) -> Result<Arc<JournalBackend>, Error> {
    let options = settings.journal();
    let device = FilesystemDevice::open(settings, seam.clone()).await?;
    JournalBackend::open(Arc::new(device), seam, options).await
}

/// Makes handles from [named settings](FilesystemSettings::with_named): each one of its own, as one process has it.
///
/// ```
/// use std::sync::Arc;
/// use ha_core::{BackendSettings, FactoryRegistry, HighAvailabilityServices, ServicesSetup};
/// use ha_core::{seam::Seam, state::StateStorage};
/// use ha_filesystem::FilesystemConnector;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let directory = tempfile::tempdir().unwrap();
/// let mut registry = FactoryRegistry::new();
/// registry.register("filesystem", Arc::new(FilesystemConnector))?;
/// let directory = directory.path().display().to_string();
/// let (seam, settings) = (Seam::system(), BackendSettings::new().with("directory", &directory));
/// let setup = ServicesSetup::new(seam.clone()).with_settings(settings);
/// let states = StateStorage::open(&format!("file://{directory}"), seam)?;
/// let services = registry.create_ha_services("filesystem", &setup, states).await?;
/// services.close().await?;
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct FilesystemConnector;

#[async_trait]
impl BackendConnector for FilesystemConnector {
    async fn connect_backend(&self, setup: &ServicesSetup) -> Result<Arc<dyn Backend>, Error> {
        let settings = FilesystemSettings::default().with_named(&setup.settings)?;
        Ok(connect(settings, setup.seam.clone()).await?)
    }
}
