use std::collections::{BTreeMap, BTreeSet};

use super::failures::{Failures, is_final};
use super::places::{self, Place};
use crate::backend::{Entry, KEY_BYTES_MAX, Key, Prefix, Revision};
use crate::discard::Discards;
use crate::formats::Formats;
use crate::job_result;
use crate::names::layout;
use crate::state::{StateHandle, StateStorage};
use crate::writer::{Committed, Writer};
use crate::{ComponentId, Error, ErrorKind, JobId, JobStatus};

/// How often what is left is looked at anew, because others changed some of it.
const ROUNDS_MAX: u32 = 8;
/// The most keys that one commit removes.
const REMOVALS_MAX: usize = 64;
/// How many states are handed to the background at a time.
const DISCARDS_AT_ONCE: usize = 64;

/// What is to be removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent<'a> {
    /// All of one job but its result.
    Job(&'a JobId),
    /// All of the cluster but results of jobs, what present leaders publish, and what is not of this library.
    Cluster,
}

/// A key to remove, and the state that goes with it.
struct Target {
    key: Key,
    revision: Revision,
    state: Option<StateHandle>,
}

/// Removes pointers, all of them, and only then what they led to.
#[derive(Debug)]
pub(super) struct Removal<'a> {
    writer: &'a Writer,
    extent: Extent<'a>,
    failures: Failures,
    /// Keys that could not be removed by this call.
    given_up: BTreeSet<Key>,
    /// States whose pointers are definitely removed.
    doomed: Vec<StateHandle>,
}

impl<'a> Removal<'a> {
    /// `writer` is pinned: all is removed under one leadership.
    pub(super) fn new(writer: &'a Writer, extent: Extent<'a>) -> Self {
        Self { writer, extent, failures: Failures::default(), given_up: BTreeSet::new(), doomed: Vec::new() }
    }

    /// Takes every step, whatever became of the others, and ends early only with the leadership.
    pub(super) async fn run(mut self, storage: &StateStorage) -> Failures {
        if let Err(error) = self.bar_late_creations().await {
            self.failures.push(error);
        }
        let mut round = 0;
        while !self.failures.is_final() {
            let targets = self.find().await;
            if targets.is_empty() {
                break;
            }
            if round == ROUNDS_MAX {
                self.failures.push(
                    Error::new(ErrorKind::Conflict, "clean up")
                        .at(&targets[0].key)
                        .because("others changed it at every attempt: somebody still works on this; call again"),
                );
                break;
            }
            self.remove_all(targets, round).await;
            round += 1;
        }
        self.discard(storage).await;
        self.failures
    }

    // Race: a creation whose answer was lost has not landed yet, so its key is absent when we look.
    // Closed by: the barrier is raised before the look; what is absent after it stays absent.
    // Cost if missed: the plan of a job that was cleaned up appears, and the job runs again.
    async fn bar_late_creations(&self) -> Result<(), Error> {
        let draft = self.writer.draft()?;
        self.writer.bar_late_creations(&draft, |key| self.concerns(key)).await
    }

    fn concerns(&self, key: &Key) -> bool {
        match (self.extent, places::place_of(key)) {
            (Extent::Cluster, Place::Other) => false,
            (Extent::Cluster, _) => true,
            (Extent::Job(job), Place::Plan(of) | Place::Blob(of)) => of == *job,
            (Extent::Job(job), _) => layout::job(job).contains(key),
        }
    }

    /// What there is to remove now. What cannot be read is noted; the rest is removed all the same.
    async fn find(&mut self) -> Vec<Target> {
        let mut targets = match self.extent {
            Extent::Job(job) => self.find_job(job).await,
            Extent::Cluster => self.find_cluster().await,
        };
        targets.retain(|target| !self.given_up.contains(&target.key));
        targets
    }

