use std::fmt;

use async_trait::async_trait;

use super::BlobKey;
use crate::state::Chunks;
use crate::{Error, JobId};

/// The blobs of jobs. Flink's `BlobStore`.
///
/// Content goes in and comes out in pieces; none is ever held in memory as a whole. Each job has its own
/// blobs: the same content under two jobs is two blobs.
///
/// Getting needs no leadership. What changes the set of blobs is done in a commit under the leadership of
/// the store's writer: a deposed leader can neither put a blob nor delete one that its successor has put,
/// not even one of the same content.
///
/// # Errors
/// Common to all calls:
/// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat): a stored
///   pointer cannot be read. The text names it. Nothing of it was changed.
/// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
///   [`Storage`](crate::ErrorKind::Storage): try again.
///
/// To those that write:
/// * [`NotLeader`](crate::ErrorKind::NotLeader), [`Fenced`](crate::ErrorKind::Fenced): the leadership is
///   over. The set of blobs was not changed. Stop the work.
/// * [`Indeterminate`](crate::ErrorKind::Indeterminate): it may be done. Call again.
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Stores content durably and says what it is called. If it is there already (put by anybody, at the
    /// same moment too), that is success. A blob whose state is missing or of a wrong length is replaced.
    ///
    /// # Errors
    /// As the trait says. An error among the pieces ends it and is returned as it is. Nothing is visible then.
    ///
    /// # Cancel safety
    /// After a drop it may be stored, whole, or not at all; there may be an orphan in the state storage.
    async fn put(&self, job: &JobId, content: Chunks<'_>) -> Result<BlobKey, Error>;

    /// Reads a blob. The last piece comes only once length and checksum of all were found right: whoever
    /// reaches the end without an error has exactly what was put. After an error, throw away what has come.
    ///
    /// # Errors
    /// As the trait says, in place of the pieces or among them, and
    /// * [`NotFound`](crate::ErrorKind::NotFound): the job has no such blob.
    /// * [`Corrupt`](crate::ErrorKind::Corrupt): the content was changed, truncated or prolonged. Delete
    ///   it and put it again.
    /// * [`StateMissing`](crate::ErrorKind::StateMissing): the content is gone. Put it again.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future, or the pieces.
    async fn get(&self, job: &JobId, key: &BlobKey) -> Result<Chunks<'static>, Error>;

    /// Deletes a blob; success if there is none. One that is being read may be read to its end, or the
    /// reader gets an error.
    ///
    /// # Errors
    /// As the trait says, and [`Conflict`](crate::ErrorKind::Conflict): others replaced it at every attempt.
    /// Content that cannot be deleted is no error: it is logged and left as an orphan.
    ///
    /// # Cancel safety
    /// After a drop it may be deleted or not. Call again.
    async fn delete(&self, job: &JobId, key: &BlobKey) -> Result<(), Error>;

    /// Deletes all blobs of a job that were there when it was called, and of no other; success if there are none.
    ///
    /// # Errors
    /// As [`BlobStore::delete`]. One pointer that cannot be read keeps no other blob from being deleted; the
    /// first such error is returned in the end.
    ///
    /// # Cancel safety
    /// After a drop some may be deleted. Call again.
    async fn delete_all(&self, job: &JobId) -> Result<(), Error>;
}
