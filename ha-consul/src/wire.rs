//! Consul's JSON, as far as this backend speaks it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::http::{Failure, FailureKind};

/// A stored value as Consul shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pair {
    pub(crate) key: String,
    /// Base64; absent for an empty value.
    #[serde(default)]
    value: Option<String>,
    pub(crate) modify_index: u64,
    /// How often the key was locked; a plain write sets it back to zero.
    #[serde(default)]
    pub(crate) lock_index: u64,
    /// Who holds the key as a lock.
    #[serde(default)]
    pub(crate) session: Option<String>,
}

impl Pair {
    /// The stored bytes.
    pub(crate) fn bytes(&self) -> Result<Bytes, Failure> {
        let Some(text) = &self.value else { return Ok(Bytes::new()) };
        let decoded = STANDARD.decode(text);
        decoded
            .map(Bytes::from)
            .map_err(|_| Failure::new(FailureKind::Unknown, "a value that is not base64; is this Consul?"))
    }

    /// Which session holds it, as a lock that nobody has written over since.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.session.as_deref().filter(|session| !session.is_empty() && self.lock_index > 0)
    }
}

/// One operation of a transaction.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Operation {
    #[serde(rename = "KV")]
    kv: Kv,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kv {
    verb: &'static str,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
}

impl Operation {
    fn new(verb: &'static str, key: impl Into<String>) -> Self {
        Self { kv: Kv { verb, key: key.into(), value: None, flags: None, index: None, session: None } }
    }

    pub(crate) fn get(key: impl Into<String>) -> Self {
        Self::new("get", key)
    }

    /// Stores a value if the key has that index; 0: if it is absent.
    pub(crate) fn cas(key: impl Into<String>, index: u64, value: &[u8], flags: u64) -> Self {
        let mut operation = Self::new("cas", key);
        operation.kv.index = Some(index);
        operation.kv.value = Some(STANDARD.encode(value));
        operation.kv.flags = Some(flags);
        operation
    }

    pub(crate) fn delete(key: impl Into<String>) -> Self {
        Self::new("delete", key)
    }

    pub(crate) fn check_index(key: impl Into<String>, index: u64) -> Self {
        let mut operation = Self::new("check-index", key);
        operation.kv.index = Some(index);
        operation
    }

    pub(crate) fn check_absent(key: impl Into<String>) -> Self {
        Self::new("check-not-exists", key)
    }

    pub(crate) fn check_session(key: impl Into<String>, session: &str) -> Self {
        Self::new("check-session", key).by(session)
    }

    pub(crate) fn lock(key: impl Into<String>, session: &str, value: &[u8], flags: u64) -> Self {
        let mut operation = Self::new("lock", key).by(session);
        operation.kv.value = Some(STANDARD.encode(value));
        operation.kv.flags = Some(flags);
        operation
    }

    /// Unlocking writes the value that goes with it: an empty one.
    pub(crate) fn unlock(key: impl Into<String>, session: &str, flags: u64) -> Self {
        let mut operation = Self::new("unlock", key).by(session);
        operation.kv.value = Some(String::new());
        operation.kv.flags = Some(flags);
        operation
    }

    /// The key that Consul's answer tells of, where this was applied: of what is removed or absent it tells nothing.
    pub(crate) fn answered(&self) -> Option<&str> {
        (!matches!(self.kv.verb, "delete" | "check-not-exists")).then_some(self.kv.key.as_str())
    }

    fn by(mut self, session: &str) -> Self {
        self.kv.session = Some(session.to_owned());
        self
    }
}

/// The answer to a transaction, applied or not.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Transaction {
    #[serde(default)]
    pub(crate) results: Option<Vec<Applied>>,
    #[serde(default)]
    pub(crate) errors: Option<Vec<Refused>>,
}

/// What one operation of an applied transaction answers; deletions answer nothing.
#[derive(Debug, Deserialize)]
pub(crate) struct Applied {
    #[serde(rename = "KV")]
    pub(crate) kv: Pair,
}

/// Why one operation holds the transaction back. All such operations are listed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Refused {
    pub(crate) op_index: usize,
    pub(crate) what: String,
}

/// What is asked of a new session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NewSession<'a> {
    pub(crate) name: &'a str,
    #[serde(rename = "TTL")]
    pub(crate) ttl: String,
    pub(crate) lock_delay: String,
    pub(crate) behavior: &'static str,
    pub(crate) node_checks: Vec<String>,
}

/// The longest name of a session that is taken. Consul's have 36 bytes.
const SESSION_ID_MAX: usize = 128;

/// The answer to a new session, and one of those to a renewal.
#[derive(Debug, Deserialize)]
pub(crate) struct SessionId {
    #[serde(rename = "ID")]
    pub(crate) id: String,
}

impl SessionId {
    /// It becomes part of paths and of terms, so it holds nothing that means something there.
    pub(crate) fn checked(self) -> Result<String, Failure> {
        if (1..=SESSION_ID_MAX).contains(&self.id.len())
            && self.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Ok(self.id);
        }
        Err(Failure::new(FailureKind::Unknown, "the new session has no name that Consul gives; check the address"))
    }
}

/// What is asked of a new service whose check is the process's sign of life.
#[derive(Debug, Serialize)]
pub(crate) struct NewService<'a> {
    #[serde(rename = "ID")]
    pub(crate) id: &'a str,
    #[serde(rename = "Name")]
    pub(crate) name: &'a str,
    #[serde(rename = "Check")]
    pub(crate) check: TtlCheck<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TtlCheck<'a> {
    #[serde(rename = "CheckID")]
    pub(crate) id: &'a str,
    #[serde(rename = "TTL")]
    pub(crate) ttl: String,
    #[serde(rename = "Status")]
    pub(crate) status: &'static str,
    #[serde(rename = "DeregisterCriticalServiceAfter")]
    pub(crate) forget_after: &'static str,
    #[serde(rename = "Notes")]
    pub(crate) notes: &'a str,
}

/// A duration as Consul reads it. Whole milliseconds, for a bare number would be seconds; and never less than what is
/// counted here, or Consul would be done with it sooner.
pub(crate) fn go_duration(duration: std::time::Duration) -> String {
    format!("{}ms", duration.as_nanos().div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn consul_never_waits_for_less_than_what_is_counted_here() {
        // Fails if the part of a millisecond is dropped: the deadline is then later than the end of the check.
        assert_eq!(go_duration(Duration::from_micros(1_500_001)), "1501ms");
        assert_eq!(go_duration(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(go_duration(Duration::ZERO), "0ms");
    }

    #[test]
    fn a_session_whose_name_means_something_in_a_path_is_none() {
        for id in ["", "../kv/x", "a/b", "a?b", "a b", "ä"] {
            assert!(SessionId { id: id.into() }.checked().is_err(), "{id}");
        }
        assert!(SessionId { id: "8ec0b1f2-0000-1111-2222-333344445555".into() }.checked().is_ok());
    }
}
