//! A small cluster around the engine: job managers that compete for leadership, workers, a client.
//!
//! Each job manager has threads, a backend handle and services of its own, as a process would have;
//! what they share is the store, the state storage and the network.

pub mod client;
pub mod events;
pub mod job_manager;
mod job_master;
pub mod network;
pub mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ha::backend::SessionOptions;
use ha::embedded::{Embedded, Handle};
use ha::seam::Seam;
use ha::state::StateStorage;
use ha::{HaServices, ServicesOptions};
use tokio::runtime::Runtime;

use crate::EngineError;
use crate::gate::Gate;
use events::Listener;
use network::Network;

/// What every member of the cluster knows.
#[derive(Debug, Clone)]
pub struct Member {
    /// The store that leaders are elected on.
    pub store: Embedded,
    /// Where plans and checkpoints are stored.
    pub storage: String,
    /// How members reach each other.
    pub network: Network,
    /// How many workers there are.
    pub workers: usize,
    /// How many events are processed between two checkpoints.
    pub checkpoint_events: u64,
    /// How far sources may read.
    pub gate: Arc<Gate>,
    /// Who is told what happens.
    pub listener: Listener,
}

impl Member {
    /// Services of its own for one member, on a backend handle of its own.
    ///
    /// # Errors
    /// The state storage cannot be opened.
    pub fn services(&self, label: &str, seam: &Seam) -> Result<(HaServices, Arc<Handle>), ha::Error> {
        let storage = StateStorage::open(&self.storage, seam.clone())?;
        let backend = Arc::new(self.store.connect());
        let session = SessionOptions { label: label.to_owned(), silence: Duration::from_secs(10) };
        let options = ServicesOptions { session, ..ServicesOptions::default() };
        let services = HaServices::new(Arc::<Handle>::clone(&backend), storage, &options, seam.clone())?;
        Ok((services, backend))
    }
}

/// Why a member cannot go on.
#[derive(Debug)]
pub enum Failure {
    /// The HA services.
    Ha(ha::Error),
    /// The engine.
    Engine(EngineError),
    /// The machine.
    Io(std::io::Error),
    /// A stored plan that cannot be read.
    Plan(serde_json::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ha(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Plan(error) => write!(f, "the stored plan cannot be read: {error}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ha(error) => error.source(),
            Self::Engine(error) => error.source(),
            Self::Io(error) => error.source(),
            Self::Plan(error) => error.source(),
        }
    }
}

impl From<ha::Error> for Failure {
    fn from(error: ha::Error) -> Self {
        Self::Ha(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Plan(error)
    }
}

/// Threads of a member's own.
fn runtime(name: &str, threads: usize) -> Result<Runtime, std::io::Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}
