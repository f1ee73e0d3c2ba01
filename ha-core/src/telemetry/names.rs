//! Every metric of this library: one constant each, and all of them in [`METRICS`].
//!
//! ```
//! use ha_core::telemetry::{MetricKind, names};
//! assert_eq!(names::LEADERSHIPS_LOST.name, "ha_leaderships_lost_total");
//! assert!(names::METRICS.iter().all(|metric| metric.name.starts_with("ha_")));
//! let counters = names::METRICS.iter().filter(|metric| metric.kind == MetricKind::Counter);
//! assert!(counters.into_iter().all(|metric| metric.name.ends_with("_total")));
//! ```

use super::labels::{
    ATTEMPT, BACKEND, CALL, CALL_OUTCOME, CLEANUP, COMMIT, COMPONENT, LATCH, PROOF, REASON, RESOLUTION, SESSION_END,
    STATE_DIRECTION, STATE_OPERATION, STATE_OUTCOME, STEP, STORE, SUCCESS, WAKE_UP, WATCH,
};
use super::{Metric, MetricKind, MetricUnit};

macro_rules! metrics {
    ($($constant:ident: $kind:ident of $unit:ident, $name:literal [$($label:ident),*], $meaning:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $meaning)]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                unit: MetricUnit::$unit,
                labels: &[$($label),*],
                meaning: $meaning,
            };
        )*

        /// All of them, in the order in which they are documented.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    ELECTION_CAMPAIGNS: Counter of Count, "ha_election_campaigns_total" [LATCH],
        "How often this process began to contend for a latch, coming from not wanting to.";
    ELECTION_ATTEMPTS: Counter of Count, "ha_election_attempts_total" [LATCH, ATTEMPT],
        "Attempts to take a latch. `held`: somebody else has it; `refused`: won, but this version may not lead.";
    ELECTION_ERRORS: Counter of Count, "ha_election_errors_total" [LATCH],
        "Errors of an election that another attempt will not mend, such as a missing permission.";
    LEADERSHIPS_WON: Counter of Count, "ha_leaderships_won_total" [LATCH],
        "How often this process became leader.";
    LEADERSHIPS_LOST: Counter of Count, "ha_leaderships_lost_total" [LATCH, REASON],
        "How often this process ceased to lead, and why.";
    LATCHES_LED: Gauge of Count, "ha_latches_led" [LATCH],
        "How many latches this process leads on now. Of all processes of a cluster together, `process` is 1.";
    LEADER_EPOCH: Gauge of Count, "ha_leader_epoch" [],
        "The term (fencing token) that this process led under last on the process's latch; kept after a loss.";
    SESSIONS_OPENED: Counter of Count, "ha_sessions_opened_total" [],
        "Sessions opened. A process has one for all its latches.";
    SESSIONS_ENDED: Counter of Count, "ha_sessions_ended_total" [SESSION_END],
        "Sessions that are over, and why. `closed` is in order; `deadline_passed`: no renewal was acknowledged in time.";
    SESSIONS_OPEN: Gauge of Count, "ha_sessions_open" [],
        "Sessions that are open now.";
    SESSION_VALID: Gauge of Seconds, "ha_session_valid_seconds" [],
        "For how long the newest session is certainly valid without another renewal (`valid_until`): the margin. Sampled \
         all the time, so it falls while nothing renews; 0 without a session, infinite if silence ends nothing.";
    SESSION_RENEWAL_AGE: Gauge of Seconds, "ha_session_renewal_age_seconds" [],
        "How long ago the last acknowledged renewal was sent, at least. Sampled all the time, so it grows while nothing \
         renews; 0 without a session.";
    RELEASE_RETRIES: Counter of Count, "ha_release_retries_total" [],
        "How often letting go of a latch or a session failed and was tried again.";
    PRESENCE_HANDSHAKES: Counter of Count, "ha_presence_handshakes_total" [],
        "How often this process saw the identity of a leader with its own eyes.";
    PRESENCE_EVIDENCE: Counter of Count, "ha_presence_evidence_total" [],
        "How often this process found evidence that a leader is dead.";
    PRESENCE_TAKEOVERS: Counter of Count, "ha_presence_takeovers_total" [],
        "Latches that this process took on evidence, without waiting for the silence.";
    PRESENCE_WRONG_SUSPICIONS: Counter of Count, "ha_presence_wrong_suspicions_total" [PROOF],
        "How often evidence was proved wrong: the accused answered, took the latch again, or was this process.";
    PUBLICATIONS: Counter of Count, "ha_publications_total" [COMPONENT, SUCCESS],
        "Leader addresses published by this process as the leader.";
    PUBLICATIONS_RESTORED: Counter of Count, "ha_publications_restored_total" [COMPONENT],
        "Leader addresses of this process that somebody else had overwritten or removed, and that it restored.";
    WATCH_WAKE_UPS: Counter of Count, "ha_watch_wake_ups_total" [WATCH, WAKE_UP],
        "Looks at what is followed. `news`: woken, and something was new; `nothing`: woken for nothing; `reread`: read \
         anew after a silence, and nothing was missed; `missed`: it was, so a wake-up was lost or late.";
    WATCH_FAILURES: Counter of Count, "ha_watch_failures_total" [WATCH],
        "Watches that failed and were begun anew after a pause.";
    COMMIT_SECONDS: Histogram of Seconds, "ha_commit_seconds" [COMMIT],
        "From the call of a commit to its verdict, waiting for earlier commits of the same keys and finding out \
         unknown outcomes included. `dropped`: its caller gave it up, and what became of it is unknown.";
    FENCED_WRITES: Counter of Count, "ha_fenced_writes_total" [LATCH],
        "Writes of this process that the store refused because its leadership was over.";
    UNKNOWN_OUTCOME_SECONDS: Histogram of Seconds, "ha_unknown_outcome_seconds" [RESOLUTION],
        "Commits whose answer was lost: how long it took to find out, and what. `fenced`: certainly not applied; \
         `unresolved`: it stays unknown, and nothing is deleted because of it.";
    RECOVERY_SECONDS: Histogram of Seconds, "ha_recovery_seconds" [STORE, STEP],
        "Recovery of a job: reading its pointers (`list`), and loading the states that they lead to (`load`).";
    RECOVERED_STATES: Counter of Count, "ha_recovered_states_total" [STORE],
        "States that were loaded by recoveries.";
    STATE_SECONDS: Histogram of Seconds, "ha_state_seconds" [STATE_OPERATION, STATE_OUTCOME],
        "Calls of the state storage that stores and recoveries made. Reading a blob counts up to its first byte.";
    STATE_BYTES: Counter of Bytes, "ha_state_bytes_total" [STATE_DIRECTION],
        "Bytes of states written and read; of blobs, as many as their handles say.";
    HELD_BYTES: Gauge of Bytes, "ha_held_bytes" [STORE],
        "Bytes of the states that the open stores of this process hold: retained checkpoints (kept in memory as well), \
         and plans that belong to it (in the state storage alone).";
    HELD_STATES: Gauge of Count, "ha_held_states" [STORE],
        "How many states that is.";
    DISCARDS_GIVEN_UP: Counter of Count, "ha_discards_given_up_total" [],
        "States that nothing points to any more and that could not be deleted: orphans now, until they are collected.";
    CLEANUPS: Counter of Count, "ha_cleanups_total" [CLEANUP],
        "Clean-ups after jobs. `retried`: a try failed and another follows; `given_up`: the result stays dirty; \
         `stopped`: the leadership ended, and the next leader goes on.";
    ORPHANS_COLLECTED: Counter of Count, "ha_orphans_collected_total" [],
        "States without a pointer that were deleted by collecting orphans.";
    BACKEND_CALLS: Counter of Count, "ha_backend_calls_total" [BACKEND, CALL, CALL_OUTCOME],
        "Calls of the backend, where it is wrapped in `Metered`.";
    BACKEND_CALL_SECONDS: Histogram of Seconds, "ha_backend_call_seconds" [BACKEND, CALL],
        "How long they took; not for `changed`, which waits.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_what_they_count_and_in_what() {
        let unique: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(unique.len(), METRICS.len());
        for metric in METRICS {
            let name = metric.name;
            assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
            let stem = name.trim_end_matches("_total");
            assert_eq!(stem.ends_with("_seconds"), metric.unit == MetricUnit::Seconds, "{name}");
            assert_eq!(stem.ends_with("_bytes"), metric.unit == MetricUnit::Bytes, "{name}");
        }
    }

    /// Of one process, whatever it does: a label takes a value of a closed set, or the name of its one backend. What a
    /// backend's calls are labelled with is a product of which most does not occur.
    #[test]
    fn the_number_of_series_is_bounded() {
        let series = |metric: &Metric| metric.labels.iter().map(|label| label.values.len().max(1)).product::<usize>();
        assert!(METRICS.iter().map(series).sum::<usize>() <= 250);
    }
}
