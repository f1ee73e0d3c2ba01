//! From the command line to the parts that a cluster stands on.

use std::sync::Arc;

use ha::backend::Backend;
use ha::inspect::Inspector;
use ha::seam::Seam;
use ha::state::StateStorage;
use ha::{BackendSettings, ServicesOptions, Store};
use url::Url;

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
        match seam.timeout(place.timeout, connect(place, seam)).await {
            Some(opened) => opened,
            None => Err(Failure::unreachable(format!("no connection to the store within {:?}", place.timeout))),
        }
    }

    pub(crate) fn inspector(&self) -> Result<Inspector, Failure> {
        let (backend, storage) = (Arc::clone(&self.backend), self.storage.clone());
        Ok(Inspector::new(backend, storage, &self.options, self.seam.clone())?)
    }
}

async fn connect(place: &Place, seam: &Seam) -> Result<Cluster, Failure> {
    let url = place.url.as_deref().ok_or_else(|| Failure::usage("say where the cluster is: --url URL"))?;
    let url = Url::parse(url).map_err(|error| Failure::usage(format!("--url: {error}")))?;
    let mut settings = BackendSettings::new();
    let mut options = ServicesOptions::default();
    options.session.label = "hactl".into();
    let mut state = None;
    match url.scheme() {
        "filesystem" => settings = settings.with("directory", url.path()),
        _ => {
            if let Some(host) = url.host_str() {
                settings = settings.with("address", format!("{host}:{}", url.port().unwrap_or(8500)));
            }
            if url.path().len() > 1 {
                options.root = url.path().to_owned();
            }
        }
    }
    for (name, value) in url.query_pairs() {
        match &*name {
            "cluster-id" => options.cluster_id = value.into_owned(),
            "storageDir" => state = Some(value.into_owned()),
            other => settings = settings.with(other, value.into_owned()),
        }
    }
    let storage = StateStorage::open(&state.ok_or_else(|| Failure::usage("storageDir is missing"))?, seam.clone())?;
    let backend = Store::open_with(url.scheme(), settings, seam)?.connect().await?;
    Ok(Cluster { backend, storage, options, seam: seam.clone() })
}
