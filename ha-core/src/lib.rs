//! Leader election, fenced metadata stores, and the backend contract they stand on.

pub mod backend;
pub mod blob;
pub mod checkpoint;
mod discard;
pub mod election;
mod error;
pub mod formats;
pub mod job_result;
mod job_status;
mod names;
pub mod plan;
pub mod record;
pub mod resolve;
pub mod retrieval;
pub mod seam;
mod services;
pub mod state;
mod stores;
pub mod wrap;
pub mod writer;

pub use error::{Error, ErrorKind};
pub use job_status::JobStatus;
pub use names::{ComponentId, JobId, application_prefix};
pub use services::{
    BackendConnector, BackendSettings, ClientHaServices, ClientHighAvailabilityServices, DEFAULT_LEADER_ID,
    FactoryRegistry, HaServices, HighAvailabilityServices, HighAvailabilityServicesFactory, ServicesOptions,
    ServicesSetup,
};
