use std::fmt;

use ha_core::{Error, ErrorKind};

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

impl Failure {
    pub(crate) fn new(kind: FailureKind, why: impl fmt::Display) -> Self {
        Self { kind, why: why.to_string(), source: None }
    }

    /// What a failed transport says. A connection that was never made has carried nothing.
    pub(crate) fn of_transport(error: reqwest::Error, address: &str) -> Self {
        let kind = if error.is_builder() {
            FailureKind::Invalid
        } else if error.is_connect() {
            FailureKind::NotDone
        } else {
            FailureKind::Unknown
        };
        // The URL may hold nothing secret, but a proxy's could; the address says enough.
        Self { kind, why: format!("no answer from {address}"), source: Some(error.without_url()) }
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
