use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};
use tracing::Instrument;

use super::held::{Phase, State};
use super::pointer::{self, Found};
use super::{CheckpointDiscarder, CheckpointOrigin, CompletedCheckpoint, CompletedCheckpointStore, RecoveryClaimMode};
use crate::backend::Name;
use crate::discard::Discards;
use crate::names::layout;
use crate::state::StateStorage;
use crate::telemetry::record as measured;
use crate::writer::Writer;
use crate::{Error, ErrorKind, JobId, JobStatus};

/// How a [`DefaultCompletedCheckpointStore`] behaves.
#[derive(Debug, Clone)]
pub struct CheckpointStoreOptions {
    /// How many checkpoints are retained; at least 1.
    pub retained_max: usize,
    /// Who owns a snapshot that the job is restored from.
    pub claim_mode: RecoveryClaimMode,
    /// Deletes the application's own files.
    pub discarder: Arc<dyn CheckpointDiscarder>,
}

/// The [`CompletedCheckpointStore`] on a backend and a state storage.
///
/// It keeps the retained checkpoints in memory, states included, and reads nothing while all goes
/// well: an add is one write of state and one fenced commit.
///
/// A pointer whose creation stayed unknown although the backend answered the reads that followed
/// may still appear later. It leads to intact state, the next recovery finds it, and a shutdown
/// removes it; until then it is not in the list.
///
/// ```
/// # use ha_core::backend::{Acquire, Backend, Latch, Prefix, Session, SessionOptions};
/// # use ha_core::election::Grant;
/// # use ha_core::{resolve::Committer, seam::Seam};
/// use std::sync::Arc;
/// use ha_core::JobId;
/// use ha_core::checkpoint::{
///     CheckpointKind, CheckpointStoreOptions, CompletedCheckpoint, CompletedCheckpointStore,
///     DefaultCompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
/// };
/// use ha_core::state::StateStorage;
/// use ha_core::writer::{Authority, Writer};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(ha_embedded::Embedded::new(seam.clone()).connect());
/// # let session: Arc<dyn Session> = backend.open_session(&SessionOptions::default()).await?.into();
/// # let latch = Latch::below(&Prefix::new("leader")?);
/// # let Acquire::Won(term) = session.try_acquire(&latch, "me".into(), None).await? else { panic!() };
/// # let grant = Grant::hold(&seam, session, latch, term);
/// # let committer = Committer::new(backend, seam.clone());
/// // `grant` is the leadership that this process has won.
/// let writer = Writer::new(committer, Authority::Leader(grant));
/// let storage = StateStorage::open("memory://", seam)?;
/// let options = CheckpointStoreOptions {
///     retained_max: 1,
///     claim_mode: RecoveryClaimMode::NoClaim,
///     discarder: Arc::new(DiscardStateOnly),
/// };
/// let store = DefaultCompletedCheckpointStore::recover(&JobId::new("job-1")?, writer, storage, options).await?;
/// for id in [1, 2] {
///     let checkpoint = CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, "state".into());
///     store.add_checkpoint_and_subsume_oldest_one(checkpoint).await?;
/// }
/// assert_eq!(store.get_latest_checkpoint_id().await?, 2);
/// assert_eq!(store.number_of_retained_checkpoints().await?, 1);
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct DefaultCompletedCheckpointStore {
    pub(super) job: JobId,
    folder: [Name; 2],
    pub(super) writer: Writer,
    storage: StateStorage,
    pub(super) options: CheckpointStoreOptions,
    /// The epoch of the leadership at recovery: what was read then is true under no other.
    pub(super) epoch: Option<u64>,
    pub(super) discards: Discards,
    state: Mutex<State>,
}

impl DefaultCompletedCheckpointStore {
    /// Recovers the job's checkpoints: one list, then all states, several at a time.
    ///
    /// It reads only, so it needs no leadership; but a store that was recovered without one, or
    /// under another one than the current, adds nothing. More than the quota may be found; the
    /// next add trims them.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: a quota of 0.
    /// * [`ErrorKind::Corrupt`], [`ErrorKind::NewerFormat`], [`ErrorKind::StateMissing`]: an entry
    ///   cannot be read. The text names it and says what to do. None is skipped, none deleted.
    /// * [`ErrorKind::Unavailable`], [`ErrorKind::Denied`], [`ErrorKind::Storage`]: try again. `Unavailable` also if a
    ///   leader, beside which this reads, subsumes checkpoints faster than they are loaded.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn recover(
        job: &JobId,
        writer: Writer,
        storage: StateStorage,
        options: CheckpointStoreOptions,
    ) -> Result<Self, Error> {
        if options.retained_max == 0 {
            return Err(Error::new(ErrorKind::Invalid, "recover checkpoints")
                .at(job)
                .because("a quota of 0 retained checkpoints; at least 1 is needed to recover from"));
        }
        // Before the list: what is listed is then at least as new as this epoch.
        let epoch = writer.draft().ok().map(|draft| draft.epoch());
        let span = tracing::info_span!("recover", %job, epoch);
        let held = pointer::recover(&writer, &storage, job, |_| None).instrument(span).await?;
        tracing::info!(%job, epoch, checkpoints = held.len(), latest = held.last().map_or(0, |h| h.checkpoint.id), "checkpoints recovered");
        let folder = layout::states(layout::CHECKPOINT_STATES, job);
        let discards = Discards::new(writer.seam().clone(), storage.clone());
        let state = Mutex::new(State::new(held));
        Ok(Self { job: job.clone(), folder, writer, storage, options, epoch, discards, state })
    }

    async fn open(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.state.lock().await;
        if state.phase != Phase::Open {
            return Err(Error::new(ErrorKind::Closed, operation)
                .at(&self.job)
                .because("the checkpoint store was shut down; recover another one"));
        }
        if state.doubt.is_some() {
            self.synchronise(&mut state).await?;
        }
        Ok(state)
    }

    /// Reads the store anew and ends the doubt. On failure nothing changes.
    pub(super) async fn synchronise(&self, state: &mut State) -> Result<(), Error> {
        let added = state.doubt.as_ref().and_then(|doubt| doubt.added.as_ref());
        let known = |found: &Found| {
            let held = state.held.get(&found.id).filter(|held| held.handle == found.pointer.state);
            let added =
                added.filter(|(checkpoint, handle)| checkpoint.id == found.id && *handle == found.pointer.state);
            held.map(|held| &held.checkpoint).or(added.map(|(checkpoint, _)| checkpoint)).map(Arc::clone)
        };
        let held = pointer::recover(&self.writer, &self.storage, &self.job, known).await?;
        let applied = added.is_some_and(|(checkpoint, handle)| {
            held.iter().any(|held| held.checkpoint.id == checkpoint.id && held.handle == *handle)
        });
        state.replace(held);
        // The handle that we added is stored: that commit was applied, and with it its removals.
        // A commit that only removes leaves no such proof, so its data stays as orphans.
        let doubt = state.doubt.take();
        self.discard(doubt.filter(|_| applied).map(|doubt| doubt.removed).unwrap_or_default());
        Ok(())
    }
}