    async fn find_job(&mut self, job: &JobId) -> Vec<Target> {
        let (backend, formats) = (self.writer.backend(), self.writer.formats());
        let mut singles = vec![layout::execution_plan(job)];
        // A job whose name is too long to stand in a component has no master that could publish.
        if let Ok(master) = ComponentId::job_master(job) {
            singles.push(layout::connection_info(&crate::backend::Latch::below(&layout::leader()), &master));
        }
        let ended = match backend.read(&layout::job_result(job)).await {
            Ok(found) => found.as_ref().and_then(|entry| job_result::status_in(entry, formats)),
            Err(error) => {
                // What a policy could retain must not go because it is not known how the job ended.
                self.failures.push(error);
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for key in singles {
            entries.extend(self.failures.take(backend.read(&key).await).flatten());
        }
        for below in [layout::job(job), layout::blobs(job)] {
            entries.extend(self.failures.take(backend.list(&below).await).into_iter().flat_map(|s| s.entries));
        }
        entries.iter().map(|entry| target(entry, ended, formats)).collect()
    }

    async fn find_cluster(&mut self) -> Vec<Target> {
        let Some(all) = self.failures.take(self.writer.backend().list(&Prefix::root()).await) else {
            return Vec::new();
        };
        let (results, formats) = (layout::job_results(), self.writer.formats());
        let ended: BTreeMap<&str, JobStatus> = all
            .entries
            .iter()
            .filter(|entry| results.contains(&entry.key))
            .filter_map(|entry| Some((entry.key.last(), job_result::status_in(entry, formats)?)))
            .collect();
        let chosen = all.entries.iter().filter_map(|entry| {
            let job = match places::place_of(&entry.key) {
                Place::Other => return None,
                Place::LeaderInformation { latch } if places::is_of_present_leader(&all, entry, &latch) => return None,
                Place::Plan(job) | Place::Checkpoint(job) | Place::Counter(job) | Place::Blob(job) => Some(job),
                Place::Strange | Place::LeaderInformation { .. } => None,
            };
            Some(target(entry, job.and_then(|job| ended.get(job.as_str()).copied()), formats))
        });
        chosen.collect()
    }

    async fn remove_all(&mut self, mut targets: Vec<Target>, round: u32) {
        let profile = self.writer.backend().profile();
        let fit = (profile.commit_bytes_max / (2 * KEY_BYTES_MAX)).min(self.writer.operations_max());
        // One key that others keep changing must not keep the rest of its commit from being removed.
        let at_once = (fit.min(REMOVALS_MAX) >> (2 * round).min(16)).max(1);
        while !targets.is_empty() && !self.failures.is_final() {
            let rest = targets.split_off(targets.len().min(at_once));
            let batch = std::mem::replace(&mut targets, rest);
            if let Err(error) = self.remove(&batch).await {
                if !is_final(&error) {
                    self.given_up.extend(batch.into_iter().map(|target| target.key));
                }
                self.failures.push(error);
            }
        }
    }

    /// One commit. After a conflict nothing was removed, and the next round looks again.
    async fn remove(&mut self, batch: &[Target]) -> Result<(), Error> {
        let remove = |draft: crate::writer::Draft, target: &Target| draft.remove(target.key.clone(), target.revision);
        let draft = batch.iter().fold(self.writer.draft()?, remove);
        if let Committed::Applied(_) = self.writer.commit(draft).await? {
            self.doomed.extend(batch.iter().filter_map(|target| target.state.clone()));
        }
        Ok(())
    }

    /// Deletes what nothing points to any more. What cannot be deleted is logged, and an orphan then.
    async fn discard(&mut self, storage: &StateStorage) {
        let discards = Discards::new(self.writer.seam().clone(), storage.clone());
        while !self.doomed.is_empty() {
            let some = self.doomed.split_off(self.doomed.len().saturating_sub(DISCARDS_AT_ONCE));
            discards.room().await;
            discards.submit(some.into_iter().map(Into::into).collect());
        }
        discards.settled().await;
    }
}

/// A pointer that cannot be read goes as well: this is the explicit end of what it was for. What it led to is an
/// orphan then.
fn target(entry: &Entry, ended: Option<JobStatus>, formats: Formats) -> Target {
    let state = match places::state_in(entry, ended, formats) {
        Ok(Some((state, goes))) => goes.then_some(state),
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(key = %entry.key, ?error, "removing a pointer that cannot be read; its state is an orphan");
            None
        }
    };
    Target { key: entry.key.clone(), revision: entry.revision, state }
}
