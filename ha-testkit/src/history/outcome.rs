use ha_core::Error;
use serde::{Deserialize, Serialize};

/// What became of a call, as its caller was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It was done: a write is applied, a read has this answer.
    Done(Answer),
    /// It was not applied and never will be; a read has no answer.
    NotApplied {
        /// What kind of error, or `Conflict` where losing is a value.
        kind: String,
    },
    /// It may be applied, now or later, or never.
    Unknown {
        /// What kind of error.
        kind: String,
    },
}

impl Outcome {
    /// As the library answered: [`Error::may_have_applied`] divides unknown from not applied.
    #[must_use]
    pub fn of(answered: Result<Answer, &Error>) -> Self {
        match answered {
            Ok(answer) => Self::Done(answer),
            Err(error) if error.may_have_applied() => Self::Unknown { kind: format!("{:?}", error.kind()) },
            Err(error) => Self::NotApplied { kind: format!("{:?}", error.kind()) },
        }
    }
}

/// The answer to a call that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// Nothing but that it was done.
    Nothing,
    /// An id of a counter.
    Id(u64),
    /// What is stored, or that nothing is.
    Value(Option<String>),
    /// The checkpoints, in the order of their ids.
    Checkpoints(Vec<Checkpoint>),
    /// The result of a job, if there is one.
    Result(Option<StoredResult>),
    /// The revision of a write to one key.
    Revision(u64),
    /// What stands at a key of a backend, if anything does.
    Key(Option<StoredValue>),
}

/// A checkpoint that was recovered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its id.
    pub id: u64,
    /// What its state says; what was added with it.
    pub state: String,
}

/// The result of a job, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredResult {
    /// What was written when it was created.
    pub result: String,
    /// Whether it is clean.
    pub clean: bool,
}

/// The value of a key, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredValue {
    /// The revision of the write.
    pub revision: u64,
    /// The value.
    pub value: String,
}
