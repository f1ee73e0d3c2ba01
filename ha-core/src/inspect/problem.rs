use serde::Serialize;

use crate::{Error, ErrorKind, JobId};

/// What is wrong with something that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// An entry whose bytes are not what this library writes.
    Corrupt,
    /// An entry of a format that this version does not know: not damaged, but not judged either.
    OtherFormat,
    /// A key that this library writes nowhere.
    Strange,
    /// A pointer that leads to nothing.
    Dangling,
    /// A state that is not what its pointer says: another length or checksum.
    Damaged,
    /// A pointer that leads into another state storage than the one that is open.
    Elsewhere,
    /// It could not be found out.
    Unknown,
}

impl ProblemKind {
    /// In one word, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::OtherFormat => "other format",
            Self::Strange => "strange",
            Self::Dangling => "dangling",
            Self::Damaged => "damaged",
            Self::Elsewhere => "elsewhere",
            Self::Unknown => "unknown",
        }
    }

    /// Of an entry that could not be decoded.
    pub(super) fn of_entry(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::NewerFormat | ErrorKind::Unsupported => Self::OtherFormat,
            ErrorKind::Corrupt | ErrorKind::Invalid => Self::Corrupt,
            _ => Self::Unknown,
        }
    }

    /// Of a state that could not be read.
    pub(super) fn of_state(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::StateMissing => Self::Dangling,
            ErrorKind::Corrupt => Self::Damaged,
            ErrorKind::Invalid => Self::Elsewhere,
            _ => Self::Unknown,
        }
    }
}

/// Something that is stored and is not as it should be. Nothing was changed because of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The key, as it stands below the cluster's place.
    pub key: String,
    /// What is wrong.
    pub kind: ProblemKind,
    /// The job that it is of.
    pub job: Option<String>,
    /// Why, on one line.
    pub detail: String,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, key: impl ToString, job: Option<&JobId>, detail: impl ToString) -> Self {
        Self { kind, key: key.to_string(), job: job.map(ToString::to_string), detail: detail.to_string() }
    }
}
