use std::fmt;

use async_trait::async_trait;

use super::JobResult;
use crate::{Error, JobId};

/// The dirty results, and every entry that could not be read.
///
/// One broken entry hides no other, and none is left out silently.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "the broken entries are told here only"]
pub struct DirtyJobResults {
    /// The results that are dirty, in the order of their jobs.
    pub results: Vec<JobResult>,
    /// What stands among the results and cannot be read, dirty or not. Report these, and do not
    /// recover their jobs.
    pub broken: Vec<BrokenJobResult>,
}

/// An entry that cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokenJobResult {
    /// Of which job; `None` if its key is not the name of one.
    pub job: Option<JobId>,
    /// Why, with the key as its subject. [`Corrupt`](crate::ErrorKind::Corrupt) or
    /// [`NewerFormat`](crate::ErrorKind::NewerFormat).
    pub error: Error,
}

/// The results of jobs that are over for good. Flink's `JobResultStore`.
///
/// For each job there is no entry, a dirty one, or a clean one, and this order is never reversed. An
/// entry is durable when its creation returns; the end of a job must not be reported before. Jobs with
/// an entry are neither recovered nor accepted again.
///
/// Reading needs no leadership; writing does. Not guaranteed: that an answer of a read still holds when
/// it arrives, for another process may lead. A write decides.
///
/// # Errors
/// Common to all calls:
/// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat): the entry
///   of this job cannot be read; the text says what to do. It is never taken for an absent one.
/// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied): nothing was
///   written. Try again.
///
/// To those that write:
/// * [`NotLeader`](crate::ErrorKind::NotLeader), [`Fenced`](crate::ErrorKind::Fenced): the leadership is
///   over. Nothing was written. Stop the work.
/// * [`Indeterminate`](crate::ErrorKind::Indeterminate): it may be written. Read before going on.
#[async_trait]
pub trait JobResultStore: fmt::Debug + Send + Sync {
    /// Stores the result of a job that has ended and must still be cleaned up after. Of several calls
    /// for one job, in any number of processes, exactly one succeeds.
    ///
    /// # Errors
    /// As the trait says, and
    /// * [`AlreadyExists`](crate::ErrorKind::AlreadyExists): the job has a result, dirty or clean, also if
    ///   it is the same one, and also if it cannot be read. Nothing was written.
    /// * [`Invalid`](crate::ErrorKind::Invalid): the status is not globally terminal, or the
    ///   accumulators are nested too deep to be read again. Nothing was sent.
    /// * [`TooLarge`](crate::ErrorKind::TooLarge): the error text or the whole. Nothing was sent.
    /// * [`Indeterminate`](crate::ErrorKind::Indeterminate): it may be stored. Call again while the
    ///   leadership lasts: `AlreadyExists` then says that it is, by this call or another.
    ///
    /// # Cancel safety
    /// After a drop it may be stored or not. Call again, as after `Indeterminate`.
    async fn create_dirty_result(&self, result: &JobResult) -> Result<(), Error>;

    /// Records that nothing is left to clean up after the job. Only after all else of it was removed.
    /// If the entry is clean already, nothing is written.
    ///
    /// It is idempotent, and that also for several calls at once: success says that the entry was found, and that it is
    /// clean (or removed) now. It does not say by whom: of several calls that found the same dirty entry each may
    /// succeed, in one process or in several, though one of them has changed it. So it is no lock: do not tell by it
    /// who cleans up.
    ///
    /// # Errors
    /// As the trait says, and
    /// * [`NotFound`](crate::ErrorKind::NotFound): the job has no entry. Nothing was written. In a store
    ///   that removes clean entries ([`OnClean::Remove`](super::OnClean::Remove)) this is also the answer
    ///   to a second call, for nothing is left that would tell a job that was cleaned from one that never
    ///   was: a caller that knows of the dirty entry takes it for done.
    /// * [`Conflict`](crate::ErrorKind::Conflict): others changed it at every attempt. Call again.
    ///
    /// # Cancel safety
    /// After a drop it may be clean or not. Call again.
    async fn mark_result_as_clean(&self, job: &JobId) -> Result<(), Error>;

    /// Whether the job has a result, dirty or clean.
    ///
    /// # Errors
    /// As the trait says.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn has_job_result_entry(&self, job: &JobId) -> Result<bool, Error>;

    /// Whether the job has a dirty result.
    ///
    /// # Errors
    /// As the trait says.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn has_dirty_job_result_entry(&self, job: &JobId) -> Result<bool, Error>;

    /// Whether the job has a clean result.
    ///
    /// # Errors
    /// As the trait says.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn has_clean_job_result_entry(&self, job: &JobId) -> Result<bool, Error>;

    /// All dirty results: what a new leader has to clean up after. One list, no matter how many.
    ///
    /// # Errors
    /// The store could not be read at all. Entries that cannot be read are part of the answer.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn dirty_results(&self) -> Result<DirtyJobResults, Error>;
}
