use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ha_core::backend::Ended;
use ha_core::seam::{Deadline, Moment};
use tokio::sync::watch;

/// What a session's owner reads without I/O and without a lock.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Up to when the agent's check passes; nanoseconds after the clock's origin.
    check_until: AtomicU64,
    /// Up to when the servers keep the session.
    session_until: AtomicU64,
    ended: watch::Sender<Option<Ended>>,
}

impl Cell {
    pub(crate) fn new(check_until: Option<Moment>, session_until: Moment) -> Self {
        Self {
            check_until: AtomicU64::new(check_until.map_or(u64::MAX, nanos)),
            session_until: AtomicU64::new(nanos(session_until)),
            ended: watch::Sender::new(None),
        }
    }

    /// The agent acknowledged a heartbeat that was sent so long before.
    pub(crate) fn check_passes_until(&self, moment: Moment) {
        self.check_until.fetch_max(nanos(moment), Ordering::AcqRel);
    }

    /// The servers acknowledged a renewal.
    pub(crate) fn session_lives_until(&self, moment: Moment) {
        self.session_until.fetch_max(nanos(moment), Ordering::AcqRel);
    }

    /// The sooner of both: either alone ends the session. An agent that is cut off from its servers
    /// acknowledges heartbeats for ever, and servers renew a session whose process is gone from its agent.
    pub(crate) fn valid_until(&self) -> Deadline {
        if self.ended.borrow().is_some() {
            return Deadline::at(Moment::ORIGIN);
        }
        let until = self.check_until.load(Ordering::Acquire).min(self.session_until.load(Ordering::Acquire));
        Deadline::at(Moment::after_origin(Duration::from_nanos(until)))
    }

    /// Ends it, for the first reason that is given.
    pub(crate) fn end(&self, why: Ended) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        });
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let result = ended.wait_for(Option::is_some).await;
        // The sender lives in `self`.
        result.map_or(Ended::Closed, |ended| ended.unwrap_or(Ended::Closed))
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since_origin().as_nanos()).unwrap_or(u64::MAX)
}
