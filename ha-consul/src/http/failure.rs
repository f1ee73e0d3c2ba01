use std::error::Error as _;
use std::fmt;

use ha_core::{Error, ErrorKind};

use super::tls::alert_of_handshake;

/// Why a request has no useful answer, and whether what it asked for may have been done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) why: String,
    pub(crate) source: Option<reqwest::Error>,
}

/// What a caller can conclude from a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It did not reach Consul, or Consul says that it did nothing. Another address may do better.
    NotDone,
    /// It was sent, and what became of it is unknown.
    Unknown,
    /// Consul refuses access. Nothing was done.
    Denied,
    /// Consul finds it too large. Nothing was done.
    TooLarge,
    /// Consul does not understand it. Nothing was done.
    Invalid,
    /// The session that it names does not exist. Nothing was done.
    NoSession,
}

/// The most of an error's cause that is shown, in characters.
const CAUSE_MAX: usize = 200;

impl Failure {
    pub(crate) fn new(kind: FailureKind, why: impl fmt::Display) -> Self {
        Self { kind, why: why.to_string(), source: None }
    }

    /// What a failed transport says, and whether the request may have been carried out:
    ///
    /// | what failed | may have been | why |
    /// |---|---|---|
    /// | the request could not be made of its parts | no | nothing was sent |
    /// | the connection: a name without address, refused, unreachable, too slow, TLS | no | there was no way to send it by |
    /// | TLS, by an alert of the agent | no | it ended the handshake, after which alone it would read a request |
    /// | anything later: reset, closed, cut in the middle of the answer, too slow | yes | it may have arrived |
    pub(super) fn of_transport(error: reqwest::Error, address: &str) -> Self {
        let refused_by_tls = alert_of_handshake(&error);
        let kind = if error.is_builder() {
            FailureKind::Invalid
        } else if error.is_connect() || refused_by_tls {
            FailureKind::NotDone
        } else {
            FailureKind::Unknown
        };
        // The URL holds nothing that the address does not say.
        let error = error.without_url();
        let mut why = format!("no answer from {address}: {}", cause(&error));
        // The alert can be lost on its way: then the connection just breaks.
        let breaks = address.starts_with("https:") && kind == FailureKind::Unknown && !error.is_timeout();
        if refused_by_tls || breaks {
            why.push_str("; does the agent ask for a client certificate?");
        }
        Self { kind, why, source: Some(error) }
    }

    /// Whether the time ran out. Another agent is not asked then: the caller's time is spent.
    pub(super) fn took_too_long(&self) -> bool {
        self.kind == FailureKind::Unknown && self.source.as_ref().is_some_and(reqwest::Error::is_timeout)
    }

    /// Adds what was tried before.
    pub(super) fn after(mut self, before: Option<Self>) -> Self {
        if let Some(before) = before {
            self.why = format!("{}; before that {}", self.why, before.why);
        }
        self
    }

    /// As the error of a call that only reads: nothing can have been applied.
    pub(crate) fn of_read(self, operation: &'static str, subject: impl fmt::Display) -> Error {
        let kind = match self.kind {
            FailureKind::NotDone | FailureKind::Unknown => ErrorKind::Unavailable,
            other => other.certain(),
        };
        self.into_error(kind, operation, subject)
    }

    /// As the error of a call that writes.
    pub(crate) fn of_write(self, operation: &'static str, subject: impl fmt::Display) -> Error {
        let kind = match self.kind {
            FailureKind::NotDone => ErrorKind::Unavailable,
            FailureKind::Unknown => ErrorKind::Indeterminate,
            other => other.certain(),
        };
        self.into_error(kind, operation, subject)
    }

    fn into_error(self, kind: ErrorKind, operation: &'static str, subject: impl fmt::Display) -> Error {
        let error = Error::new(kind, operation).at(subject).because(self.why);
        match self.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

impl FailureKind {
    fn certain(self) -> ErrorKind {
        match self {
            Self::NotDone => ErrorKind::Unavailable,
            Self::Unknown => ErrorKind::Indeterminate,
            Self::Denied => ErrorKind::Denied,
            Self::TooLarge => ErrorKind::TooLarge,
            Self::Invalid => ErrorKind::Invalid,
            Self::NoSession => ErrorKind::SessionEnded,
        }
    }
}

/// The innermost cause: the outer ones say only that it was a request.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".into();
    }
    let mut innermost = error.source();
    while let Some(next) = innermost.and_then(|error| error.source()) {
        innermost = Some(next);
    }
    let text = innermost.map_or_else(|| error.to_string(), ToString::to_string);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CAUSE_MAX).collect()
}
