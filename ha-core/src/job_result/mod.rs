//! Results of jobs that are over for good, kept until nothing is left to clean up after them, so
//! that no later leader runs such a job again.
//!
//! A result is **dirty** from the moment that the job is over until everything else that was stored
//! of it is removed, and **clean** (or gone) from then on. A new leader cleans up after the dirty
//! ones, and recovers no job that has an entry.

mod default_store;
mod entry;
mod registry;
mod result;
mod store;

pub use default_store::{DefaultJobResultStore, JobResultStoreOptions, OnClean};
#[cfg(feature = "fuzzing")]
pub(crate) use entry::{ResultEntry, State};
pub(crate) use entry::{read_in, status_in};
pub use registry::{JobSchedulingStatus, RunningJobsRegistry};
pub use result::{ERROR_BYTES_MAX, JobResult};
pub use store::{BrokenJobResult, DirtyJobResults, JobResultStore};
