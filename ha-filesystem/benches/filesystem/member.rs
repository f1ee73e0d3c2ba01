//! A process that takes part in a cluster in the directory.

use std::path::{Path, PathBuf};

use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, PresenceOptions, ServicesOptions};
use ha_filesystem::FilesystemSettings;
use ha_testkit::bench::cluster;
use ha_testkit::{async_trait, trials};
use serde::{Deserialize, Serialize};

/// Who takes part, and where. Default settings but for what stands here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) label: String,
    pub(crate) directory: PathBuf,
    /// Whether states are files; else they stay in memory.
    pub(crate) files: bool,
    pub(crate) presence: bool,
    /// Whether locks are evidence, as among processes of one host.
    pub(crate) lock: bool,
}

impl Member {
    /// A member of a new cluster in a journal of its own.
    pub(crate) fn new(below: &Path, label: &str) -> Self {
        let directory = below.join(Seam::system().uuid().to_string());
        Self { label: label.into(), directory, files: false, presence: false, lock: true }
    }

    /// Where everything of the cluster stands.
    pub(crate) fn place(&self) -> String {
        "ha/default".to_owned()
    }
}

#[async_trait]
impl trials::Member for Member {
    fn label(&self) -> &str {
        &self.label
    }

    async fn services(&self, seam: &Seam) -> Result<HaServices, Error> {
        let settings = FilesystemSettings { ignore_locks: !self.lock, ..FilesystemSettings::at(&self.directory) };
        let backend = ha_filesystem::connect(settings, seam.clone()).await?;
        let states = url::Url::from_directory_path(&self.directory).map(|url| url.to_string());
        let states = if self.files { states.unwrap_or_default() } else { "memory://".to_owned() };
        let storage = StateStorage::open(&states, seam.clone())?;
        let options = ServicesOptions {
            root: "ha".to_owned(),
            session: SessionOptions { label: self.label.clone(), ..SessionOptions::default() },
            presence: if self.presence { PresenceOptions::Automatic } else { PresenceOptions::Off },
            ..ServicesOptions::default()
        };
        HaServices::new(backend, storage, &options, seam.clone())
    }
}

impl cluster::Member for Member {
    fn other(&self, label: &str) -> Self {
        Self { label: label.into(), ..self.clone() }
    }
}
