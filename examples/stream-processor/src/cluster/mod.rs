//! A small cluster around the engine: job managers that compete for leadership, workers, a client.
//!
//! | part | what it is |
//! |---|---|
//! | [`job_manager`] | contends for leadership; whoever leads runs the dispatcher |
//! | `dispatcher` | takes jobs in, recovers what is stored, cleans up after jobs that have ended |
//! | `job_master` | elected for one job: runs the engine, takes checkpoints, writes the job's result |
//! | [`worker`] | offers places for tasks to whoever leads |
//! | [`client`] | hands jobs in and waits for their end |
//! | [`network`] | the seam between them: [`network::InProcess`] and [`tcp::Tcp`] |
//!
//! The demo puts all of them into one process, each job manager with threads, a backend handle and services of its
//! own; the subcommands of the program run each in a process of its own. The parts are the same.
//!
//! # The order of things
//! A job is answered for once its artefact and then its plan are stored. Its end is first of all its *result*, which
//! is stored before anybody is told; then all else of it is removed; then the result is marked as clean. So whoever
//! leads next finds a job with a plan and no result, and runs it; or one with a dirty result, and cleans up after it;
//! or one that is clean, and leaves it alone. None of these runs a job twice.

mod artefact;
pub mod backends;
pub mod client;
mod dispatcher;
mod ending;
pub mod events;
mod history;
mod intake;
pub mod job_manager;
mod job_master;
pub mod network;
pub mod post;
pub mod protocol;
pub mod slots;
pub mod tcp;
pub mod worker;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ha::backend::{Backend, SessionOptions};
use ha::job_result::{JobResultStoreOptions, OnClean};
use ha::seam::Seam;
use ha::state::StateStorage;
use ha::wrap::Metered;
use ha::{HaServices, PresenceOptions, ServicesOptions};

use crate::EngineError;
use crate::configured::Configured;
use crate::gate::Gate;
use events::{Event, Listener, What};
use post::Mailboxes;

/// What the parts of one job manager share.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name, for people.
    pub name: String,
    /// Where it is reached.
    pub address: String,
    /// Its HA services.
    pub services: Arc<HaServices>,
    /// Where its mailbox is bound while it leads.
    pub mailboxes: Mailboxes,
    /// Where copies of artefacts are put: a directory of its own.
    pub scratch: PathBuf,
    /// How many records are processed between two checkpoints.
    pub checkpoint_events: u64,
    /// How many completed checkpoints of a job are kept.
    pub retained: usize,
    /// How far sources may read.
    pub gate: Arc<Gate>,
    /// Who is told what happens.
    pub listener: Listener,
    /// Time.
    pub seam: Seam,
}

impl Member {
    pub(crate) async fn tell(&self, what: What) {
        let event = Event { by: self.name.clone(), at: self.seam.now(), what };
        // Nobody listens any more: the program ends.
        let _ = self.listener.send(event).await;
    }
}

/// Where the state of a member's services is kept, and how long its session lives without a word.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state storage.
    pub storage: String,
    /// The cluster.
    pub cluster_id: String,
    /// The session's silence.
    pub silence: Duration,
    /// Whether a crash is acted on at once, on a backend that hears silence alone.
    pub presence: PresenceOptions,
    /// What a configuration file says beyond these.
    pub configured: Configured,
}

impl Settings {
    /// Services of its own for one member, on a backend handle of its own.
    ///
    /// # Errors
    /// A setting does not fit; the text names it.
    pub fn services(&self, label: &str, backend: Arc<dyn Backend>, seam: &Seam) -> Result<HaServices, ha::Error> {
        let storage = StateStorage::open_with(&self.storage, &self.configured.storage_options(), seam.clone())?;
        let session = SessionOptions { label: label.to_owned(), silence: self.silence };
        let options = ServicesOptions {
            session,
            cluster_id: self.cluster_id.clone(),
            presence: self.presence,
            // Kept for good: a job that has ended is refused for ever, not only until it is cleaned up after.
            job_results: JobResultStoreOptions { on_clean: OnClean::Keep },
            ..self.configured.options.clone()
        };
        // Calls of the backend are counted and timed, beside what the library measures of itself.
        let metered = Arc::new(Metered::new(backend, seam.clone()));
        HaServices::new(metered, storage, &options, seam.clone())
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
