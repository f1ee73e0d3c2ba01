//! What happens, in the words of those to whom it happens. Nothing here knows the facade.

use std::time::Duration;

use super::emit::{add, count, observe, set};
use super::{Stopwatch, labels, names};
use crate::backend::{Acquire, Ended, Latch};
use crate::election::LossReason;
use crate::seam::Seam;
use crate::{ComponentId, Error};

pub(crate) fn campaign(latch: &Latch) {
    count(&names::ELECTION_CAMPAIGNS, &[labels::latch(latch)], 1);
}

pub(crate) fn attempted(latch: &Latch, answer: &Result<Acquire, Error>) {
    let outcome = match answer {
        Ok(Acquire::Won(_)) => "won",
        Ok(Acquire::Held { .. }) => "held",
        Err(_) => "error",
    };
    count(&names::ELECTION_ATTEMPTS, &[labels::latch(latch), outcome], 1);
}

pub(crate) fn attempt_refused(latch: &Latch) {
    count(&names::ELECTION_ATTEMPTS, &[labels::latch(latch), "refused"], 1);
}

pub(crate) fn election_error(latch: &Latch) {
    count(&names::ELECTION_ERRORS, &[labels::latch(latch)], 1);
}

pub(crate) fn granted(latch: &Latch, epoch: u64) {
    let kind = labels::latch(latch);
    count(&names::LEADERSHIPS_WON, &[kind], 1);
    add(&names::LATCHES_LED, &[kind], 1.0);
    // Epochs of thousands of independent latches have nothing in common, and would be as many series.
    if kind == "process" {
        set(&names::LEADER_EPOCH, &[], epoch as f64);
    }
}

pub(crate) fn leadership_over(latch: &Latch, why: LossReason) {
    let kind = labels::latch(latch);
    count(&names::LEADERSHIPS_LOST, &[kind, labels::loss(why)], 1);
    add(&names::LATCHES_LED, &[kind], -1.0);
}

pub(crate) fn session_opened() {
    count(&names::SESSIONS_OPENED, &[], 1);
    add(&names::SESSIONS_OPEN, &[], 1.0);
}

/// `None`: its deadline passed.
pub(crate) fn session_ended(how: Option<Ended>) {
    count(&names::SESSIONS_ENDED, &[how.map_or("deadline_passed", labels::ended)], 1);
    add(&names::SESSIONS_OPEN, &[], -1.0);
}

/// `None`: silence does not end the session.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "called by what samples sessions, which is not there"))]
pub(super) fn session_sampled(left: Option<Duration>, silence: Duration) {
    set(&names::SESSION_VALID, &[], left.map_or(f64::INFINITY, |left| left.as_secs_f64()));
    let age = left.map_or(Duration::ZERO, |left| silence.saturating_sub(left));
    set(&names::SESSION_RENEWAL_AGE, &[], age.as_secs_f64());
}

#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "called by what samples sessions, which is not there"))]
pub(super) fn no_session() {
    set(&names::SESSION_VALID, &[], 0.0);
    set(&names::SESSION_RENEWAL_AGE, &[], 0.0);
}

pub(crate) fn release_retried() {
    count(&names::RELEASE_RETRIES, &[], 1);
}

pub(crate) fn published<T>(component: &ComponentId, result: &Result<T, Error>) {
    let outcome = if result.is_ok() { "ok" } else { "error" };
    count(&names::PUBLICATIONS, &[labels::component(component), outcome], 1);
}

pub(crate) fn publication_restored(component: &ComponentId) {
    count(&names::PUBLICATIONS_RESTORED, &[labels::component(component)], 1);
}

/// A look at what is followed: whether it was for a wake-up or after a silence, and whether anything was new.
pub(crate) fn looked(watch: &'static str, woken: bool, news: bool) {
    let result = match (woken, news) {
        (true, true) => "news",
        (true, false) => "nothing",
        (false, true) => "missed",
        (false, false) => "reread",
    };
    count(&names::WATCH_WAKE_UPS, &[watch, result], 1);
}

pub(crate) fn watch_failed(watch: &'static str) {
    count(&names::WATCH_FAILURES, &[watch], 1);
}

pub(crate) fn write_fenced(latch: &Latch) {
    count(&names::FENCED_WRITES, &[labels::latch(latch)], 1);
}

pub(super) fn commit_over(outcome: &'static str, seconds: f64) {
    observe(&names::COMMIT_SECONDS, &[outcome], seconds);
}

pub(super) fn outcome_found_out(resolution: &'static str, seconds: f64) {
    observe(&names::UNKNOWN_OUTCOME_SECONDS, &[resolution], seconds);
}

pub(crate) fn recovery_step(store: &'static str, step: &'static str, since: Stopwatch, seam: &Seam) {
    observe(&names::RECOVERY_SECONDS, &[store, step], since.seconds(seam));
}

pub(crate) fn recovered(store: &'static str, states: usize) {
    count(&names::RECOVERED_STATES, &[store], states as u64);
}

/// A call of the state storage, and how many bytes it moved if it succeeded.
pub(crate) async fn state_call<T>(
    seam: &Seam,
    operation: &'static str,
    call: impl Future<Output = Result<T, Error>>,
    bytes: impl FnOnce(&T) -> u64,
) -> Result<T, Error> {
    let began = Stopwatch::start(seam);
    let result = call.await;
    observe(&names::STATE_SECONDS, &[operation, labels::state(&result)], began.seconds(seam));
    if let Ok(done) = &result
        && operation != "discard"
    {
        count(&names::STATE_BYTES, &[operation], bytes(done));
    }
    result
}

pub(super) fn held(store: &'static str, states: i64, bytes: i64) {
    add(&names::HELD_STATES, &[store], states as f64);
    add(&names::HELD_BYTES, &[store], bytes as f64);
}

pub(crate) fn discard_given_up() {
    count(&names::DISCARDS_GIVEN_UP, &[], 1);
}

pub(crate) fn cleanup(outcome: &'static str) {
    count(&names::CLEANUPS, &[outcome], 1);
}

pub(crate) fn orphans_collected(orphans: usize) {
    count(&names::ORPHANS_COLLECTED, &[], orphans as u64);
}

#[cfg(feature = "presence")]
pub(crate) fn presence_seen() {
    count(&names::PRESENCE_HANDSHAKES, &[], 1);
}

#[cfg(feature = "presence")]
pub(crate) fn evidence_found() {
    count(&names::PRESENCE_EVIDENCE, &[], 1);
}

#[cfg(feature = "presence")]
pub(crate) fn taken_over() {
    count(&names::PRESENCE_TAKEOVERS, &[], 1);
}

#[cfg(feature = "presence")]
pub(crate) fn suspicion_wrong(proof: &'static str) {
    count(&names::PRESENCE_WRONG_SUSPICIONS, &[proof], 1);
}

/// A call of a metered backend; without a duration if it waits by its nature.
#[cfg(feature = "metrics")]
pub(crate) fn backend_call(
    backend: &'static str,
    operation: &'static str,
    outcome: &'static str,
    took: Option<Duration>,
) {
    count(&names::BACKEND_CALLS, &[backend, operation, outcome], 1);
    if let Some(took) = took {
        observe(&names::BACKEND_CALL_SECONDS, &[backend, operation], took.as_secs_f64());
    }
}
