use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::{Semaphore, watch};
use tracing::Instrument;

use super::resource::Stored;
use super::{CleanableResource, CleanupStrategy, Failures, is_final};
use crate::backend::Revision;
use crate::election::{Grant, Leadership};
use crate::job_result::{BrokenJobResult, DefaultJobResultStore, JobResult, JobResultStore};
use crate::seam::{Seam, Task};
use crate::telemetry::record as measured;
use crate::{Error, ErrorKind, JobId};

/// How many jobs are cleaned up after at a time; those that wait for their next try do not count.
const PARALLEL: usize = 8;

/// How the clean-up after one job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum CleanupEnd {
    /// Nothing is left of the job, and its result is clean, or gone. Also if somebody else has seen to it.
    Clean,
    /// It was given up after as many tries as the strategy allows. The result stays dirty: the next leader, or the
    /// next [`ResourceCleaner::clean_up_dirty_results`], tries again.
    GivenUp(Error),
    /// The leadership is over, or the services were closed: the result stays dirty, and the next leader takes over.
    Stopped(Error),
}

/// Takes away what is left of jobs that are over, trying again until nothing is, and only then marks their results
/// as clean. Flink's `DispatcherResourceCleaner`, with its retries.
///
/// It works under one leadership and ends with it: at once, also in the midst of a pause. The next leader takes over
/// from the dirty results.
///
/// The resources of [`ResourceCleaner::first`] go first, one after another; then, beside each other, those of
/// [`ResourceCleaner::beside`] and everything that this library stores of the job, as
/// [`global_cleanup`](crate::HighAvailabilityServices::global_cleanup) removes it. What succeeded is not
/// repeated in this process.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions, seam::Seam, state::StateStorage};
/// use ha_core::cleanup::{CleanupEnd, CleanupStrategy, ResourceCleaner};
/// use ha_core::{JobId, JobStatus, job_result::JobResult};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(ha_embedded::Embedded::new(seam.clone()).connect());
/// # let storage = StateStorage::open("memory://", seam.clone())?;
/// # let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam)?;
/// let leadership = services.dispatcher_leader_election()?.campaign().await?;
/// let cleaner = ResourceCleaner::of(&leadership, CleanupStrategy::default())?;
///
/// // A new leader takes over what its predecessors left dirty.
/// let mut taken_over = cleaner.clean_up_dirty_results().await?;
/// taken_over.finished().await;
///
/// // A job is over: its result is stored first, and then it is cleaned up after.
/// let result = JobResult::new(JobId::new("job-1")?, JobStatus::Finished);
/// leadership.job_result_store().create_dirty_result(&result).await?;
/// assert_eq!(cleaner.clean_up(&result).await, CleanupEnd::Clean);
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct ResourceCleaner {
    first: Vec<Arc<dyn CleanableResource>>,
    beside: Vec<Arc<dyn CleanableResource>>,
    stored: Stored,
    job_results: DefaultJobResultStore,
    strategy: CleanupStrategy,
    grant: Grant,
    seam: Seam,
    room: Arc<Semaphore>,
}

impl ResourceCleaner {
    /// The cleaner of that leadership. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the strategy does not fit; the text names the field.
    pub fn of(leadership: &Leadership, strategy: CleanupStrategy) -> Result<Self, Error> {
        strategy.validate()?;
        let writer = leadership.writer();
        let seam = writer.seam().clone();
        Ok(Self {
            first: Vec::new(),
            beside: Vec::new(),
            stored: Stored { writer, storage: leadership.storage().clone() },
            job_results: leadership.default_job_result_store(),
            strategy,
            grant: leadership.grant().clone(),
            seam,
            room: Arc::new(Semaphore::new(PARALLEL)),
        })
    }

    /// The same cleaner with a resource that must be gone before any of the next: what ends the work on the job, or
    /// needs what is stored of it (such as files that its checkpoints lead to).
    #[must_use]
    pub fn first(mut self, resource: Arc<dyn CleanableResource>) -> Self {
        self.first.push(resource);
        self
    }

    /// The same cleaner with a resource whose order does not matter.
    #[must_use]
    pub fn beside(mut self, resource: Arc<dyn CleanableResource>) -> Self {
        self.beside.push(resource);
        self
    }

