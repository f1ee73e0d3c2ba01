use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::failure::{Failure, FailureKind};

/// The most of a foreign text that is shown in an error, in characters.
const SHOWN_MAX: usize = 200;

/// What Consul answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `X-Consul-Index`, where there is one.
    pub(crate) index: Option<u64>,
    pub(crate) body: Bytes,
}

/// Texts of a 500 that say that the request was refused before it was put into the log.
///
/// Consul has one status for a request that certainly was not applied, for one that may have been,
/// and for one that is malformed. Only the text tells, so a text that is not known here is taken for
/// "may have been applied".
const NOT_APPLIED: &[&str] = &[
    "No cluster leader",
    "node is not the leader",
    "failed to get conn",
    "No path to datacenter",
    "leadership transfer in progress",
    "Missing node registration",
    "Raft leader not found in server lookup mapping",
];
/// Texts of a 500 that say that the request can never succeed as it is.
const MALFORMED: &[&str] =
    &["Invalid Session TTL", "Invalid Behavior setting", "strconv.", "session lookup: index error"];
/// Texts of a session that is not there (any more).
const NO_SESSION: &[&str] = &["invalid session", "Session id"];
/// Texts of a missing permission, with a status that does not say so.
const DENIED: &[&str] = &["Permission denied", "ACL not found"];

impl Answer {
    /// Decodes a 200. What cannot be decoded did not come from a Consul that we understand.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let why = format!("not the answer of a Consul agent ({error}): {}; check the address", self.shown());
            Failure::new(FailureKind::Unknown, why)
        })
    }

    /// Passes a 200 on, and says of everything else what it means.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        if self.status == 200 { Ok(self) } else { Err(self.failure()) }
    }

    pub(crate) fn failure(&self) -> Failure {
        let text = String::from_utf8_lossy(&self.body);
        let says = |texts: &[&str]| texts.iter().any(|known| text.contains(known));
        let (kind, what) = match self.status {
            _ if says(DENIED) => (FailureKind::Denied, "correct the token's policy"),
            401 | 403 => (FailureKind::Denied, "correct the token and its policy"),
            _ if says(NO_SESSION) => (FailureKind::NoSession, "the session is not known to Consul"),
            400 => (FailureKind::Invalid, "Consul does not understand the request"),
            413 => (FailureKind::TooLarge, "larger than this agent's limits allow"),
            429 => (FailureKind::NotDone, "the agent's rate limit; try again later"),
            404 | 405 => (FailureKind::NotDone, "is this the address of a Consul agent?"),
            500 if says(MALFORMED) => (FailureKind::Invalid, "Consul does not understand the request"),
            500 if says(NOT_APPLIED) => (FailureKind::NotDone, "nothing was applied; try again later"),
            _ => (FailureKind::Unknown, "it may have been applied"),
        };
        Failure::new(kind, format!("status {}: {}; {what}", self.status, self.shown()))
    }

    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect();
        format!("{:?}", line.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &'static str) -> FailureKind {
        Answer { status, index: None, body: Bytes::from_static(body.as_bytes()) }.failure().kind
    }

    #[test]
    fn every_known_answer_says_whether_it_may_have_been_applied() {
        use FailureKind::{Denied, Invalid, NoSession, NotDone, TooLarge, Unknown};
        let table = [
            (403, "Permission denied", Denied),
            (403, "ACL not found", Denied),
            (500, "rpc error making call: Permission denied", Denied),
            (404, "404 page not found", NotDone),
            (405, "method POST not allowed", NotDone),
            (400, "Failed to parse body: unexpected EOF", Invalid),
            (413, "Request body(524289 bytes) too large, max size: 524288 bytes.", TooLarge),
            (413, "Transaction contains too many operations (65 > 64)", TooLarge),
            (429, "", NotDone),
            (500, "No cluster leader", NotDone),
            (500, "rpc error making call: node is not the leader", NotDone),
            (500, "rpc error getting client: failed to get conn: dial tcp: connection refused", NotDone),
            (500, "leadership lost while committing log", Unknown),
            (500, "rpc error making call: EOF", Unknown),
            (500, "rpc error making call: stream closed", Unknown),
            (500, "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]", Invalid),
            (500, "invalid session \"b569ce74\"", NoSession),
            (404, "Session id '8ec0' not found", NoSession),
            (502, "<html>Bad Gateway</html>", Unknown),
            (500, "something never seen before", Unknown),
        ];
        for (status, body, expected) in table {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_answer_of_something_else_is_no_success_and_its_text_is_cut() {
        let page = format!("<html>{}\u{7}</html>", "x".repeat(10_000));
        let answer = Answer { status: 200, index: None, body: page.into() };
        let failure = answer.json::<Vec<u8>>().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unknown);
        assert!(failure.why.len() < 500 && !failure.why.contains('\u{7}'), "{}", failure.why);
    }
}
