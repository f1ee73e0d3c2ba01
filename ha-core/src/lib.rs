//! Leader election, fenced metadata stores, and the backend contract they stand on.

pub mod backend;
pub mod election;
mod error;
mod names;
pub mod record;
pub mod resolve;
pub mod retrieval;
pub mod seam;
mod services;
pub mod state;
pub mod wrap;
pub mod writer;

pub use error::{Error, ErrorKind};
pub use names::{ComponentId, JobId, application_prefix};
pub use services::{HaServices, HighAvailabilityServices, ServicesOptions};
