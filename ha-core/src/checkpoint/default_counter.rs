use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::{CHECKPOINT_ID_MAX, CheckpointIdCounter};
use crate::backend::{Entry, Expect, Key};
use crate::formats::Formats;
use crate::names::layout;
use crate::record::{self, Body};
use crate::writer::{Committed, Writer};
use crate::{Error, ErrorKind, JobId, JobStatus};

/// How often a step is tried again because another writer of the same leadership was faster. Each
/// conflict means that the other one got on, so only one that never pauses can use this up.
const CONFLICTS_MAX: usize = 64;
/// After this many conflicts in a row there is a pause before the next attempt. Two instances that
/// never pause fall into step, and then always the same one is too late.
const CONFLICTS_AT_ONCE: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// What is stored: the id to hand out next.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) next: u64,
}

impl Body for Count {
    const KIND: &'static str = "checkpoint_id_counter";
}

/// The id that a counter's entry hands out next.
pub(crate) fn next_in(entry: &Entry, formats: Formats) -> Result<u64, Error> {
    let advice = "nothing was changed: find the largest id among the job's checkpoints, and restore a counter above it";
    let record = record::decode_within::<Count>(entry, formats).map_err(|error| {
        Error::new(error.kind(), "read checkpoint id counter").at(&entry.key).because(advice).caused_by(error)
    })?;
    let next = record.body.next;
    if (1..=CHECKPOINT_ID_MAX).contains(&next) {
        return Ok(next);
    }
    Err(Error::new(ErrorKind::Corrupt, "read checkpoint id counter")
        .at(&entry.key)
        .because(format!("a count of {next}, possible are 1 to {CHECKPOINT_ID_MAX}; {advice}")))
}

/// The counter as it stood when we last knew, and what to expect of it in the next commit.
#[derive(Debug, Clone, Copy)]
struct Known {
    next: u64,
    expect: Expect,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    /// `None`: read it first.
    known: Option<Known>,
    /// No id below this is handed out again by this instance, whatever the store says.
    floor: u64,
}

impl State {
    // Race: an operator, or another instance that ended the job, removes the record or puts an old
    //       one back between two of our steps.
    // Closed by: this instance goes on from the ids that it has handed out itself.
    // Cost if missed: an id is given twice, and a checkpoint's files are written over by another's.
    fn not_below_floor(&self, mut known: Known) -> Known {
        if known.next < self.floor {
            tracing::warn!(
                stored = known.next,
                floor = self.floor,
                "the checkpoint id counter went back; it is not followed"
            );
            known.next = self.floor;
        }
        known
    }
}

/// The [`CheckpointIdCounter`] on a backend: one record, and a step is one fenced commit.
///
/// The revision of the record is remembered, so that nothing is read before a step but the first
/// and one after a doubt. Several instances for one job are correct (each commit expects the
/// revision it counted from), but one is faster.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::backend::{Acquire, Backend, Latch, Prefix, Session, SessionOptions};
/// # use ha_core::election::Grant;
/// # use ha_core::{resolve::Committer, seam::Seam};
/// use ha_core::JobId;
/// use ha_core::checkpoint::{CheckpointIdCounter, DefaultCheckpointIdCounter};
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
/// let counter = DefaultCheckpointIdCounter::new(&JobId::new("job-1")?, writer);
/// counter.start().await?;
/// assert_eq!(counter.get_and_increment().await?, 1);
/// assert_eq!(counter.get_and_increment().await?, 2);
/// assert_eq!(counter.get().await?, 3);
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct DefaultCheckpointIdCounter {
    key: Key,
    writer: Writer,
    state: Mutex<State>,
}

impl DefaultCheckpointIdCounter {
    /// The counter of that job. No I/O.
    #[must_use]
    pub fn new(job: &JobId, writer: Writer) -> Self {
        Self { key: layout::checkpoint_id_counter(job), writer, state: Mutex::default() }
    }

    async fn started(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock().await;
        if state.started {
            return Ok(state);
        }
        Err(Error::new(ErrorKind::IllegalState, operation).at(&self.key).because("start the counter first"))
    }

    async fn read(&self) -> Result<Known, Error> {
        self.known_from(self.writer.backend().read(&self.key).await?.as_ref())
    }

    fn known_from(&self, found: Option<&Entry>) -> Result<Known, Error> {
        let Some(entry) = found else { return Ok(Known { next: 1, expect: Expect::Absent }) };
        let next = self.decode(entry)?;
        Ok(Known { next, expect: Expect::Revision(entry.revision) })
    }

