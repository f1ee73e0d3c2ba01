//! One election: what others ask of it, and what they see of it. One per latch, for all components on it.

mod admission;
mod asked;
mod runner;
mod watching;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use super::info::HolderInformation;
use super::publisher::Publisher;
use super::registration::Registry;
use super::sessions::Sessions;
use super::{Grant, LossReason};
use crate::Error;
use crate::backend::Latch;
use crate::evidence::{Identity, Presence};
use crate::record;
use crate::resolve::Committer;
use crate::retrieval::follower::SharedFollower;
use crate::seam::{Seam, Task};
use crate::telemetry::record as measured;

use runner::Runner;

/// How long letting go of the latch may take before its session is given up instead.
const RELEASE_MAX: Duration = Duration::from_secs(2);

/// What others want of the elector. Level-triggered, but each resignation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Wish {
    wanted: bool,
    /// How often somebody came who wants to lead.
    wants: u64,
    resignations: u64,
}

/// Contends for one latch while somebody wants to lead.
#[derive(Debug)]
pub(super) struct Elector {
    pub(super) latch: Latch,
    pub(super) publisher: Arc<Publisher>,
    /// The grant that holds, or the last one until it is known to be over.
    current: watch::Sender<Option<Grant>>,
    /// The last error that no further attempt will mend, and how many there were.
    error: watch::Sender<(u64, Option<Error>)>,
    wish: watch::Sender<Wish>,
    /// How many of the resignations have been carried out.
    resigned: watch::Sender<u64>,
    running: Mutex<Option<Running>>,
    /// Who takes part; set once, right after this was made.
    members: OnceLock<Weak<Registry>>,
    parts: Parts,
}

/// What ends when nobody wants to lead any more.
#[derive(Debug)]
struct Running {
    runner: Task,
    _keeper: Task,
}

impl Running {
    fn is_over(&self) -> bool {
        self.runner.is_finished()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) committer: Arc<Committer>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) follower: Arc<SharedFollower>,
    /// How long a candidate of lower priority waits before each attempt.
    pub(super) handicap: Duration,
    /// The session id of every grant, where no election is held; `None`: a random one for each.
    pub(super) session_id: Option<Uuid>,
}

impl Parts {
    /// What is stored in the latch when it is taken.
    fn holder(&self, presence: Option<Presence>, took_over_from: Option<Identity>) -> Result<Bytes, Error> {
        let seam = self.committer.seam();
        let options = self.sessions.options();
        let (label, silence_ms) = (options.label.clone(), u64::try_from(options.silence.as_millis()).ok());
        let holder = HolderInformation { label, since_unix_ms: seam.unix_ms(), silence_ms, presence, took_over_from };
        // The epoch is not known before the latch is taken; the backend keeps it beside. Nor is the cluster's
        // format: the oldest is read by all who may contend beside this version.
        record::encode_in(self.committer.formats().oldest(), &holder, seam.write_id(), 0)
    }
}

impl Elector {
    pub(super) fn new(latch: Latch, parts: Parts) -> Arc<Self> {
        let (committer, follower) = (Arc::clone(&parts.committer), Arc::clone(&parts.follower));
        Arc::new(Self {
            publisher: Arc::new(Publisher::new(committer, latch.clone(), follower)),
            latch,
            current: watch::Sender::new(None),
            error: watch::Sender::new((0, None)),
            wish: watch::Sender::new(Wish::default()),
            resigned: watch::Sender::new(0),
            running: Mutex::new(None),
            members: OnceLock::new(),
            parts,
        })
    }

    pub(super) fn set_members(&self, members: Weak<Registry>) {
        // Set by the one registry that was made for this elector.
        let _ = self.members.set(members);
    }

    fn is_wanted(&self) -> bool {
        self.members.get().and_then(Weak::upgrade).is_some_and(|members| members.is_wanted())
    }

    pub(super) fn seam(&self) -> &Seam {
        self.parts.committer.seam()
    }

    pub(super) fn committer(&self) -> &Arc<Committer> {
        &self.parts.committer
    }

    pub(super) fn current(&self) -> watch::Receiver<Option<Grant>> {
        self.current.subscribe()
    }

    pub(super) fn errors(&self) -> watch::Receiver<(u64, Option<Error>)> {
        self.error.subscribe()
    }

    /// Somebody wants to lead. The first one brings the backend in.
    pub(super) fn want(self: &Arc<Self>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.wish.send_modify(|wish| {
            wish.wanted = true;
            wish.wants += 1;
        });
        // A runner that ended by itself went down with its runtime, or with a panic below it.
        if running.as_ref().is_none_or(Running::is_over) {
            let follower = self.parts.follower.get();
            *running = Some(Running {
                runner: self.seam().spawn(Runner::keep_running(Arc::clone(self), follower)),
                _keeper: self.seam().spawn(Arc::clone(&self.publisher).keep()),
            });
        }
    }

    /// Nobody wants to lead any more: gives up what is held, in the background. The number is for
    /// [`Elector::left`].
    pub(super) fn ask_to_leave(&self) -> u64 {
        self.wish.send_modify(|wish| {
            wish.wanted = false;
            wish.resignations += 1;
        });
        // Race: another component may come before the runner has looked, and find the grant valid.
        // Closed by: the grant is over from here on, after the wish that says why.
        // Cost if missed: a campaign that returns a leadership that is about to be given up.
        if let Some(grant) = self.current.borrow().as_ref() {
            grant.end(LossReason::Resigned);
        }
        self.wish.borrow().resignations
    }

    /// Returns when that resignation was carried out: the latch is free, or was left to the end of
    /// its session.
    pub(super) async fn left(&self, resignation: u64) {
        if self.running.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return;
        }
        let mut resigned = self.resigned.subscribe();
        // No answer: the runner is gone, and the session with it.
        let _ = self.seam().timeout(RELEASE_MAX * 2, resigned.wait_for(|done| *done >= resignation)).await;
    }

    /// Drops everything at once; the session ends in the background.
    pub(super) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(running);
        self.revoke(LossReason::Resigned);
    }

    fn revoke(&self, why: LossReason) {
        let mut over = None;
        // In one step, so that a grant that comes just now is not removed without being ended.
        self.current.send_modify(|current| {
            over = current.take();
            over.iter().for_each(|grant| grant.end(why));
        });
        if let Some(grant) = over {
            let (epoch, session_id) = (grant.epoch(), grant.session_id());
            let reason = grant.loss().unwrap_or(why);
            tracing::info!(latch = %self.latch, epoch, %session_id, %reason, "leadership over");
            measured::leadership_over(&self.latch, reason);
            self.publisher.forget(&grant);
        }
    }
}
