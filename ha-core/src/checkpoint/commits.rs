//! The commits of the store for completed checkpoints, and what is done with their answers.

use std::sync::Arc;

use super::discarder::Files;
use super::held::{Doubt, Held, State};
use super::pointer::{Found, Pointer};
use super::{CompletedCheckpoint, DefaultCompletedCheckpointStore};
use crate::backend::{Entry, Expect, Key};
use crate::discard::Doomed;
use crate::names::layout;
use crate::state::{Origin, StateHandle};
use crate::writer::{Committed, Draft};
use crate::{Error, ErrorKind, JobStatus};

/// How often an add is made anew because a pointer that it subsumes was not as expected. The last
/// attempt subsumes nothing, so it cannot fail for that reason.
const ATTEMPTS: usize = 8;

impl DefaultCompletedCheckpointStore {
    /// A draft under the leadership that the store was recovered under.
    pub(super) fn draft(&self) -> Result<Draft, Error> {
        let draft = self.writer.draft()?;
        let (kind, why) = match self.epoch {
            Some(epoch) if epoch == draft.epoch() => return Ok(draft),
            // Race: leadership is lost and won again while the store lives; another leader may have
            //       added and removed checkpoints in between.
            // Closed by: only writes under the epoch of the recovery.
            // Cost if missed: an add that subsumes by a list that is no longer true.
            Some(epoch) => (ErrorKind::Fenced, format!("recovered under epoch {epoch}, now it is {}", draft.epoch())),
            None => (ErrorKind::NotLeader, "recovered without a leadership".into()),
        };
        Err(Error::new(kind, "write checkpoints").at(&self.job).because(format!("{why}; recover the store anew")))
    }

    /// What the state of this checkpoint is named after. All commits of this store are under the epoch of its
    /// recovery, so that it need not be pinned any further.
    pub(super) fn origin(&self, checkpoint: &CompletedCheckpoint) -> Result<Origin, Error> {
        self.draft().map(drop)?;
        let origin = self.writer.pin()?.origin();
        Ok(if checkpoint.is_never_retained() { origin } else { origin.kept() })
    }

    pub(super) fn key(&self, id: u64) -> Key {
        layout::checkpoint(&self.job, id)
    }

    /// Sends a commit. If it is not answered, or this future is dropped, the doubt remains.
    pub(super) async fn send(&self, state: &mut State, draft: Draft, doubt: Doubt) -> Result<Committed, Error> {
        state.doubt = Some(doubt);
        let sent = self.writer.commit(draft).await;
        if !matches!(&sent, Err(error) if error.may_have_applied()) {
            state.doubt = None;
        }
        sent
    }

    /// One commit that adds the pointer and removes the subsumed as far as they fit. Returns what
    /// was removed.
    pub(super) async fn commit_add(
        &self,
        state: &mut State,
        checkpoint: &Arc<CompletedCheckpoint>,
        handle: &StateHandle,
    ) -> Result<Vec<Held>, Error> {
        let (key, pointer) = (self.key(checkpoint.id), Pointer::new(checkpoint, handle.clone()));
        for attempt in 1..=ATTEMPTS {
            let mut ids = match attempt < ATTEMPTS {
                true => state.subsumed_by(checkpoint, self.options.retained_max),
                false => Vec::new(),
            };
            ids.truncate(self.writer.operations_max() - 1);
            let removed = state.copies(&ids);
            let mut draft = self.draft()?.put(key.clone(), Expect::Absent, &pointer)?;
            for held in &removed {
                draft = draft.remove(self.key(held.checkpoint.id), held.revision);
            }
            let added = Some((Arc::clone(checkpoint), handle.clone()));
            match self.send(state, draft, Doubt { added, removed }).await? {
                Committed::Applied(revisions) => {
                    let Some(revision) = revisions.first().copied() else {
                        // Against the contract. It is applied all the same, so nothing may be deleted.
                        let added = Some((Arc::clone(checkpoint), handle.clone()));
                        state.doubt = Some(Doubt { added, removed: state.copies(&ids) });
                        return Err(Error::new(ErrorKind::Indeterminate, "add checkpoint").at(&key).because(
                            "the backend answered no revision; the store is read again before the next call",
                        ));
                    };
                    let held = Held { checkpoint: Arc::clone(checkpoint), handle: handle.clone(), revision };
                    state.insert(held);
                    return Ok(state.forget(&ids));
                }
                Committed::Conflict { key: conflicting, .. } if conflicting == key => break,
                Committed::Conflict { key, found } => self.adjust(state, &ids, &key, found.as_ref()),
            }
        }
        Err(self.already_exists(checkpoint.id))
    }

