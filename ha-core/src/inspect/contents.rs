use std::collections::BTreeMap;

use serde::Serialize;

use super::{Inspector, Problem, ProblemKind};
use crate::backend::{Entry, Key, Revision};
use crate::checkpoint::{self, CompletedCheckpoint};
use crate::cleanup::places::{self, Place};
use crate::names::layout;
use crate::state::StateHandle;
use crate::{Error, JobId, JobStatus, blob, job_result, plan};

/// What is stored of jobs. Each kind of entry as it stood at one moment; leaders may have gone on between the kinds.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Contents {
    /// By name.
    pub jobs: BTreeMap<JobId, JobView>,
    /// Entries that could not be read, and keys that nobody of this library writes.
    pub problems: Vec<Problem>,
    /// How many entries were looked at.
    pub entries: usize,
    /// All pointers that could be read.
    pub(super) pointers: Vec<Pointer>,
    /// Everything that was looked at, in the order of the looks.
    seen: Vec<(Key, Revision)>,
}

/// A pointer to a state.
#[derive(Debug, Clone)]
pub(super) struct Pointer {
    pub(super) key: Key,
    pub(super) revision: Revision,
    pub(super) job: JobId,
    pub(super) state: StateHandle,
}

/// What is stored of one job.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct JobView {
    /// The state of its execution plan.
    pub plan: Option<StateHandle>,
    /// By id.
    pub checkpoints: Vec<CheckpointView>,
    /// The id that its next checkpoint gets.
    pub next_checkpoint_id: Option<u64>,
    /// Its result, if it is over.
    pub result: Option<ResultView>,
    /// Its blobs.
    pub blobs: Vec<BlobView>,
    /// How many of its entries cannot be read.
    pub problems: usize,
}

/// A checkpoint, without its state.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckpointView {
    /// Everything but the state, which is empty here.
    pub checkpoint: CompletedCheckpoint,
    /// Where the state is.
    pub state: StateHandle,
}

/// The result of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResultView {
    /// How it ended.
    pub status: JobStatus,
    /// Whether everything of it was cleaned up.
    pub clean: bool,
    /// How long it ran, as the application says, in milliseconds.
    pub network_run_time_ms: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlobView {
    /// Its key, which says its content.
    pub blob: String,
    /// Where it is.
    pub state: StateHandle,
}

impl JobView {
    /// How many bytes its states have, as their pointers say.
    #[must_use]
    pub fn state_bytes(&self) -> u64 {
        let checkpoints = self.checkpoints.iter().map(|one| &one.state);
        let states = checkpoints.chain(&self.plan).chain(self.blobs.iter().map(|blob| &blob.state));
        states.fold(0, |sum, state| sum.saturating_add(state.length))
    }

    /// The checkpoint that a recovery would begin with, if it is intact.
    #[must_use]
    pub fn latest(&self) -> Option<&CheckpointView> {
        self.checkpoints.last()
    }
}

impl Contents {
    /// How many pointers to states there are.
    #[must_use]
    pub fn pointers(&self) -> usize {
        self.pointers.len()
    }