    fn decode(&self, entry: &Entry) -> Result<u64, Error> {
        next_in(entry, self.writer.formats())
    }

    /// Moves the counter to `to(count)` in one commit, and returns what it was before.
    async fn advance(&self, state: &mut State, to: impl Fn(u64) -> Result<u64, Error>) -> Result<u64, Error> {
        for conflicts in 0..CONFLICTS_MAX {
            if conflicts >= CONFLICTS_AT_ONCE {
                let seam = self.writer.seam();
                seam.sleep(seam.jittered(PAUSE)).await;
                state.known = None;
            }
            let draft = self.writer.draft()?;
            // Race: this future may be dropped, or its answer lost, after the commit was sent.
            // Closed by: what we know is taken out before sending and put back only after a
            //            definite answer, so the next step reads the store first.
            // Cost if missed: none in ids, for the commit expects the revision it counts from;
            //                 but a needless conflict.
            let known = match state.known.take() {
                Some(known) => known,
                None => self.read().await?,
            };
            let known = state.not_below_floor(known);
            let next = to(known.next).inspect_err(|_| state.known = Some(known))?;
            let draft = draft.put(self.key.clone(), known.expect, &Count { next })?;
            match self.writer.commit(draft).await {
                Ok(Committed::Applied(revisions)) => {
                    state.floor = next;
                    state.known = revisions.first().map(|r| Known { next, expect: Expect::Revision(*r) });
                    return Ok(known.next);
                }
                Ok(Committed::Conflict { found, .. }) => state.known = Some(self.known_from(found.as_ref())?),
                Err(error) => {
                    if !error.may_have_applied() {
                        state.known = Some(known);
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "advance checkpoint id counter")
            .at(&self.key)
            .because("others moved it at every attempt; nothing was written, try again"))
    }

    async fn remove(&self) -> Result<(), Error> {
        // Taken first, so that a deposed leader is told so even if there is nothing to remove.
        let mut draft = self.writer.draft()?;
        self.writer.bar_late_creations(&draft, |key| *key == self.key).await?;
        let mut found = self.writer.backend().read(&self.key).await?;
        for _ in 0..CONFLICTS_MAX {
            let Some(entry) = found else { return Ok(()) };
            // What cannot be read is not deleted: it may not be what we think it is.
            self.decode(&entry)?;
            match self.writer.commit(draft.remove(self.key.clone(), entry.revision)).await? {
                Committed::Applied(_) => return Ok(()),
                Committed::Conflict { found: now, .. } => found = now,
            }
            draft = self.writer.draft()?;
        }
        Err(Error::new(ErrorKind::Conflict, "remove checkpoint id counter")
            .at(&self.key)
            .because("others moved it at every attempt: somebody still works on this job"))
    }
}

#[async_trait]
impl CheckpointIdCounter for DefaultCheckpointIdCounter {
    async fn start(&self) -> Result<(), Error> {
        self.state.lock().await.started = true;
        Ok(())
    }

    async fn shutdown(&self, status: JobStatus) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        *state = State::default();
        if status.is_globally_terminal() {
            self.remove().await?;
        }
        Ok(())
    }

    async fn get_and_increment(&self) -> Result<u64, Error> {
        let mut state = self.started("next checkpoint id").await?;
        let one_more = |next: u64| {
            if next < CHECKPOINT_ID_MAX {
                return Ok(next + 1);
            }
            Err(Error::new(ErrorKind::Exhausted, "next checkpoint id")
                .at(&self.key)
                .because(format!("the count is {next}, the largest there is; start the job under a new id")))
        };
        self.advance(&mut state, one_more).await
    }

    async fn get(&self) -> Result<u64, Error> {
        let mut state = self.started("read checkpoint id counter").await?;
        let known = state.not_below_floor(self.read().await?);
        state.known = Some(known);
        Ok(known.next)
    }

    async fn set_count(&self, next: u64) -> Result<(), Error> {
        let mut state = self.started("set checkpoint id counter").await?;
        let invalid =
            |why: String| Error::new(ErrorKind::Invalid, "set checkpoint id counter").at(&self.key).because(why);
        if !(1..=CHECKPOINT_ID_MAX).contains(&next) {
            return Err(invalid(format!("{next}; possible are 1 to {CHECKPOINT_ID_MAX}")));
        }
        let forward = |stored: u64| match next < stored {
            true => {
                Err(invalid(format!("{next} is below the stored count of {stored}: ids would be handed out again")))
            }
            false => Ok(next),
        };
        self.advance(&mut state, forward).await.map(drop)
    }
}
