//! What an answer without success means, and above all: whether what was asked for may have been done.
//!
//! Consul has one status, 500, for a request that certainly was not applied, for one that may have been, and for
//! one that can never be. Only the text tells, so a text that is not known here is taken for "may have been
//! applied". A text is known by its beginning, after what agents put before it when they pass an error on: texts
//! of others (a page of something in between) and texts that quote a key begin otherwise.

use super::failure::FailureKind;

/// What an agent puts before the error of the server that it passed a request to.
const PASSED_ON: &str = "rpc error making call: ";

/// One text of Consul.
struct Known {
    status: &'static [u16],
    begins: &'static str,
    kind: FailureKind,
    /// How it is known that nothing was applied, and what to do.
    why: &'static str,
}

const fn known(status: &'static [u16], begins: &'static str, kind: FailureKind, why: &'static str) -> Known {
    Known { status, begins, kind, why }
}

/// All texts that are known. None of them says "may have been applied": that is what every other text means, for
/// example `leadership lost while committing log` (the entry may still be committed by the next leader), `EOF`,
/// `stream closed` and `i/o timeout` (the server that it was passed to may have applied it), `raft is already
/// shutdown` (the entry may have been appended before).
const KNOWN: &[Known] = {
    use FailureKind::{Denied, Invalid, NoSession, NotDone};
    const ERROR: &[u16] = &[500];
    &[
        // No leader: Consul itself sends such a request again, for "no state could have been changed".
        known(ERROR, "No cluster leader", NotDone, "nothing was applied, for nobody could; try again later"),
        known(
            ERROR,
            "Raft leader not found in server lookup mapping",
            NotDone,
            "it was passed to nobody; try again later",
        ),
        known(ERROR, "No known Consul servers", NotDone, "the agent knows no server to pass it to; try again later"),
        known(ERROR, "No path to datacenter", NotDone, "it was passed to nobody; is the datacenter right?"),
        // The connection to the server that it should have been passed to was never made.
        known(
            ERROR,
            "rpc error getting client: failed to get conn",
            NotDone,
            "it was passed to nobody; try again later",
        ),
        known(ERROR, "failed to get conn", NotDone, "it was passed to nobody; try again later"),
        // Refused by the log before it was appended to it.
        known(ERROR, "node is not the leader", NotDone, "it was not put into the log; try again later"),
        known(ERROR, "leadership transfer in progress", NotDone, "it was not put into the log; try again later"),
        known(ERROR, "timed out enqueuing operation", NotDone, "it was not put into the log; try again later"),
        known(&[429, 500, 503], "rate limit exceeded", NotDone, "the servers' rate limit; try again later"),
        known(&[429, 500, 503], "RPC rate limit exceeded", NotDone, "the agent's rate limit; try again later"),
        // Refused by the state machine, or before.
        known(ERROR, "Missing node registration", NotDone, "the agent has not told its servers of itself yet"),
        known(ERROR, "Missing check", NotDone, "the agent has not told its servers of the check yet"),
        known(ERROR, "invalid session \"", NoSession, "the session is over"),
        known(&[404], "Session id '", NoSession, "the session is over"),
        known(ERROR, "Invalid Session TTL", Invalid, "see `session_ttl_min` of the servers"),
        known(ERROR, "Invalid Behavior setting", Invalid, "this Consul does not know it"),
        known(ERROR, "strconv.", Invalid, "this Consul does not understand the request"),
        known(ERROR, "failed session lookup: index error", Invalid, "this is no session of Consul's"),
        // Access is looked at before anything else. Behind another server it is a 500.
        known(ERROR, "Permission denied", Denied, "correct the token's policy"),
        known(ERROR, "ACL not found", Denied, "the token is not known (any more); give another one"),
        known(&[403], "ACL not found", Denied, "the token is not known (any more); give another one"),
        known(&[403], "Permission denied", Denied, "correct the token's policy"),
    ]
};

