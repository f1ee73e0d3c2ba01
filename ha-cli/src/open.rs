//! From the command line to the parts that a cluster stands on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ha::backend::Backend;
use ha::inspect::Inspector;
use ha::seam::Seam;
use ha::state::StateStorage;
use ha::{Configuration, Opened, Opener, PresenceOptions, ServicesOptions, Settings};

use crate::args::Place;
use crate::failure::Failure;

/// A cluster that can be looked at.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) storage: StateStorage,
    pub(crate) options: ServicesOptions,
    pub(crate) seam: Seam,
}

impl Cluster {
    /// Opens what the file, the environment and the URL say, each over the one before.
    pub(crate) async fn open(place: &Place, seam: &Seam) -> Result<Self, Failure> {
        let settings = configured(place)?.settings()?;
        nothing_is_made(&settings)?;
        let opener = Opener::new(seam.clone());
        let Some(opened) = seam.timeout(place.timeout, opener.connect(&settings)).await else {
            return Err(Failure::unreachable(format!("no connection to the store within {:?}", place.timeout)));
        };
        let Opened { backend, storage, mut options, .. } = opened?;
        options.session.label = "hactl".to_owned();
        // Nobody needs to see this tool live, and the address that is configured is another process's.
        options.presence = PresenceOptions::Off;
        Ok(Self { backend, storage, options, seam: seam.clone() })
    }

    pub(crate) fn inspector(&self) -> Result<Inspector, Failure> {
        let (backend, storage) = (Arc::clone(&self.backend), self.storage.clone());
        Ok(Inspector::new(backend, storage, &self.options, self.seam.clone())?)
    }
}

fn configured(place: &Place) -> Result<Configuration, Failure> {
    let mut configuration = Configuration::new();
    if let Some(file) = &place.config {
        configuration = configuration.and_then(Configuration::from_yaml_file(file)?);
    }
    configuration = configuration.and_then(Configuration::from_env()?);
    if let Some(url) = &place.url {
        configuration = configuration.and_then(Configuration::from_url(url)?);
    }
    if configuration.get("high-availability.type").is_none() {
        return Err(Failure::usage(
            "no cluster was named: give --url (as in consul://localhost:8500/flink?cluster-id=/prod), --config with the \
             services' file, or their variables (HA_TYPE and others)",
        ));
    }
    Ok(configuration)
}

/// Services make the directories that they are given; a tool that looks at a misspelt one must not.
fn nothing_is_made(settings: &Settings) -> Result<(), Failure> {
    let store = settings.backend.get("directory").map(|directory| ("the store", PathBuf::from(directory)));
    let states = settings.storage.as_ref().and_then(|storage| url::Url::parse(&storage.url).ok());
    let states = states.filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
    let states = states.map(|directory| ("the state storage", directory));
    match [store, states].into_iter().flatten().find(|(_, directory)| is_absent(directory)) {
        None => Ok(()),
        Some((what, directory)) => Err(Failure::unreachable(format!(
            "{what} is not there: no directory {}; nothing was made. Is it mounted, and spelt so?",
            directory.display()
        ))),
    }
}

/// What cannot be looked at is left to the backend, which says why.
fn is_absent(directory: &Path) -> bool {
    matches!(directory.try_exists(), Ok(false))
}
