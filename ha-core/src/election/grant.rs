use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use crate::backend::{Ended, Fence, Latch, Session, Term};
use crate::formats::{Basis, Formats};
use crate::seam::{Deadline, Seam};
use crate::{Error, ErrorKind};

/// Why a leadership is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// It was given up by its holder.
    Resigned,
    /// The local deadline passed without an acknowledged renewal.
    DeadlinePassed,
    /// The session that the latch was held on is over.
    SessionEnded(Ended),
    /// The latch is held by somebody else, or was changed by somebody foreign.
    Evicted,
    /// The store refused a write because the term is over.
    Fenced,
    /// The cluster's format was raised above what this version knows; see [`formats`](crate::formats).
    Outdated,
    /// An operator asked for it: a planned hand-over; see [`StepDown`](super::StepDown).
    AskedToStepDown,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resigned => "resigned",
            Self::DeadlinePassed => "no renewal was acknowledged before the deadline",
            Self::SessionEnded(Ended::Closed) => "the session was closed",
            Self::SessionEnded(Ended::Expired) => "the session expired",
            Self::SessionEnded(Ended::Revoked) => "the session was ended from outside",
            Self::Evicted => "the latch was taken away",
            Self::Fenced => "a write was fenced",
            Self::AskedToStepDown => "an operator asked it to step down",
            Self::Outdated => "the cluster's format is beyond this version",
        })
    }
}

/// One leadership as this process holds it: the term, its deadline, and whether it is over.
///
/// Clones are the same grant. It is over for good once [`Grant::loss`] says why; whoever asks for
/// a [`Fence`] after that, or past the deadline, gets an error instead. Those who run an election
/// of their own can make one with [`Grant::hold`].
#[derive(Clone)]
pub struct Grant {
    inner: Arc<Inner>,
}

struct Inner {
    fence: Fence,
    session_id: Uuid,
    session: Arc<dyn Session>,
    seam: Seam,
    lost: watch::Sender<Option<LossReason>>,
    /// What is written under it, and after which check.
    basis: Basis,
}

impl Grant {
    /// The leadership that `session` has just won on `latch` under `term`, with a fresh session id. It writes
    /// the [oldest format](Formats::oldest) of this version, whatever the cluster writes.
    #[must_use]
    pub fn hold(seam: &Seam, session: Arc<dyn Session>, latch: Latch, term: Term) -> Self {
        Self::hold_as(seam.uuid(), seam, session, latch, term, Basis::unread(Formats::SUPPORTED.oldest()))
    }

    /// As [`Grant::hold`], with that session id, by what was read of the cluster's format under that term.
    pub(crate) fn hold_as(
        session_id: Uuid,
        seam: &Seam,
        session: Arc<dyn Session>,
        latch: Latch,
        term: Term,
        basis: Basis,
    ) -> Self {
        let inner = Inner {
            fence: Fence { latch, term },
            session_id,
            session,
            seam: seam.clone(),
            lost: watch::Sender::new(None),
            basis,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What it goes by when it writes.
    pub(crate) fn basis(&self) -> &Basis {
        &self.inner.basis
    }

    /// The latch and the term.
    #[must_use]
    pub fn latch(&self) -> &Latch {
        &self.inner.fence.latch
    }

    /// The fencing token: strictly greater than that of every earlier term of the latch.
    ///
    /// A term is the hold of one process on the latch, and its components have it in common: while one of them keeps
    /// the latch, another that resigns and campaigns again gets the same term, and the same epoch. So of two equal
    /// epochs, both are of one life of one process, and a component's epoch stays the same only over a resignation
    /// of its own. Two leaderships of one component under one term are not fenced from each other: end what works
    /// under a leadership before resigning it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.fence.term.epoch
    }

    /// The term.
    #[must_use]
    pub fn term(&self) -> &Term {
        &self.inner.fence.term
    }

    /// Flink's leader session id: random, one per grant, good only for comparing. All zeros where no
    /// election is held.
    #[must_use]
    pub fn session_id(&self) -> Uuid {
        self.inner.session_id
    }

    /// Up to when silence cannot have given the latch to another.
    #[must_use]
    pub fn valid_until(&self) -> Deadline {
        match self.loss() {
            Some(_) => Deadline::PAST,
            None => self.inner.session.valid_until(),
        }
    }

    /// Whether it holds as far as this process can know. Reads a clock; no I/O, no runtime.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.valid_until().is_past(self.inner.seam.now())
    }

    /// Why it is over; `None` while it is not.
    #[must_use]
    pub fn loss(&self) -> Option<LossReason> {
        *self.inner.lost.borrow()
    }

    /// Waits until it is over. Many may wait.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn lost(&self) -> LossReason {
        let mut lost = self.inner.lost.subscribe();
        let result = lost.wait_for(Option::is_some).await;
        // The sender lives in `self`, so the channel cannot be closed while we wait.
        result.map_or(LossReason::Resigned, |lost| lost.unwrap_or(LossReason::Resigned))
    }

    /// Ends it. Only the first reason counts.
    pub fn end(&self, why: LossReason) {
        self.inner.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            lost.get_or_insert(why);
            first
        });
    }

    /// The guard for a commit under this leadership.
    ///
    /// # Errors
    /// [`ErrorKind::NotLeader`]: it is over, or past its deadline. Nothing was sent.
    pub fn fence(&self) -> Result<Fence, Error> {
        let not_leader = |why: &dyn fmt::Display| {
            Err(Error::new(ErrorKind::NotLeader, "write")
                .at(self.latch())
                .because(format!("epoch {}: {why}", self.epoch())))
        };
        match self.loss() {
            Some(why) => not_leader(&why),
            None if !self.is_valid() => not_leader(&LossReason::DeadlinePassed),
            None => Ok(self.inner.fence.clone()),
        }
    }
}

impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Grant {}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("latch", self.latch())
            .field("term", self.term())
            .field("session_id", &self.session_id())
            .field("loss", &self.loss())
            .finish_non_exhaustive()
    }
}
