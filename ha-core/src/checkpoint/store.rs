use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{CompletedCheckpoint, RecoveryClaimMode};
use crate::{Error, JobStatus};

/// The completed checkpoints of one job that are retained. Flink's `CompletedCheckpointStore`.
///
/// It is recovered once, when leadership is gained, and is used for that leadership only. What it
/// holds is what the backend holds: a checkpoint is in the store once its pointer is, and data is
/// deleted only after its pointer was definitely removed.
///
/// Savepoints count among the retained ones and may leave the store, but their data is never
/// deleted; nor is that of a snapshot that the job was restored from without claiming it.
///
/// All calls but [`shutdown`](Self::shutdown) answer [`Closed`](crate::ErrorKind::Closed) after a
/// shutdown. After a write whose outcome is unknown, the next call reads the store first and fails
/// if it cannot.
#[async_trait]
pub trait CompletedCheckpointStore: fmt::Debug + Send + Sync {
    /// Adds a checkpoint and lets the oldest give way. Returns the one with the largest id that did.
    ///
    /// The state is written first. Then one fenced commit adds the pointer and removes those of
    /// the subsumed; more than fit into a commit are removed by further ones, whose failure does
    /// not fail the add and is made up for by the next. The newest is never subsumed, and neither is
    /// the newest that is no savepoint, unless the newest of all is a synchronous savepoint.
    /// The data of the subsumed is deleted in the background; when that lags behind, this waits.
    ///
    /// # Errors
    /// In each case what was retained before still is.
    /// * [`NotLeader`](crate::ErrorKind::NotLeader), [`Fenced`](crate::ErrorKind::Fenced): the
    ///   leadership that the store was recovered under is over. Not added. Stop the work.
    /// * [`Indeterminate`](crate::ErrorKind::Indeterminate): it may be added. Do not delete
    ///   anything of the checkpoint.
    /// * [`AlreadyExists`](crate::ErrorKind::AlreadyExists): the id is in use. Not added.
    /// * [`Invalid`](crate::ErrorKind::Invalid): an impossible id, an external pointer that is too long, or
    ///   restored under another claim mode than this store's. Not added.
    /// * [`Storage`](crate::ErrorKind::Storage), [`Unavailable`](crate::ErrorKind::Unavailable),
    ///   [`Denied`](crate::ErrorKind::Denied), [`TooLarge`](crate::ErrorKind::TooLarge): not added.
    ///   The application may delete what it stored of the checkpoint.
    ///
    /// # Cancel safety
    /// After a drop it may be added or not, as with `Indeterminate`; its state may be an orphan.
    async fn add_checkpoint_and_subsume_oldest_one(
        &self,
        checkpoint: CompletedCheckpoint,
    ) -> Result<Option<Arc<CompletedCheckpoint>>, Error>;

    /// All that are retained, in the order of their ids.
    ///
    /// # Errors
    /// As the trait says. Without a doubt there is no I/O, and no error but `Closed`.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn get_all_checkpoints(&self) -> Result<Vec<Arc<CompletedCheckpoint>>, Error>;

    /// The one with the largest id; `None` if none is retained.
    ///
    /// # Errors
    /// As [`get_all_checkpoints`](Self::get_all_checkpoints).
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn get_latest_checkpoint(&self) -> Result<Option<Arc<CompletedCheckpoint>>, Error> {
        Ok(self.get_all_checkpoints().await?.pop())
    }

    /// The largest id; 0 if none is retained.
    ///
    /// # Errors
    /// As [`get_all_checkpoints`](Self::get_all_checkpoints).
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn get_latest_checkpoint_id(&self) -> Result<u64, Error> {
        Ok(self.get_latest_checkpoint().await?.map_or(0, |checkpoint| checkpoint.id))
    }

    /// How many are retained. This may be more than the quota: after a recovery, and by the rules.
    ///
    /// # Errors
    /// As [`get_all_checkpoints`](Self::get_all_checkpoints).
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn number_of_retained_checkpoints(&self) -> Result<usize, Error> {
        Ok(self.get_all_checkpoints().await?.len())
    }

    /// The quota.
    fn max_number_of_retained_checkpoints(&self) -> usize;

    /// Under which mode a snapshot that the job is restored from is added.
    fn claim_mode(&self) -> RecoveryClaimMode;

    /// Whether a checkpoint must have data that outlives this process. `true` but for stores in memory.
    fn requires_externalized_checkpoints(&self) -> bool;

    /// How many deletions of data are under way in the background.
    fn outstanding_discards(&self) -> usize;

    /// Waits until no deletion of data is under way.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn discards_settled(&self);

    /// Ends the use of the store. If the status is globally terminal, all pointers are removed, then
    /// the data of each as its retention policy says, and this returns when that is done. Otherwise
    /// nothing is removed: another process will recover the job.
    ///
    /// The first call ends all other use. It may be repeated after a failure; after a success a further call
    /// does nothing. Data that cannot be deleted is logged and left as an orphan.
    ///
    /// # Errors
    /// * [`NotLeader`](crate::ErrorKind::NotLeader), [`Fenced`](crate::ErrorKind::Fenced): the
    ///   leadership is over, and its successor owns the data.
    /// * [`Indeterminate`](crate::ErrorKind::Indeterminate): pointers may be removed; no data is
    ///   deleted because of it. Call again.
    /// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat),
    ///   [`StateMissing`](crate::ErrorKind::StateMissing): an entry cannot be read; none was removed.
    /// * others: call again.
    ///
    /// # Cancel safety
    /// After a drop some pointers may be removed. Call again.
    async fn shutdown(&self, status: JobStatus) -> Result<(), Error>;
}
