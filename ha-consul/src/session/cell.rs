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

    /// The agent acknowledged a heartbeat, which makes its check pass until then.
    pub(crate) fn check_passes_until(&self, moment: Moment, now: Moment) {
        self.extend(&self.check_until, moment, now);
    }

    /// The servers acknowledged a renewal, which keeps the session until then.
    pub(crate) fn session_lives_until(&self, moment: Moment, now: Moment) {
        self.extend(&self.session_until, moment, now);
    }

    // Race: a process that stood still hears, when it goes on, that its heartbeat was acknowledged. It may
    //       have reached the agent after the check had failed and the session with it: an agent makes a
    //       check pass again and says so, and knows nothing of sessions.
    // Closed by: only what is heard before the deadline moves it. Until then neither check nor session can
    //       have run out, so what was acknowledged was alive.
    // Cost if missed: a leader that calls itself valid for one more silence, while another leads.
    fn extend(&self, which: &AtomicU64, until: Moment, now: Moment) {
        if !self.valid_until().is_past(now) {
            which.fetch_max(nanos(until), Ordering::AcqRel);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after_origin(Duration::from_millis(ms))
    }

    #[test]
    fn the_deadline_is_the_sooner_of_check_and_session() {
        let cell = Cell::new(Some(at(1_000)), at(10_000));
        cell.check_passes_until(at(2_000), at(900));
        assert_eq!(cell.valid_until().moment(), at(2_000));
        cell.check_passes_until(at(20_000), at(1_900));
        assert_eq!(cell.valid_until().moment(), at(10_000));
        cell.check_passes_until(at(3_000), at(1_950));
        assert_eq!(cell.valid_until().moment(), at(10_000), "an older acknowledgement takes nothing back");
    }

    #[test]
    fn what_is_acknowledged_after_the_deadline_does_not_bring_a_session_back() {
        // Fails if a process that slept through its deadline counts itself as alive once a heartbeat is answered.
        let cell = Cell::new(Some(at(1_000)), at(10_000));
        cell.check_passes_until(at(2_500), at(1_500));
        assert_eq!(cell.valid_until().moment(), at(1_000));
        cell.session_lives_until(at(60_000), at(1_500));
        assert_eq!(cell.valid_until().moment(), at(1_000));
    }

    #[test]
    fn a_session_that_has_ended_is_valid_no_more_and_keeps_its_first_reason() {
        let cell = Cell::new(None, at(10_000));
        cell.end(Ended::Revoked);
        cell.end(Ended::Closed);
        assert_eq!(cell.valid_until().moment(), Moment::ORIGIN);
        assert_eq!(*cell.ended.borrow(), Some(Ended::Revoked));
    }
}
