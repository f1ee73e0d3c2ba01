use std::fmt;

use async_trait::async_trait;

use crate::{Error, JobStatus};

/// The largest count: what fits into a signed 64-bit number, so that every other program that
/// reads a checkpoint id can hold it. Ids end one before it.
pub const CHECKPOINT_ID_MAX: u64 = i64::MAX as u64;

/// The ids that a job's checkpoints get. Flink's `CheckpointIDCounter`.
///
/// The first id is 1. An id that was handed out is never handed out again: not by another caller,
/// not after a crash, not by a later leader. Gaps are possible: a step whose answer was lost may
/// have used up an id.
///
/// Every call but [`start`](Self::start) and [`shutdown`](Self::shutdown) needs a start before it.
///
/// # Errors
/// Common to all calls that write:
/// * [`NotLeader`](crate::ErrorKind::NotLeader), [`Fenced`](crate::ErrorKind::Fenced): the
///   leadership is over. Nothing was written. Stop the work.
/// * [`Indeterminate`](crate::ErrorKind::Indeterminate): the step may have been made. Call again:
///   the store is read first, and at worst an id is skipped.
/// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat): the
///   stored counter cannot be read. It is left as it is; see the text.
/// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied): nothing
///   was written. The counter works again as soon as the store does.
#[async_trait]
pub trait CheckpointIdCounter: fmt::Debug + Send + Sync {
    /// Makes the counter ready. Calling it again does nothing.
    ///
    /// # Errors
    /// The counter cannot be used; call again.
    ///
    /// # Cancel safety
    /// Call again.
    async fn start(&self) -> Result<(), Error>;

    /// Ends the use of the counter. It is removed from the store if the status is globally
    /// terminal, and kept otherwise. May be repeated, also after a failure.
    ///
    /// # Errors
    /// As the trait says. Call again with the same status.
    ///
    /// # Cancel safety
    /// After a drop the counter may be removed or not. Call again.
    async fn shutdown(&self, status: JobStatus) -> Result<(), Error>;

    /// The next id, which is ours alone from now on.
    ///
    /// # Errors
    /// As the trait says, and [`Exhausted`](crate::ErrorKind::Exhausted): the ids are used up.
    ///
    /// # Cancel safety
    /// After a drop an id may be used up that nobody has.
    async fn get_and_increment(&self) -> Result<u64, Error>;

    /// The id that [`get_and_increment`](Self::get_and_increment) would return, read from the store.
    ///
    /// # Errors
    /// It could not be read; it is never answered from memory instead.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn get(&self) -> Result<u64, Error>;

    /// The id that was handed out last, read from the store; 0 if none was.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn get_last(&self) -> Result<u64, Error> {
        Ok(self.get().await?.saturating_sub(1))
    }

    /// Makes `next` the next id: after a job was restored from a savepoint of another job, say.
    ///
    /// # Errors
    /// As the trait says, and [`Invalid`](crate::ErrorKind::Invalid): `next` is 0, above
    /// [`CHECKPOINT_ID_MAX`], or below the stored count, which would hand out ids again.
    ///
    /// # Cancel safety
    /// After a drop it may be set or not. Call again.
    async fn set_count(&self, next: u64) -> Result<(), Error>;
}
