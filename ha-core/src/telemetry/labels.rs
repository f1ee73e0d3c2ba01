//! What things are called in labels. Every set is closed: what is not foreseen is `other`.

use super::Label;
use crate::backend::{Ended, Latch, Outcome};
use crate::election::LossReason;
use crate::names::layout;
use crate::{ComponentId, Error, ErrorKind};

pub(super) const LATCH: Label = Label { name: "latch", values: &["process", "independent", "other"] };
pub(super) const ATTEMPT: Label = Label { name: "outcome", values: &["won", "held", "refused", "error"] };
pub(super) const REASON: Label = Label {
    name: "reason",
    values: &[
        "resigned",
        "deadline_passed",
        "session_closed",
        "session_expired",
        "session_revoked",
        "evicted",
        "fenced",
        "asked_to_step_down",
        "outdated",
    ],
};
pub(super) const SESSION_END: Label =
    Label { name: "reason", values: &["closed", "expired", "revoked", "deadline_passed"] };
pub(super) const COMPONENT: Label =
    Label { name: "component", values: &["dispatcher", "job_master", "resource_manager", "rest_server", "other"] };
pub(super) const SUCCESS: Label = Label { name: "outcome", values: &["ok", "error"] };
pub(super) const WATCH: Label = Label { name: "watch", values: &["leader", "plans"] };
pub(super) const WAKE_UP: Label = Label { name: "result", values: &["news", "nothing", "reread", "missed"] };
pub(super) const COMMIT: Label =
    Label { name: "outcome", values: &["applied", "conflict", "fenced", "indeterminate", "error", "dropped"] };
pub(super) const RESOLUTION: Label =
    Label { name: "resolution", values: &["applied", "fenced", "unresolved", "dropped"] };
pub(super) const STORE: Label = Label { name: "store", values: &["checkpoints", "plans"] };
pub(super) const STEP: Label = Label { name: "step", values: &["list", "load"] };
pub(super) const STATE_OPERATION: Label = Label { name: "operation", values: &["write", "read", "discard"] };
pub(super) const STATE_OUTCOME: Label =
    Label { name: "outcome", values: &["ok", "missing", "corrupt", "denied", "error"] };
pub(super) const STATE_DIRECTION: Label = Label { name: "operation", values: &["write", "read"] };
pub(super) const CLEANUP: Label = Label { name: "outcome", values: &["clean", "retried", "given_up", "stopped"] };
pub(super) const PROOF: Label = Label { name: "proof", values: &["answers", "took_again", "accused_us"] };
pub(super) const BACKEND: Label = Label { name: "backend", values: &[] };
pub(super) const CALL: Label = Label {
    name: "operation",
    values: &["read", "list", "changed", "commit", "open_session", "acquire", "release", "close_session", "close"],
};
pub(super) const CALL_OUTCOME: Label =
    Label { name: "outcome", values: &["ok", "applied", "conflict", "fenced", "won", "held", "error"] };

/// Which kind of latch: there is one for the process, and there may be thousands of independent ones.
pub(crate) fn latch(latch: &Latch) -> &'static str {
    match layout::latch_name(latch) {
        Some(None) => "process",
        Some(Some(_)) => "independent",
        None => "other",
    }
}

/// Which component, but not which job.
pub(crate) fn component(component: &ComponentId) -> &'static str {
    match component.as_str() {
        "dispatcher" => "dispatcher",
        "resource_manager" => "resource_manager",
        "rest_server" => "rest_server",
        name if name.starts_with("job-") => "job_master",
        _ => "other",
    }
}

/// Why a leadership is over.
pub(crate) fn loss(why: LossReason) -> &'static str {
    match why {
        LossReason::Resigned => "resigned",
        LossReason::DeadlinePassed => "deadline_passed",
        LossReason::SessionEnded(Ended::Closed) => "session_closed",
        LossReason::SessionEnded(Ended::Expired) => "session_expired",
        LossReason::SessionEnded(Ended::Revoked) => "session_revoked",
        LossReason::Evicted => "evicted",
        LossReason::Fenced => "fenced",
        LossReason::AskedToStepDown => "asked_to_step_down",
        LossReason::Outdated => "outdated",
    }
}

/// Why a session is over.
pub(crate) fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Closed => "closed",
        Ended::Expired => "expired",
        Ended::Revoked => "revoked",
    }
}

/// What became of a commit.
pub(crate) fn commit(outcome: &Result<Outcome, Error>) -> &'static str {
    match outcome {
        Ok(Outcome::Applied { .. }) => "applied",
        Ok(Outcome::Conflict { .. }) => "conflict",
        Ok(Outcome::Fenced) => "fenced",
        Err(error) if error.kind() == ErrorKind::Fenced => "fenced",
        Err(error) if error.may_have_applied() => "indeterminate",
        Err(_) => "error",
    }
}

/// What was found out about a commit whose answer was lost.
pub(crate) fn resolution(outcome: &Result<Outcome, Error>) -> &'static str {
    match outcome {
        Ok(Outcome::Applied { .. }) => "applied",
        Ok(Outcome::Fenced) => "fenced",
        // A conflict is never what an unknown outcome is resolved to.
        Ok(Outcome::Conflict { .. }) | Err(_) => "unresolved",
    }
}

/// How a call of the state storage went.
pub(crate) fn state<T>(result: &Result<T, Error>) -> &'static str {
    match result.as_ref().map_err(Error::kind) {
        Ok(_) => "ok",
        Err(ErrorKind::StateMissing) => "missing",
        Err(ErrorKind::Corrupt) => "corrupt",
        Err(ErrorKind::Denied) => "denied",
        Err(_) => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobId;

    #[test]
    fn a_thousand_job_masters_are_one_value_of_a_label() {
        let job = JobId::new("1f2e").unwrap();
        assert_eq!(component(&ComponentId::job_master(&job).unwrap()), "job_master");
        let own = [ComponentId::dispatcher(), ComponentId::resource_manager(), ComponentId::rest_server()];
        for id in &own {
            assert_eq!(component(id), id.as_str());
            assert!(COMPONENT.values.contains(&id.as_str()));
        }
        assert_eq!(component(&ComponentId::new("shard-17").unwrap()), "other");
    }
}