/// What an answer without success means, and what to do about it.
pub(super) fn verdict(status: u16, text: &str) -> (FailureKind, &'static str) {
    use FailureKind::{Denied, Invalid, NotDone, TooLarge, Unknown};
    let mut own = text.trim_start();
    while let Some(rest) = own.strip_prefix(PASSED_ON) {
        own = rest;
    }
    let fits = |known: &&Known| known.status.contains(&status) && own.starts_with(known.begins);
    if let Some(known) = KNOWN.iter().find(fits) {
        return (known.kind, known.why);
    }
    match status {
        400 => (Invalid, "Consul does not understand the request"),
        401 | 403 => (Denied, "correct the token and its policy"),
        404 | 405 => (NotDone, "is this the address of a Consul agent?"),
        413 => (TooLarge, "larger than this agent's limits allow"),
        429 => (NotDone, "the agent's rate limit; try again later"),
        300..=399 => (NotDone, "redirects are not followed; give the address that it leads to"),
        200..=299 => (Unknown, "not the answer of a Consul agent; check the address"),
        _ => (Unknown, "it may have been applied"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_answer_says_whether_it_may_have_been_applied() {
        use FailureKind::{Denied, Invalid, NoSession, NotDone, TooLarge, Unknown};
        let table = [
            (403, "Permission denied", Denied),
            (403, "ACL not found", Denied),
            (403, "<html>Forbidden</html>", Denied),
            (500, "rpc error making call: Permission denied", Denied),
            (500, "rpc error making call: rpc error making call: ACL not found", Denied),
            (404, "404 page not found", NotDone),
            (405, "method POST not allowed", NotDone),
            (301, "", NotDone),
            (307, "", NotDone),
            (400, "Failed to parse body: unexpected EOF", Invalid),
            (413, "Request body(524289 bytes) too large, max size: 524288 bytes.", TooLarge),
            (413, "Transaction contains too many operations (65 > 64)", TooLarge),
            (429, "", NotDone),
            (503, "rate limit exceeded, try again later", NotDone),
            (503, "<html>Service Unavailable</html>", Unknown),
            (500, "No cluster leader", NotDone),
            (500, "rpc error making call: No cluster leader", NotDone),
            (500, "rpc error making call: node is not the leader", NotDone),
            (500, "rpc error getting client: failed to get conn: dial tcp: connection refused", NotDone),
            (500, "leadership lost while committing log", Unknown),
            (500, "rpc error making call: leadership lost while committing log", Unknown),
            (500, "rpc error making call: EOF", Unknown),
            (500, "rpc error making call: stream closed", Unknown),
            (500, "raft is already shutdown", Unknown),
            (500, "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]", Invalid),
            (500, "failed session lookup: index error: UUID must be 36 characters", Invalid),
            (500, "Missing check 'nope' registration", NotDone),
            (500, "invalid session \"b569ce74\"", NoSession),
            (404, "Session id '8ec0' not found", NoSession),
            (502, "<html>Bad Gateway</html>", Unknown),
            (504, "", Unknown),
            (204, "", Unknown),
            (500, "something never seen before", Unknown),
            (500, "", Unknown),
        ];
        for (status, text, expected) in table {
            assert_eq!(verdict(status, text).0, expected, "{status} {text}");
        }
    }

    #[test]
    fn what_quotes_a_known_text_or_has_another_status_is_not_taken_for_it() {
        use FailureKind::{Denied, NotDone, Unknown};
        let table = [
            (500, "failed to set key \"No cluster leader\": EOF", Unknown),
            (502, "No cluster leader", Unknown),
            (500, "<html>node is not the leader</html>", Unknown),
            // Of what stands in between. Taken for the end of the session it would end a leadership.
            (403, "<html>Session id 'x' has expired, log in again</html>", Denied),
            (404, "<html>Session id 'x' not found</html>", NotDone),
            (500, "your invalid session \"x\"", Unknown),
        ];
        for (status, text, expected) in table {
            assert_eq!(verdict(status, text).0, expected, "{status} {text}");
        }
    }
}