#[async_trait]
impl CompletedCheckpointStore for DefaultCompletedCheckpointStore {
    async fn add_checkpoint_and_subsume_oldest_one(
        &self,
        checkpoint: CompletedCheckpoint,
    ) -> Result<Option<Arc<CompletedCheckpoint>>, Error> {
        checkpoint.validate()?;
        if matches!(checkpoint.origin, CheckpointOrigin::Restored(mode) if mode != self.options.claim_mode) {
            return Err(Error::new(ErrorKind::Invalid, "add checkpoint")
                .at(self.key(checkpoint.id))
                .because(format!("restored under another claim mode than {:?}", self.options.claim_mode)));
        }
        // Looked at before state is written in vain; the commit decides. The lock is not held while
        // state is written: who restores a job meanwhile must not wait for an upload.
        if self.open("add checkpoint").await?.held.contains_key(&checkpoint.id) {
            return Err(self.already_exists(checkpoint.id));
        }
        let origin = self.origin(&checkpoint)?;
        // Slow deletions must not pile up without bound.
        self.discards.room().await;
        let checkpoint = Arc::new(checkpoint);
        let write = self.storage.write_as(&origin, &self.folder, checkpoint.state.clone());
        let handle = measured::state_call(self.writer.seam(), "write", write, |handle| handle.length).await?;
        let added = match self.open("add checkpoint").await {
            Ok(mut state) => {
                let added = self.commit_add(&mut state, &checkpoint, &handle).await;
                added.map(|removed| (state, removed))
            }
            Err(error) => Err(error),
        };
        let (mut state, removed) = match added {
            Ok(added) => added,
            Err(error) => {
                if !error.may_have_applied() {
                    self.discards.submit(vec![handle.into()]);
                }
                return Err(error);
            }
        };
        // Oldest first, as all lists of them here.
        let first = removed.last().map(|held| Arc::clone(&held.checkpoint));
        self.discard(removed);
        Ok(self.trim(&mut state, &checkpoint).await.or(first))
    }

    async fn get_all_checkpoints(&self) -> Result<Vec<Arc<CompletedCheckpoint>>, Error> {
        let state = self.open("read checkpoints").await?;
        Ok(state.held.values().map(|held| Arc::clone(&held.checkpoint)).collect())
    }

    async fn get_latest_checkpoint(&self) -> Result<Option<Arc<CompletedCheckpoint>>, Error> {
        let state = self.open("read checkpoints").await?;
        Ok(state.held.values().next_back().map(|held| Arc::clone(&held.checkpoint)))
    }

    async fn number_of_retained_checkpoints(&self) -> Result<usize, Error> {
        Ok(self.open("read checkpoints").await?.held.len())
    }

    fn max_number_of_retained_checkpoints(&self) -> usize {
        self.options.retained_max
    }

    fn claim_mode(&self) -> RecoveryClaimMode {
        self.options.claim_mode
    }

    fn requires_externalized_checkpoints(&self) -> bool {
        true
    }

    fn outstanding_discards(&self) -> usize {
        self.discards.outstanding()
    }

    async fn discards_settled(&self) {
        self.discards.settled().await;
    }

    async fn shutdown(&self, status: JobStatus) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        if state.phase == Phase::Closed {
            return Ok(());
        }
        state.phase = Phase::Closing;
        if status.is_globally_terminal() {
            // A deposed leader is told so even if there is nothing to remove.
            self.draft().map(drop)?;
            self.remove_all(&mut state, status).await?;
        }
        state.phase = Phase::Closed;
        state.replace(Vec::new());
        state.doubt = None;
        drop(state);
        if status.is_globally_terminal() {
            self.discards.settled().await;
        }
        Ok(())
    }
}
