use ha_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// Every kind there is; they travel by their names.
const KINDS: [ErrorKind; 20] = [
    ErrorKind::Unavailable,
    ErrorKind::Indeterminate,
    ErrorKind::Fenced,
    ErrorKind::NotLeader,
    ErrorKind::Conflict,
    ErrorKind::AlreadyExists,
    ErrorKind::NotFound,
    ErrorKind::NotOwned,
    ErrorKind::TooLarge,
    ErrorKind::Invalid,
    ErrorKind::Denied,
    ErrorKind::Corrupt,
    ErrorKind::NewerFormat,
    ErrorKind::StateMissing,
    ErrorKind::Storage,
    ErrorKind::SessionEnded,
    ErrorKind::Closed,
    ErrorKind::IllegalState,
    ErrorKind::Exhausted,
    ErrorKind::Unsupported,
];

/// An error as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireError {
    kind: String,
    subject: String,
    text: String,
}

impl WireError {
    pub(crate) fn new(error: &Error) -> Self {
        // The kind and the operation stand in the text as well; who reads it may see them twice.
        Self { kind: format!("{:?}", error.kind()), subject: error.subject().into(), text: error.to_string() }
    }

    /// The error as the caller of that operation gets it. A kind that is not known says nothing
    /// about what was done, so it becomes `otherwise`.
    pub(crate) fn error(self, operation: &'static str, otherwise: ErrorKind) -> Error {
        let kind = KINDS.into_iter().find(|kind| format!("{kind:?}") == self.kind).unwrap_or(otherwise);
        Error::new(kind, operation).at(self.subject).because(format!("the server says: {}", self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_arrives_as_it_was_sent() {
        for kind in KINDS {
            let sent = Error::new(kind, "commit").at("k").because("a reason");
            let arrived = WireError::new(&sent).error("commit", ErrorKind::Indeterminate);
            assert_eq!((arrived.kind(), arrived.subject()), (kind, "k"));
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_the_worst_that_it_can_be() {
        let strange = WireError { kind: "Strange".into(), subject: String::new(), text: String::new() };
        assert_eq!(strange.error("commit", ErrorKind::Indeterminate).kind(), ErrorKind::Indeterminate);
    }
}
