//! Taking away what is over: one job, a whole cluster, and what crashes have left behind.
//!
//! Everything here is done under a leadership, pointer first and state second. Interrupted at any point, it leaves
//! pointers that lead to intact state, and states that nothing points to; called again, by whatever process leads
//! then, it goes on from there.

mod cleaner;
mod failures;
mod orphans;
pub(crate) mod places;
mod removal;
mod resource;
mod strategy;
mod sweep;

pub use cleaner::{CleanupEnd, DirtyCleanup, ResourceCleaner};
pub(crate) use orphans::referenced;
pub use orphans::{Collected, Orphan, OrphanCollector, OrphanOptions};
pub use resource::CleanableResource;
pub use strategy::CleanupStrategy;
pub use sweep::{OrphanSweep, Swept};

use crate::backend::ReadGuarantee;
use crate::state::StateStorage;
use crate::writer::Writer;
use crate::{Error, JobId};

pub(crate) use failures::{Failures, is_final};
use removal::{Extent, Removal};

/// Removes everything of a job but its result; see `HighAvailabilityServices::global_cleanup`.
pub(crate) async fn clean_up_job(writer: &Writer, storage: &StateStorage, job: &JobId) -> Result<(), Error> {
    let writer = writer.pin()?;
    Removal::new(&writer, Extent::Job(job)).run(storage).await.merged()
}

/// Removes everything of the cluster; see `HighAvailabilityServices::cleanup_all_data`.
pub(crate) async fn clean_up_cluster(writer: &Writer, storage: &StateStorage) -> Result<(), Error> {
    let writer = writer.pin()?;
    let mut failures = Removal::new(&writer, Extent::Cluster).run(storage).await;
    // What an earlier process has removed the pointers of, and did not come to delete.
    let can_tell = writer.backend().profile().reads == ReadGuarantee::Linearizable;
    if failures.is_empty() && can_tell {
        let collector = OrphanCollector::new(writer, storage.clone(), OrphanOptions::default());
        failures.take(collector.collect().await);
    }
    failures.merged()
}
