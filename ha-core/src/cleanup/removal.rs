use std::collections::{BTreeMap, BTreeSet};

use super::failures::{Failures, is_final};
use super::places::{self, Place};
use crate::backend::{Entry, Expect, KEY_BYTES_MAX, Key, Prefix, Revision};
use crate::discard::Discards;
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
    /// The result that the removal is for: it goes on only while exactly this write of it stands.
    result: Option<(Key, Revision)>,
    /// That write stands no more.
    superseded: bool,
}

impl<'a> Removal<'a> {
    /// `writer` is pinned: all is removed under one leadership.
    pub(super) fn new(writer: &'a Writer, extent: Extent<'a>) -> Self {
        let (failures, given_up, doomed) = (Failures::default(), BTreeSet::new(), Vec::new());
        Self { writer, extent, failures, given_up, doomed, result: None, superseded: false }
    }

    /// The same, only while that write of the job's result stands.
    // Race: somebody else, in this process, finishes the clean-up, and the job is submitted again, while this one is
    //       between two steps.
    // Closed by: each commit checks the result, in the same atomic step, if a commit of this backend takes as much.
    // Cost if missed: the plan and the checkpoints of a job that runs are removed.
    pub(super) fn while_stands(self, result: Key, revision: Revision) -> Self {
        Self { result: Some((result, revision)), ..self }
    }

    /// Takes every step, whatever became of the others, and ends early only with the leadership.
    pub(super) async fn run(mut self, storage: &StateStorage) -> Failures {
        if let Err(error) = self.bar_late_creations().await {
            self.failures.push(error);
        }
        let mut round = 0;
        while !self.is_over() {
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
        // Whoever has superseded this one may be writing there.
        if !self.superseded {
            storage
                .forget_empty_folders(match self.extent {
                    Extent::Job(job) => Some(job),
                    Extent::Cluster => None,
                })
                .await;
        }
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
        // A key that looks like a latch's, where there is none, is a foreign program's: no commit may write it, nor any
        // that also writes others.
        entries.retain(|entry| !entry.key.is_reserved());
        entries.iter().filter_map(|entry| self.target(entry, ended)).collect()
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
                Place::LeaderInformation { latch } if places::is_of_present_leader(&all, entry, &latch, formats) => {
                    return None;
                }
                Place::Plan(job) | Place::Checkpoint(job) | Place::Counter(job) | Place::Blob(job) => Some(job),
                Place::Strange | Place::LeaderInformation { .. } => None,
            };
            Some((entry, job.and_then(|job| ended.get(job.as_str()).copied())))
        });
        let chosen: Vec<_> = chosen.collect();
        chosen.into_iter().filter_map(|(entry, ended)| self.target(entry, ended)).collect()
    }

    /// What to remove of that entry; `None` if it is not for this version to remove.
    ///
    /// A pointer that is damaged goes as well: this is the explicit end of what it was for. What it led to is an
    /// orphan then. One in a newer format is not damaged; a version that knows it removes it with its state.
    fn target(&mut self, entry: &Entry, ended: Option<JobStatus>) -> Option<Target> {
        let state = match places::state_in(entry, ended, self.writer.formats()) {
            Ok(Some((state, goes))) => (goes && places::is_its_own(entry, &state)).then_some(state),
            Ok(None) => None,
            Err(error) if error.kind() == ErrorKind::NewerFormat => {
                if self.given_up.insert(entry.key.clone()) {
                    let why = "it is of a newer format; it stays: upgrade this process, or let a newer one lead";
                    self.failures
                        .push(Error::new(error.kind(), "clean up").at(&entry.key).because(why).caused_by(error));
                }
                return None;
            }
            Err(error) => {
                tracing::warn!(key = %entry.key, ?error, "removing a pointer that cannot be read; its state is an orphan");
                None
            }
        };
        Some(Target { key: entry.key.clone(), revision: entry.revision, state })
    }

    async fn remove_all(&mut self, mut targets: Vec<Target>, round: u32) {
        let profile = self.writer.backend().profile();
        let fit = (profile.commit_bytes_max / (2 * KEY_BYTES_MAX)).min(self.writer.operations_max());
        // One key that others keep changing must not keep the rest of its commit from being removed.
        let fit = fit.saturating_sub(usize::from(self.result.is_some()));
        let mut at_once = (fit.min(REMOVALS_MAX) >> (2 * round).min(16)).max(1);
        while !targets.is_empty() && !self.is_over() {
            let rest = targets.split_off(targets.len().min(at_once));
            let mut batch = std::mem::replace(&mut targets, rest);
            match self.remove(&batch).await {
                Ok(()) => {}
                // One of them is not to be written by us, whatever the reason: that must not keep the others.
                Err(error) if batch.len() > 1 && is_of_one_key(&error) => {
                    batch.append(&mut targets);
                    (targets, at_once) = (batch, 1);
                }
                Err(error) => {
                    if !is_final(&error) {
                        self.given_up.extend(batch.into_iter().map(|target| target.key));
                    }
                    self.failures.push(error);
                }
            }
        }
    }

    /// Nothing more can, or may, be removed.
    fn is_over(&self) -> bool {
        self.superseded || self.failures.is_final()
    }

    /// One commit. After a conflict nothing was removed, and the next round looks again.
    async fn remove(&mut self, batch: &[Target]) -> Result<(), Error> {
        let remove = |draft: crate::writer::Draft, target: &Target| draft.remove(target.key.clone(), target.revision);
        let mut draft = batch.iter().fold(self.writer.draft()?, remove);
        let has_room = draft.operations() < self.writer.backend().profile().commit_operations_max;
        if let Some((result, revision)) = self.result.clone().filter(|_| has_room) {
            draft = draft.check(result, Expect::Revision(revision));
        }
        match (self.writer.commit(draft).await?, &self.result) {
            (Committed::Applied(_), _) => self.doomed.extend(batch.iter().filter_map(|target| target.state.clone())),
            (Committed::Conflict { key, .. }, Some((result, _))) if key == *result => {
                self.superseded = true;
                return Err(Error::new(ErrorKind::Conflict, "clean up")
                    .at(key)
                    .because("the result of the job was changed meanwhile; nothing more was removed"));
            }
            (Committed::Conflict { .. }, _) => {}
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

/// Whether the commit was refused for one of its keys, and not for something that all have in common.
fn is_of_one_key(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::TooLarge)
}
