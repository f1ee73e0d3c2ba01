//! What a soak runs on.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ha_consul::{Consul, ConsulSettings};
use ha_core::backend::{Backend, Prefix};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::wrap::Chroot;
use ha_core::{Error, ErrorKind};
use ha_embedded::Embedded;
use ha_filesystem::FilesystemSettings;
use ha_testkit::Missing;
use ha_testkit::journal::MemoryJournal;
use ha_testkit::servers::consul::{Agent, Options};
use object_store::memory::InMemory;
use tempfile::TempDir;

use crate::{Gauge, Leak};

/// A backend, what it is connected to by, and what it holds that its users do not see.
#[async_trait]
pub trait Place: fmt::Debug + Send + Sync + 'static {
    /// One more handle, as another process has it.
    ///
    /// # Errors
    /// As connecting to the backend.
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error>;

    /// Where states are stored.
    fn storage(&self) -> StateStorage;

    /// What the backend holds at rest, beside its keys.
    ///
    /// # Errors
    /// As the backend's.
    async fn holds(&self) -> Result<Vec<(Gauge, u64)>, Error>;

    /// Leaves something behind that only such a place can hold. Whether it can hold that.
    ///
    /// # Errors
    /// As the backend's.
    async fn leak(&self, _what: Leak) -> Result<bool, Error> {
        Ok(false)
    }
}

fn in_memory(seam: &Seam) -> StateStorage {
    StateStorage::over(Arc::new(InMemory::new()), "memory:///", seam.clone())
}

/// The embedded backend.
#[derive(Debug)]
pub struct EmbeddedPlace {
    embedded: Embedded,
    storage: StateStorage,
}

impl EmbeddedPlace {
    /// An empty one.
    #[must_use]
    pub fn new(seam: &Seam) -> Self {
        Self { embedded: Embedded::new(seam.clone()), storage: in_memory(seam) }
    }
}

#[async_trait]
impl Place for EmbeddedPlace {
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(self.embedded.connect()))
    }

    fn storage(&self) -> StateStorage {
        self.storage.clone()
    }

    async fn holds(&self) -> Result<Vec<(Gauge, u64)>, Error> {
        let sessions = self.embedded.sessions().len() as u64;
        Ok(vec![(Gauge::Sessions, sessions), (Gauge::Watches, self.embedded.waiting() as u64)])
    }
}

/// A journal on a device in memory.
#[derive(Debug)]
pub struct JournalPlace {
    journal: MemoryJournal,
    options: JournalOptions,
    storage: StateStorage,
    seam: Seam,
}

impl JournalPlace {
    /// An empty one, with a point after so many entries.
    #[must_use]
    pub fn new(seam: &Seam, point_entries: u64) -> Self {
        let options = JournalOptions::default().with_points(point_entries, 1 << 24);
        Self { journal: MemoryJournal::new(seam.clone()), options, storage: in_memory(seam), seam: seam.clone() }
    }
}

#[async_trait]
impl Place for JournalPlace {
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(JournalBackend::open(self.journal.handle(), self.seam.clone(), self.options).await?)
    }

    fn storage(&self) -> StateStorage {
        self.storage.clone()
    }

    async fn holds(&self) -> Result<Vec<(Gauge, u64)>, Error> {
        let operator = JournalBackend::open(self.journal.handle(), self.seam.clone(), self.options).await?;
        let sessions = operator.sessions().await?.len() as u64;
        operator.close().await?;
        let entries = self.journal.entries().len() + self.journal.snapshots().len();
        Ok(vec![(Gauge::Sessions, sessions), (Gauge::Entries, entries as u64)])
    }
}

/// A directory, with the journal and the states in it.
#[derive(Debug)]
pub struct FilesystemPlace {
    folder: TempDir,
    options: JournalOptions,
    storage: StateStorage,
    seam: Seam,
}

impl FilesystemPlace {
    /// A new folder below that one, or where the system has such folders; with a point after so many entries.
    ///
    /// # Errors
    /// It cannot be made or is not fit.
    pub fn new(seam: &Seam, below: Option<&Path>, point_entries: u64) -> Result<Self, Missing> {
        let missing = |error: &dyn std::fmt::Display| Missing(format!("a folder that can be written to: {error}"));
        let named = tempfile::Builder::new().prefix("ha-soak-").to_owned();
        let folder = below.map_or_else(|| named.tempdir(), |below| named.tempdir_in(below));
        let folder = folder.map_err(|error| missing(&error))?;
        let states = format!("file://{}/states", folder.path().display());
        let storage = StateStorage::open(&states, seam.clone()).map_err(|error| missing(&error))?;
        let options = JournalOptions::default().with_points(point_entries, 1 << 24);
        Ok(Self { folder, options, storage, seam: seam.clone() })
    }