    /// Cleans up after a job whose result is stored. If it is not dirty, or not there, nothing is removed: somebody
    /// else was faster, and the job may run again by now.
    ///
    /// # Cancel safety
    /// Dropping the future ends the clean-up: the result stays dirty, and may be cleaned up after again.
    pub async fn clean_up(&self, result: &JobResult) -> CleanupEnd {
        let mut cleaning = Cleaning { cleaner: self, result, found: None, done: Vec::new(), retries: 0 };
        let span = tracing::info_span!("clean_up", job = %result.job, epoch = self.grant.epoch());
        let end = tokio::select! {
            biased;
            why = self.grant.lost() => {
                let error = Error::new(ErrorKind::NotLeader, "clean up").at(&result.job).because(why);
                CleanupEnd::Stopped(error)
            }
            end = cleaning.run().instrument(span) => end,
        };
        let (job, epoch) = (&result.job, self.grant.epoch());
        measured::cleanup(match &end {
            CleanupEnd::Clean => {
                tracing::debug!(%job, epoch, "cleaned up after a job");
                "clean"
            }
            CleanupEnd::GivenUp(error) => {
                tracing::warn!(%job, epoch, ?error, "the clean-up after a job is given up; its result stays dirty");
                "given_up"
            }
            CleanupEnd::Stopped(error) => {
                tracing::info!(%job, epoch, %error, "the clean-up after a job was stopped; the next leader goes on");
                "stopped"
            }
        });
        end
    }

    /// Takes over every dirty result: cleans up after their jobs in the background, until the answer is dropped.
    ///
    /// # Errors
    /// As [`JobResultStore::dirty_results`]: call again. Entries that cannot be read are part of the answer.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn clean_up_dirty_results(&self) -> Result<DirtyCleanup, Error> {
        let dirty = self.job_results.dirty_results().await?;
        for broken in &dirty.broken {
            tracing::error!(error = ?broken.error, "a job result cannot be read; nothing of its job is cleaned up");
        }
        let jobs: Vec<JobId> = dirty.results.iter().map(|result| result.job.clone()).collect();
        let (ends, seen) = watch::channel(Ends { ends: Vec::new(), left: jobs.len() });
        let cleaner = self.clone();
        let all = async move {
            // All at once, for one that fails again and again must not hold up the others; the tries themselves
            // are bounded by the room that the cleaner has.
            let each = stream::iter(dirty.results).for_each_concurrent(None, |result| {
                let (cleaner, ends) = (&cleaner, &ends);
                async move {
                    let end = cleaner.clean_up(&result).await;
                    ends.send_modify(|ends| {
                        ends.ends.push((result.job, end));
                        ends.left -= 1;
                    });
                }
            });
            each.await;
        };
        let task = self.seam.spawn(all);
        Ok(DirtyCleanup { jobs, broken: dirty.broken, ends: seen, _task: task })
    }
}

impl fmt::Debug for ResourceCleaner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceCleaner")
            .field("first", &self.first)
            .field("beside", &self.beside)
            .field("strategy", &self.strategy)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Ends {
    ends: Vec<(JobId, CleanupEnd)>,
    left: usize,
}

/// Dirty results that were taken over. Dropping it ends the clean-up; what is dirty then stays so.
#[derive(Debug)]
#[must_use = "dropping it ends the clean-up"]
pub struct DirtyCleanup {
    jobs: Vec<JobId>,
    broken: Vec<BrokenJobResult>,
    ends: watch::Receiver<Ends>,
    _task: Task,
}

impl DirtyCleanup {
    /// The jobs that are cleaned up after.
    #[must_use]
    pub fn jobs(&self) -> &[JobId] {
        &self.jobs
    }

    /// Results that cannot be read. Nothing of their jobs is cleaned up, and they must not run again.
    #[must_use]
    pub fn broken(&self) -> &[BrokenJobResult] {
        &self.broken
    }

    /// Waits until the clean-up after every job has ended, and tells how, in the order in which they did.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn finished(&mut self) -> Vec<(JobId, CleanupEnd)> {
        // An error says that the runtime has ended the task: no more ends will come.
        let _ = self.ends.wait_for(|ends| ends.left == 0).await;
        self.ends.borrow().ends.clone()
    }
}