    /// Whether the other look, at the same, has found exactly these entries: nobody has written or removed one between
    /// the two, not even with the same bytes.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.seen == other.seen
    }

    fn take(&mut self, entries: &[Entry], formats: crate::formats::Formats) {
        for entry in entries {
            self.entries += 1;
            self.seen.push((entry.key.clone(), entry.revision));
            let (job, taken) = match places::place_of(&entry.key) {
                // A latch of the application's own, or something else that is not ours to judge.
                Place::Other | Place::LeaderInformation { .. } => (None, self.result(entry, formats)),
                Place::Strange => {
                    let why = "this library writes no such key; find out who does";
                    self.problems.push(Problem::new(ProblemKind::Strange, &entry.key, None, why));
                    continue;
                }
                Place::Counter(job) => {
                    let next = checkpoint::next_in(entry, formats);
                    (Some(job.clone()), next.map(|next| self.job(&job).next_checkpoint_id = Some(next)))
                }
                Place::Plan(job) => (Some(job.clone()), self.plan(job, entry, formats)),
                Place::Checkpoint(job) => (Some(job.clone()), self.checkpoint(job, entry, formats)),
                Place::Blob(job) => (Some(job.clone()), self.blob(job, entry, formats)),
            };
            if let Err(error) = taken {
                let job = job.or_else(|| JobId::new(entry.key.last()).ok());
                if let Some(job) = &job {
                    self.job(job).problems += 1;
                }
                self.problems.push(Problem::new(
                    ProblemKind::of_entry(&error),
                    &entry.key,
                    job.as_ref(),
                    chain(&error),
                ));
            }
        }
    }

    fn job(&mut self, job: &JobId) -> &mut JobView {
        self.jobs.entry(job.clone()).or_default()
    }

    fn point(&mut self, job: JobId, entry: &Entry, state: &StateHandle) {
        let (key, revision, state) = (entry.key.clone(), entry.revision, state.clone());
        self.pointers.push(Pointer { key, revision, job, state });
    }

    fn plan(&mut self, job: JobId, entry: &Entry, formats: crate::formats::Formats) -> Result<(), Error> {
        let state = plan::state_in(&job, entry, formats)?;
        self.job(&job).plan = Some(state.clone());
        self.point(job, entry, &state);
        Ok(())
    }

    fn checkpoint(&mut self, job: JobId, entry: &Entry, formats: crate::formats::Formats) -> Result<(), Error> {
        let (checkpoint, state) = checkpoint::read_in(entry, formats)?;
        self.job(&job).checkpoints.push(CheckpointView { checkpoint, state: state.clone() });
        self.point(job, entry, &state);
        Ok(())
    }

    fn blob(&mut self, job: JobId, entry: &Entry, formats: crate::formats::Formats) -> Result<(), Error> {
        let state = blob::state_in(&job, entry, formats)?;
        self.job(&job).blobs.push(BlobView { blob: entry.key.last().to_owned(), state: state.clone() });
        self.point(job, entry, &state);
        Ok(())
    }

    fn result(&mut self, entry: &Entry, formats: crate::formats::Formats) -> Result<(), Error> {
        if layout::job_results().relative(&entry.key).is_none() {
            return Ok(());
        }
        let (result, clean) = job_result::read_in(entry, formats)?;
        let (status, network_run_time_ms, error) = (result.status, result.network_run_time_ms, result.error);
        self.job(&result.job).result = Some(ResultView { status, clean, network_run_time_ms, error });
        Ok(())
    }
}

impl Inspector {
    /// What is stored of all jobs: four lists.
    ///
    /// # Errors
    /// As [`Backend::list`](crate::backend::Backend::list). Entries that cannot be read are part of the answer.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn contents(&self) -> Result<Contents, Error> {
        let mut contents = Contents::default();
        for below in [layout::execution_plans(), layout::jobs(), layout::all_blobs(), layout::job_results()] {
            contents.take(&self.backend.list(&below).await?.entries, self.formats);
        }
        Ok(contents)
    }

    /// What is stored of one job.
    ///
    /// # Errors
    /// As [`Inspector::contents`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn contents_of(&self, job: &JobId) -> Result<Contents, Error> {
        let mut contents = Contents::default();
        for below in [layout::job(job), layout::blobs(job)] {
            contents.take(&self.backend.list(&below).await?.entries, self.formats);
        }
        for key in [layout::execution_plan(job), layout::job_result(job)] {
            contents.take(self.backend.read(&key).await?.as_slice(), self.formats);
        }
        Ok(contents)
    }
}

/// The whole error on one line.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let cause = error.to_string();
        // Many causes say again what is said already.
        if !text.contains(&cause) {
            text.push_str(&format!(" ({cause})"));
        }
        source = error.source();
    }
    text
}
