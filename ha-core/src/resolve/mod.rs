//! The one place where commits are sent, and where an unknown outcome is resolved.
//!
//! A commit whose answer was lost may have been applied, may not have been, or may still be on
//! its way. What can be found out is found out here, once, by one rule; no service and no backend
//! has a rule of its own.
//!
//! 1. One commit per key at a time per process.
//! 2. Unknown → the identical commit is sent again until it is answered or the budget ends.
//!    `Applied` → applied: the expectations exclude both copies.
//! 3. `Conflict` → the keys are read: one put carries our write id → applied; only removals, and
//!    all are absent → applied; else unknown.
//! 4. `Fenced` → the keys are read: our write id → applied; a key still at the revision that it was to
//!    lose → not applied, finally, for a broken guard never heals; else unknown. Absence proves
//!    nothing: a key that we created may have been removed by the next leader.
//! 5. "Not applied" comes only from an answer to a commit or from a broken guard, never from a
//!    read alone.
//! 6. A commit without a guard that creates a key is not sent again: one read, else unknown.

mod barrier;
mod lanes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::{Backend, Commit, Expect, Fence, Key, Outcome, Revision};
use crate::formats::Formats;
use crate::record::write_id_of;
use crate::seam::{Moment, Seam};
use crate::telemetry::{CommitUnderWay, ResolutionUnderWay};
use crate::{Error, ErrorKind};

use barrier::Barriers;
#[cfg(feature = "fuzzing")]
pub(crate) use barrier::Raised;
use lanes::Lanes;

/// The first pause between two tries to find out; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long it is tried to find out what became of a commit.
const BUDGET: Duration = Duration::from_secs(10);

/// How often a commit is made anew because only the barrier had moved under it.
const BARRIER_RETRIES: usize = 4;

/// Sends commits and resolves unknown outcomes. One per process and backend; shared by all
/// services, because the rule holds only if all commits for a key go through one of them.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::backend::{Backend, Commit, Expect, Key, Outcome};
/// # use ha_core::{resolve::Committer, seam::Seam};
/// # async fn example(backend: Arc<dyn Backend>) -> Result<(), ha_core::Error> {
/// let seam = Seam::system();
/// let committer = Committer::new(backend, seam.clone());
/// let commit = Commit::new(seam.write_id())
///     .put(Key::new("greeting")?, Expect::Absent, "\"hello\"".into());
/// match committer.commit(commit).await? {
///     Outcome::Applied { .. } => println!("stored"),
///     Outcome::Conflict { found, .. } => println!("somebody was faster: {found:?}"),
///     Outcome::Fenced => unreachable!("the commit has no guard"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Committer {
    backend: Arc<dyn Backend>,
    seam: Seam,
    lanes: Lanes,
    barriers: Barriers,
    budget: Duration,
    formats: Formats,
    closed: AtomicBool,
}