/// The clean-up after one job.
struct Cleaning<'a> {
    cleaner: &'a ResourceCleaner,
    result: &'a JobResult,
    /// The result as the first try has found it.
    found: Option<JobResult>,
    /// Which resources are gone: `first`, then `beside`, then our own.
    done: Vec<bool>,
    retries: u32,
}

impl Cleaning<'_> {
    async fn run(&mut self) -> CleanupEnd {
        loop {
            let Err(error) = self.attempt().await else { return CleanupEnd::Clean };
            if is_final(&error) {
                return CleanupEnd::Stopped(error);
            }
            self.retries = self.retries.saturating_add(1);
            let job = &self.result.job;
            let Some(delay) = self.cleaner.strategy.delay_before(self.retries) else {
                return CleanupEnd::GivenUp(error);
            };
            let delay = self.jittered(delay);
            let epoch = self.cleaner.grant.epoch();
            tracing::warn!(%job, epoch, ?error, ?delay, "the clean-up after a job failed; it is tried again");
            measured::cleanup("retried");
            self.cleaner.seam.sleep(delay).await;
        }
    }

    /// Not all at once, and never later than the strategy says.
    fn jittered(&self, delay: Duration) -> Duration {
        self.cleaner.seam.jittered(delay).min(delay)
    }

    async fn attempt(&mut self) -> Result<(), Error> {
        // The semaphore is never closed.
        let _room = self.cleaner.room.acquire().await.ok();
        // Race: somebody else has finished meanwhile, and the job was submitted again, and may have ended again.
        // Closed by: looking before each try; what this library stores goes only while the same result stands, and
        //            exactly that one is marked as clean. Resources of the application's own have no such guard.
        // Cost if missed: what belongs to a job that runs is removed; or what a later run left is never cleaned up.
        let job = &self.result.job;
        let Some(dirty) = self.still_dirty().await? else { return Ok(()) };
        let (first, beside) = (&self.cleaner.first, &self.cleaner.beside);
        let stored = first.len() + beside.len();
        self.done.resize(stored + 1, false);
        for (number, resource) in first.iter().enumerate() {
            if !self.done[number] {
                self.take_away(resource).await?;
                self.done[number] = true;
            }
        }
        let numbered = beside.iter().zip(first.len()..).filter(|(_, number)| !self.done[*number]);
        let taken = join_all(numbered.map(async |(resource, number)| (number, self.take_away(resource).await)));
        let ours = async {
            match self.done[stored] {
                true => Ok(()),
                false => self.cleaner.stored.global_cleanup(job, dirty).await,
            }
        };
        let (taken, ours) = futures_util::future::join(taken, ours).await;
        let mut failures = Failures::default();
        for (number, taken) in taken.into_iter().chain([(stored, ours)]) {
            self.done[number] = failures.take(taken).is_some();
        }
        match failures.merged() {
            Ok(()) => self.cleaner.job_results.mark_write_as_clean(job, dirty).await,
            Err(error) if is_final(&error) => Err(error),
            // It may have failed because somebody else was faster.
            Err(error) => match self.still_dirty().await {
                Ok(None) => Ok(()),
                Ok(Some(_)) | Err(_) => Err(error),
            },
        }
    }

    /// Which write of the result is dirty, if it is the result that the first try has found.
    async fn still_dirty(&mut self) -> Result<Option<Revision>, Error> {
        let Some((revision, result)) = self.cleaner.job_results.dirty(&self.result.job).await? else { return Ok(None) };
        let is_same = *self.found.get_or_insert_with(|| result.clone()) == result;
        Ok(is_same.then_some(revision))
    }

    async fn take_away(&self, resource: &Arc<dyn CleanableResource>) -> Result<(), Error> {
        // Foreign code: its panic must not end the clean-up after other jobs.
        let taken = AssertUnwindSafe(async { resource.global_cleanup(self.result).await }).catch_unwind().await;
        taken.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::IllegalState, "clean up")
                .at(&self.result.job)
                .because(format!("the resource {:?} panicked; correct it", resource.name())))
        })
    }
}