    pub(super) fn already_exists(&self, id: u64) -> Error {
        Error::new(ErrorKind::AlreadyExists, "add checkpoint")
            .at(self.key(id))
            .because("the id is in use; take the ids from the job's counter")
    }

    /// A pointer that was to be removed is not as we know it.
    pub(super) fn adjust(&self, state: &mut State, ids: &[u64], key: &Key, found: Option<&Entry>) {
        let Some(id) = ids.iter().copied().find(|id| self.key(*id) == *key) else { return };
        let now = found.and_then(|entry| Found::decode(entry, self.writer.formats()).ok());
        match (state.held.get_mut(&id), now) {
            (Some(held), Some(now)) if now.pointer.state == held.handle => held.revision = now.revision,
            _ => {
                // Gone, or another's now. Neither it nor its data is ours to remove.
                tracing::warn!(%key, gone = found.is_none(), "a retained checkpoint was changed by somebody else");
                state.forget(&[id]);
            }
        }
    }

    /// Removes the subsumed that did not fit into the commit of the add, and returns the newest of
    /// them. What fails is made up for by the next add.
    pub(super) async fn trim(
        &self,
        state: &mut State,
        added: &CompletedCheckpoint,
    ) -> Option<Arc<CompletedCheckpoint>> {
        let (mut newest, mut attempts) = (None, ATTEMPTS);
        while attempts > 0 {
            let mut ids = state.subsumed_by(added, self.options.retained_max);
            ids.truncate(self.writer.operations_max());
            if ids.is_empty() {
                break;
            }
            match self.remove(state, &ids).await {
                Ok(held) if held.is_empty() => attempts -= 1,
                Ok(held) => {
                    // Oldest first, within a commit and from one to the next.
                    newest = held.last().map(|held| Arc::clone(&held.checkpoint));
                    self.discard(held);
                }
                Err(error) => {
                    tracing::warn!(job = %self.job, %error, "subsumed checkpoints were not removed; the next add tries again");
                    break;
                }
            }
        }
        newest
    }

    /// One commit that removes these pointers. Returns what was removed: all, or after a conflict
    /// nothing, and then what we know was corrected.
    pub(super) async fn remove(&self, state: &mut State, ids: &[u64]) -> Result<Vec<Held>, Error> {
        let removed = state.copies(ids);
        let mut draft = self.draft()?;
        for held in &removed {
            draft = draft.remove(self.key(held.checkpoint.id), held.revision);
        }
        match self.send(state, draft, Doubt { added: None, removed }).await? {
            Committed::Applied(_) => Ok(state.forget(ids)),
            Committed::Conflict { key, found } => {
                self.adjust(state, ids, &key, found.as_ref());
                Ok(Vec::new())
            }
        }
    }

    pub(super) async fn remove_all(&self, state: &mut State, status: JobStatus) -> Result<(), Error> {
        // What is stored decides, not what we remember: a pointer may have appeared after a doubt.
        let below = layout::checkpoints(&self.job);
        self.writer.bar_late_creations(&self.draft()?, |key| below.relative(key).is_some()).await?;
        self.synchronise(state).await?;
        // Each round removes some, or corrects one; so it ends, unless somebody else keeps writing.
        let rounds_max = 2 * state.held.len() + ATTEMPTS;
        for _ in 0..rounds_max {
            let ids: Vec<u64> = state.held.keys().copied().take(self.writer.operations_max()).collect();
            if ids.is_empty() {
                return Ok(());
            }
            let mut removed = self.remove(state, &ids).await?;
            removed.retain(|held| held.checkpoint.is_discarded_on(status));
            self.discard(removed);
        }
        Err(Error::new(ErrorKind::Conflict, "remove checkpoints")
            .at(&self.job)
            .because("somebody else keeps changing them; nothing more was removed"))
    }

    /// Deletes the data of these in the background. Their pointers are definitely removed.
    pub(super) fn discard(&self, removed: Vec<Held>) {
        let doomed = removed.into_iter().filter(|held| held.checkpoint.is_discarded_when_subsumed());
        let doomed = doomed.map(|held| {
            let discarder = Arc::clone(&self.options.discarder);
            let files = Files { discarder, checkpoint: held.checkpoint };
            Doomed { handle: held.handle, before: Some(Box::new(files)) }
        });
        self.discards.submit(doomed.collect());
    }
}
