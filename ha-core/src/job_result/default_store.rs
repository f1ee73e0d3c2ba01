use async_trait::async_trait;

use super::entry::{Found, ResultEntry, State, checked};
use super::{BrokenJobResult, DirtyJobResults, JobResult, JobResultStore};
use crate::backend::{Backend, Expect, Revision};
use crate::formats::Formats;
use crate::names::layout;
use crate::writer::{Committed, Draft, Writer};
use crate::{Error, ErrorKind, JobId};

/// How often an entry that changed under us is looked at anew.
const ATTEMPTS: usize = 4;

/// What becomes of an entry that nothing is left to clean up after. Flink's
/// `job-result-store.delete-on-commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnClean {
    /// It is removed: the store does not grow, and a job of the same id can be run again.
    #[default]
    Remove,
    /// It is kept for good: the job is refused for ever, and removing entries is the operator's task.
    Keep,
}

/// How a [`DefaultJobResultStore`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobResultStoreOptions {
    /// What becomes of clean entries. Entries that are clean already stay as they are.
    pub on_clean: OnClean,
}

/// The [`JobResultStore`] on a backend: one record for each job, and each change is one fenced commit.
///
/// It remembers nothing between two calls, so that any number of instances may be used side by side.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::backend::{Acquire, Backend, Latch, Prefix, Session, SessionOptions};
/// # use ha_core::election::Grant;
/// # use ha_core::{resolve::Committer, seam::Seam};
/// use ha_core::{JobId, JobStatus};
/// use ha_core::job_result::{DefaultJobResultStore, JobResult, JobResultStore, JobResultStoreOptions};
/// use ha_core::writer::{Authority, Writer};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(ha_embedded::Embedded::new(seam.clone()).connect());
/// # let session: Arc<dyn Session> = backend.open_session(&SessionOptions::default()).await?.into();
/// # let latch = Latch::below(&Prefix::new("leader")?);
/// # let Acquire::Won(term) = session.try_acquire(&latch, "me".into(), None).await? else { panic!() };
/// # let grant = Grant::hold(&seam, session, latch, term);
/// # let committer = Committer::new(backend, seam);
/// // `grant` is the leadership that this process has won.
/// let writer = Writer::new(committer, Authority::Leader(grant));
/// let store = DefaultJobResultStore::new(writer, JobResultStoreOptions::default());
/// let job = JobId::new("job-1")?;
/// store.create_dirty_result(&JobResult::new(job.clone(), JobStatus::Finished)).await?;
/// assert_eq!(store.dirty_results().await?.results.len(), 1);
/// // Here all else that was stored of the job is removed; then nothing is left to do.
/// store.mark_result_as_clean(&job).await?;
/// assert!(!store.has_job_result_entry(&job).await?);
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct DefaultJobResultStore {
    writer: Writer,
    options: JobResultStoreOptions,
}

impl DefaultJobResultStore {
    /// A store that writes results by that writer. No I/O.
    #[must_use]
    pub fn new(writer: Writer, options: JobResultStoreOptions) -> Self {
        Self { writer, options }
    }

    /// The dirty result of the job, and which write of it; `None` if it has none that is dirty.
    pub(crate) async fn dirty(&self, job: &JobId) -> Result<Option<(Revision, JobResult)>, Error> {
        let found = find(&**self.writer.backend(), job, self.writer.formats()).await?;
        let dirty = found.filter(|found| found.entry.state == State::Dirty);
        Ok(dirty.map(|found| (found.revision, found.entry.result)))
    }