impl Committer {
    /// A committer on that backend which tries for ten seconds to find out what became of a commit.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, seam: Seam) -> Arc<Self> {
        Self::with_budget(backend, seam, BUDGET)
    }

    /// As [`Committer::new`], trying for that long.
    #[must_use]
    pub fn with_budget(backend: Arc<dyn Backend>, seam: Seam, budget: Duration) -> Arc<Self> {
        Arc::new(Self::of(backend, seam, budget, Formats::SUPPORTED))
    }

    /// As [`Committer::new`], for a process that knows these formats.
    #[must_use]
    pub fn with_formats(backend: Arc<dyn Backend>, seam: Seam, formats: Formats) -> Arc<Self> {
        Arc::new(Self::of(backend, seam, BUDGET, formats))
    }

    fn of(backend: Arc<dyn Backend>, seam: Seam, budget: Duration, formats: Formats) -> Self {
        let (lanes, barriers, closed) = (Lanes::new(), Barriers::default(), AtomicBool::new(false));
        Self { backend, seam, lanes, barriers, budget, formats, closed }
    }

    /// The formats that this process reads and can take part in.
    #[must_use]
    pub fn formats(&self) -> Formats {
        self.formats
    }

    /// The services that it belongs to were closed: nothing more is to be written.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The backend underneath.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Time, randomness and tasks.
    #[must_use]
    pub fn seam(&self) -> &Seam {
        &self.seam
    }

    /// The most writes and checks that a caller may put into one commit.
    #[must_use]
    pub fn operations_max(&self) -> usize {
        // One is kept for the check of the barrier.
        self.backend.profile().commit_operations_max.saturating_sub(1).max(1)
    }

    /// Sends the commit and finds out what became of it. Every value it puts must carry its id.
    ///
    /// # Errors
    /// * [`ErrorKind::Indeterminate`]: not found out within the budget. It may be applied now,
    ///   later or never. Delete nothing because of it; read again before going on.
    /// * all others: nothing was applied, and nothing will be.
    ///
    /// # Cancel safety
    /// After a drop it may have been applied, or may still be, as with `Indeterminate`.
    pub async fn commit(&self, commit: Commit) -> Result<Outcome, Error> {
        let under_way = CommitUnderWay::begin(&self.seam);
        let outcome = self.commit_in_turn(commit).await;
        under_way.ended(&outcome);
        outcome
    }

    async fn commit_in_turn(&self, mut commit: Commit) -> Result<Outcome, Error> {
        let _lanes = self.lanes.enter(&commit).await;
        if commit.guard.is_none() {
            return self.send(&commit).await;
        }
        for _ in 0..BARRIER_RETRIES {
            let doubt = self.barriers.prepare(self, &mut commit).await?;
            let sent = self.send_once(&commit).await;
            let Some(doubt) = doubt else { return self.conclude(&commit, sent).await };
            match sent {
                Ok(Outcome::Conflict { key, .. }) if key == *doubt.barrier() => {
                    // Definitely not applied; the barrier was raised between our look and the
                    // commit. Look again.
                    doubt.settled_by_refusal();
                    commit.checks.retain(|(checked, _)| *checked != key);
                }
                Err(error) if error.may_have_applied() => return self.resolve(&commit, error).await,
                definite => {
                    doubt.settled();
                    return definite;
                }
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "commit")
            .because("the barrier of the leadership was raised again and again; try again"))
    }

    /// Makes sure that no copy of an earlier creation of such a key is still on its way: a key that
    /// is absent afterwards stays so until somebody creates it anew. Without a doubt there is no I/O.
    ///
    /// # Errors
    /// As [`Committer::commit`]; the doubt remains. [`ErrorKind::Fenced`]: the leadership is over.
    ///
    /// # Cancel safety
    /// After a drop the doubt may remain.
    pub async fn bar_late_creations(&self, fence: &Fence, concerns: impl Fn(&Key) -> bool) -> Result<(), Error> {
        self.barriers.raise_for(self, fence, concerns).await
    }

    /// One commit with its resolution, outside of lanes and barriers.
    async fn send(&self, commit: &Commit) -> Result<Outcome, Error> {
        let sent = self.send_once(commit).await;
        self.conclude(commit, sent).await
    }

    async fn send_once(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.backend.commit(commit).await
    }

    async fn conclude(&self, commit: &Commit, sent: Result<Outcome, Error>) -> Result<Outcome, Error> {
        match sent {
            Err(error) if error.may_have_applied() => self.resolve(commit, error).await,
            definite => definite,
        }
    }

    async fn resolve(&self, commit: &Commit, lost: Error) -> Result<Outcome, Error> {
        let epoch = commit.guard.as_ref().map(|fence| fence.term.epoch);
        tracing::debug!(write_id = %commit.id, epoch, error = %lost, "the outcome of a commit is unknown; finding out");
        let under_way = ResolutionUnderWay::begin(&self.seam);
        let outcome = self.find_out(commit, lost).await;
        under_way.ended(&outcome);
        match &outcome {
            Ok(found) => {
                let applied = matches!(found, Outcome::Applied { .. });
                tracing::debug!(write_id = %commit.id, epoch, applied, "the outcome of a commit was found out");
            }
            Err(error) => tracing::warn!(write_id = %commit.id, epoch, %error, "the outcome of a commit stays unknown"),
        }
        outcome
    }

    async fn find_out(&self, commit: &Commit, lost: Error) -> Result<Outcome, Error> {
        let creates = commit.writes.iter().any(|w| w.expect == Expect::Absent && w.value.is_some());
        let give_up = self.seam.now() + self.budget;
        let mut pause = PAUSE_MIN;
        if commit.guard.is_none() && creates {
            // Rule 6. Sending it again could bring back what another had removed meanwhile.
            return match self.look(commit, give_up).await? {
                Some(seen) if seen.ours => Ok(seen.applied()),
                _ => Err(unknown(commit, lost)),
            };
        }
        loop {
            let left = give_up.since(self.seam.now());
            if left.is_zero() {
                return Err(unknown(commit, lost));
            }
            self.seam.sleep(self.seam.jittered(pause).min(left)).await;
            pause = (pause * 2).min(PAUSE_MAX);
            let left = give_up.since(self.seam.now());
            // A call that is never answered must not hold the caller, and its lanes, for ever.
            let Some(answer) = self.seam.timeout(left, self.backend.commit(commit)).await else {
                return Err(unknown(commit, lost));
            };
            match answer {
                Ok(Outcome::Applied { revisions }) => return Ok(Outcome::Applied { revisions }),
                Ok(Outcome::Conflict { .. }) => {
                    return match self.look(commit, give_up).await? {
                        Some(seen) if seen.ours || seen.all_removed => Ok(seen.applied()),
                        _ => Err(unknown(commit, lost)),
                    };
                }
                Ok(Outcome::Fenced) => {
                    return match self.look(commit, give_up).await? {
                        Some(seen) if seen.ours => Ok(seen.applied()),
                        Some(seen) if seen.untouched => Ok(Outcome::Fenced),
                        _ => Err(unknown(commit, lost)),
                    };
                }
                Err(error) if error.may_have_applied() || error.kind() == ErrorKind::Unavailable => {}
                // This copy was refused for a reason of its own; what it says of the first is nothing.
                Err(error) => return Err(unknown(commit, error)),
            }
        }
    }

    /// Reads the keys that the commit writes; `None` if they could not be read in time.
    async fn look(&self, commit: &Commit, give_up: Moment) -> Result<Option<Seen>, Error> {
        let mut pause = PAUSE_MIN;
        loop {
            // The answer that sent us here may have come at the very end: reading gets its time still.
            let at_most = give_up.since(self.seam.now()).max(PAUSE_MAX);
            let Some(looked) = self.seam.timeout(at_most, self.look_once(commit)).await else { return Ok(None) };
            match looked {
                Ok(seen) => return Ok(Some(seen)),
                Err(error) if error.kind() == ErrorKind::Unavailable && self.seam.now() < give_up => {
                    self.seam.sleep(self.seam.jittered(pause)).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(_) => return Ok(None),
            }
        }
    }

    async fn look_once(&self, commit: &Commit) -> Result<Seen, Error> {
        let mut seen = Seen { ours: false, all_removed: true, untouched: false, revisions: Vec::new() };
        for write in &commit.writes {
            let found = self.backend.read(&write.key).await?;
            let revision = found.as_ref().map(|entry| entry.revision);
            let is_ours = write.value.is_some() && found.as_ref().and_then(write_id_of) == Some(commit.id);
            seen.ours |= is_ours;
            seen.all_removed &= write.value.is_none() && found.is_none();
            // Race: our first copy creates the key, the next leader removes it, our second copy is fenced.
            // Closed by: only a revision proves that nothing was applied, for it never comes back; one
            //            proves it for all keys, for a commit is atomic.
            // Cost if missed: an applied write is reported as refused, and the state that another
            //                 pointer leads to by now is deleted.
            seen.untouched |= matches!(write.expect, Expect::Revision(_)) && write.expect.is_met_by(revision);
            seen.revisions.push(match (write.expect, revision) {
                (_, Some(revision)) if is_ours => revision,
                (Expect::Revision(revision), _) if write.value.is_none() => revision,
                // Written by us, and by another since: a revision that no key has, so that nobody
                // goes on from a write that was never read.
                _ => Revision::from_native(0),
            });
        }
        seen.all_removed &= !commit.writes.is_empty();
        Ok(seen)
    }
}

/// What the keys of a commit looked like afterwards.
struct Seen {
    /// A value carries the commit's id: it was applied, all of it.
    ours: bool,
    /// The commit only removes, and all its keys are absent: it is as if applied.
    all_removed: bool,
    /// A key still has the revision that the commit would have replaced: nothing was applied.
    untouched: bool,
    revisions: Vec<Revision>,
}

impl Seen {
    fn applied(self) -> Outcome {
        Outcome::Applied { revisions: self.revisions }
    }
}

fn unknown(commit: &Commit, cause: Error) -> Error {
    let error = Error::new(ErrorKind::Indeterminate, "commit")
        .because(format!("write {} may have been applied; read again before going on", commit.id));
    let error = match commit.writes.first() {
        Some(write) => error.at(&write.key),
        None => error,
    };
    error.caused_by(cause)
}
