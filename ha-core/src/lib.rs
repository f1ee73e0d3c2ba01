//! Leader election, fenced metadata stores, and the backend contract they stand on.

pub mod backend;
pub mod blob;
pub mod checkpoint;
pub mod cleanup;
mod discard;
pub mod election;
mod error;
mod evidence;
mod excerpt;
pub mod formats;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod health;
pub mod inspect;
pub mod job_result;
mod job_status;
#[cfg(feature = "journal")]
pub mod journal;
mod names;
pub mod plan;
#[cfg(feature = "presence")]
mod presence;
pub mod record;
pub mod resolve;
pub mod retrieval;
pub mod seam;
mod services;
mod shown;
mod shutdown;
pub mod space;
pub mod state;
mod stores;
pub mod telemetry;
pub mod wrap;
pub mod writer;

pub use error::{Error, ErrorKind};
pub use evidence::{PresenceOptions, PresenceStats};
pub use health::{Health, LastError, LatchHealth, SessionHealth, StoreHealth};
pub use job_status::JobStatus;
pub use names::{ComponentId, JobId, application_prefix};
pub use services::{
    BackendConnector, BackendSettings, ClientHaServices, ClientHighAvailabilityServices, Closing, DEFAULT_LEADER_ID,
    FactoryRegistry, HaServices, HighAvailabilityServices, HighAvailabilityServicesFactory, ServicesOptions,
    ServicesSetup,
};
pub use shown::shown_url;
pub use shutdown::{ShutdownReport, ShutdownStep, shut_down_after};
#[cfg(feature = "signal")]
pub use shutdown::{Termination, termination};