    /// Marks exactly that write of the result as clean. Success also if it stands no more: then somebody else has
    /// done so, and what there is now is the result of a later run of the job.
    pub(crate) async fn mark_write_as_clean(&self, job: &JobId, dirty: Revision) -> Result<(), Error> {
        let draft = self.writer.draft()?;
        match find(&**self.writer.backend(), job, self.writer.formats()).await? {
            Some(found) if found.revision == dirty => {
                // After a conflict it is as if it had not been found.
                self.writer.commit(self.cleaning(draft, job, found)?).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The draft with the step from dirty to clean.
    fn cleaning(&self, draft: Draft, job: &JobId, dirty: Found) -> Result<Draft, Error> {
        let key = layout::job_result(job);
        match self.options.on_clean {
            OnClean::Remove => Ok(draft.remove(key, dirty.revision)),
            OnClean::Keep => {
                let clean = ResultEntry { state: State::Clean, ..dirty.entry };
                draft.put(key, Expect::Revision(dirty.revision), &clean)
            }
        }
    }

    async fn state(&self, job: &JobId) -> Result<Option<State>, Error> {
        Ok(find(&**self.writer.backend(), job, self.writer.formats()).await?.map(|found| found.entry.state))
    }
}

pub(super) async fn find(backend: &dyn Backend, job: &JobId, formats: Formats) -> Result<Option<Found>, Error> {
    let entry = backend.read(&layout::job_result(job)).await?;
    entry.map(|entry| Found::decode(job, &entry, formats)).transpose()
}

#[async_trait]
impl JobResultStore for DefaultJobResultStore {
    async fn create_dirty_result(&self, result: &JobResult) -> Result<(), Error> {
        let entry = checked(result, self.writer.value_bytes_max())?;
        let draft = self.writer.draft()?.put(layout::job_result(&result.job), Expect::Absent, &entry)?;
        match self.writer.commit(draft).await? {
            Committed::Applied(_) => Ok(()),
            Committed::Conflict { .. } => Err(Error::new(ErrorKind::AlreadyExists, "create job result")
                .at(&result.job)
                .because("this job has a result already; nothing was written")),
        }
    }

    async fn mark_result_as_clean(&self, job: &JobId) -> Result<(), Error> {
        let failed = |kind| Error::new(kind, "mark job result as clean").at(job);
        for attempt in 0..ATTEMPTS {
            // Made first, so that a deposed leader is told so even if there is nothing to write.
            let draft = self.writer.draft()?;
            let Some(found) = find(&**self.writer.backend(), job, self.writer.formats()).await? else {
                // After a conflict we know that it was dirty, and that whoever removed it found it so.
                if attempt > 0 && self.options.on_clean == OnClean::Remove {
                    return Ok(());
                }
                return Err(failed(ErrorKind::NotFound).because("this job has no result; nothing was written"));
            };
            if found.entry.state == State::Clean {
                return Ok(());
            }
            if let Committed::Applied(_) = self.writer.commit(self.cleaning(draft, job, found)?).await? {
                return Ok(());
            }
        }
        Err(failed(ErrorKind::Conflict).because("others changed it at every attempt; nothing was written: call again"))
    }

    async fn has_job_result_entry(&self, job: &JobId) -> Result<bool, Error> {
        Ok(self.state(job).await?.is_some())
    }

    async fn has_dirty_job_result_entry(&self, job: &JobId) -> Result<bool, Error> {
        Ok(self.state(job).await? == Some(State::Dirty))
    }

    async fn has_clean_job_result_entry(&self, job: &JobId) -> Result<bool, Error> {
        Ok(self.state(job).await? == Some(State::Clean))
    }

    async fn dirty_results(&self) -> Result<DirtyJobResults, Error> {
        let below = layout::job_results();
        let snapshot = self.writer.backend().list(&below).await?;
        let mut all = DirtyJobResults { results: Vec::new(), broken: Vec::new() };
        for entry in &snapshot.entries {
            let Some(job) = below.relative(&entry.key).and_then(|name| JobId::new(name).ok()) else {
                let error = Error::new(ErrorKind::Corrupt, "read job result")
                    .at(&entry.key)
                    .because("this key is not the name of a job; nothing was deleted: remove it by hand");
                all.broken.push(BrokenJobResult { job: None, error });
                continue;
            };
            match Found::decode(&job, entry, self.writer.formats()) {
                Ok(found) if found.entry.state == State::Dirty => all.results.push(found.entry.result),
                Ok(_) => {}
                Err(error) => all.broken.push(BrokenJobResult { job: Some(job), error }),
            }
        }
        Ok(all)
    }
}