    async fn handle(&self) -> Result<Arc<JournalBackend>, Error> {
        let settings = FilesystemSettings::at(self.folder.path().join("journal"));
        let device = ha_filesystem::FilesystemDevice::open(settings, self.seam.clone()).await?;
        JournalBackend::open(Arc::new(device), self.seam.clone(), self.options).await
    }
}

#[async_trait]
impl Place for FilesystemPlace {
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(self.handle().await?)
    }

    fn storage(&self) -> StateStorage {
        self.storage.clone()
    }

    async fn holds(&self) -> Result<Vec<(Gauge, u64)>, Error> {
        let operator = self.handle().await?;
        let sessions = operator.sessions().await?.len() as u64;
        operator.close().await?;
        let (files, bytes) = below(self.folder.path());
        let within = |folder: &str| below(&self.folder.path().join("journal/.ha-journal").join(folder)).0;
        let holders = within("holders");
        let entries = ["entries", "snapshots", "staged"].map(within).into_iter().sum();
        let files = files.saturating_sub(holders).saturating_sub(entries);
        let files = [(Gauge::Files, files), (Gauge::Entries, entries), (Gauge::Holders, holders)];
        Ok([(Gauge::Sessions, sessions), (Gauge::FileBytes, bytes)].into_iter().chain(files).collect())
    }

    async fn leak(&self, what: Leak) -> Result<bool, Error> {
        if what == Leak::File {
            let name = format!("leaked-{}", self.seam.uuid());
            let written = std::fs::write(self.folder.path().join(name), b"leak");
            written.map_err(|error| Error::new(ErrorKind::Unavailable, "leak").caused_by(error))?;
        }
        Ok(what == Leak::File)
    }
}

/// How many files and folders there are below a folder, and how many bytes are in them. What vanishes meanwhile does not
/// count.
fn below(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        files += 1;
        if meta.is_dir() {
            let (inside, inside_bytes) = below(&entry.path());
            files += inside;
            bytes += inside_bytes;
        } else {
            bytes += meta.len();
        }
    }
    (files, bytes)
}

/// An agent of Consul, started for the soak alone.
#[derive(Debug)]
pub struct ConsulPlace {
    agent: Agent,
    place: Prefix,
    storage: StateStorage,
    seam: Seam,
}

impl ConsulPlace {
    /// Starts the agent.
    ///
    /// # Errors
    /// There is no Consul here.
    pub async fn start(seam: &Seam) -> Result<Self, Missing> {
        // What the agent needs of the seam is none of what is counted.
        let agent = Agent::start(Seam::system(), Options::developer()).await?;
        let place = Prefix::new("soak").map_err(|error| Missing(error.to_string()))?;
        Ok(Self { agent, place, storage: in_memory(seam), seam: seam.clone() })
    }

    async fn count(&self, path: &str) -> u64 {
        let answer = self.agent.ask("GET", path, b"").await.text();
        match serde_json::from_str(&answer) {
            Ok(serde_json::Value::Array(all)) => all.len() as u64,
            Ok(serde_json::Value::Object(all)) => all.len() as u64,
            _ => 0,
        }
    }
}

#[async_trait]
impl Place for ConsulPlace {
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        let consul = Consul::connect(ConsulSettings::at(self.agent.address()), self.seam.clone()).await?;
        Ok(Arc::new(Chroot::new(Arc::new(consul), self.place.clone())))
    }

    fn storage(&self) -> StateStorage {
        self.storage.clone()
    }

    async fn holds(&self) -> Result<Vec<(Gauge, u64)>, Error> {
        Ok(vec![
            (Gauge::Sessions, self.count("/v1/session/list").await),
            (Gauge::Checks, self.count("/v1/agent/checks").await),
            (Gauge::AgentServices, self.count("/v1/agent/services").await),
        ])
    }

    async fn leak(&self, what: Leak) -> Result<bool, Error> {
        if what == Leak::Check {
            let check = serde_json::json!({ "Name": format!("leaked-{}", self.seam.uuid()), "TTL": "1h" });
            self.agent.ask("PUT", "/v1/agent/check/register", check.to_string().as_bytes()).await;
        }
        Ok(what == Leak::Check)
    }
}
