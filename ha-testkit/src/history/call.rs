use std::fmt;

use ha_core::checkpoint::CheckpointKind;
use serde::{Deserialize, Serialize};

/// One period of leadership under one latch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Which latch. Components that share one have their terms in common.
    pub latch: String,
    /// Its epoch: the fencing token.
    pub epoch: u64,
}

impl Term {
    /// That epoch of that latch.
    #[must_use]
    pub fn new(latch: impl Into<String>, epoch: u64) -> Self {
        Self { latch: latch.into(), epoch }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.latch, self.epoch)
    }
}

/// What a checkpoint was taken for: [`CheckpointKind`], as it is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenFor {
    /// To recover from. The newest one stays, whatever savepoints come after it.
    #[default]
    Checkpoint,
    /// For a user.
    Savepoint,
    /// To stop the job with.
    FinalSavepoint,
}

impl TakenFor {
    fn is_checkpoint(&self) -> bool {
        *self == Self::Checkpoint
    }
}

impl From<TakenFor> for CheckpointKind {
    fn from(taken_for: TakenFor) -> Self {
        match taken_for {
            TakenFor::Checkpoint => Self::Checkpoint,
            TakenFor::Savepoint => Self::Savepoint,
            TakenFor::FinalSavepoint => Self::SynchronousSavepoint,
        }
    }
}

/// A call whose outcome is judged, with all that it writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are named for what they are: a job, a component, a value that is written")]
pub enum Call {
    /// Campaigns, and waits until it leads. Answers `Answer::Nothing`; the term stands in the `Granted` beside it.
    Campaign { component: String },
    /// Gives a leadership up.
    Resign { component: String },
    /// Publishes an address.
    Publish { component: String, address: String },

    /// Takes the next id of a job's counter. Answers `Answer::Id`.
    NextId { job: String },
    /// Makes `next` the next id.
    SetCount { job: String, next: u64 },
    /// Reads which id would be next. Answers `Answer::Id`.
    ReadCounter { job: String },
    /// Removes a counter: its job is over for good.
    RemoveCounter { job: String },

    /// Adds a checkpoint and lets the oldest give way, so that at most `retain` stay.
    AddCheckpoint {
        job: String,
        id: u64,
        state: String,
        retain: usize,
        #[serde(default, skip_serializing_if = "TakenFor::is_checkpoint")]
        taken_for: TakenFor,
    },
    /// Recovers a job's checkpoints from the store. Answers `Answer::Checkpoints`.
    Recover { job: String },
    /// Removes all checkpoints of a job: it is over for good.
    RemoveCheckpoints { job: String },

    /// Stores a plan, or replaces it.
    PutPlan { job: String, plan: String },
    /// Removes a plan for good.
    RemovePlan { job: String },
    /// Reads a plan from the store. Answers `Answer::Value`.
    ReadPlan { job: String },

    /// Creates a dirty result; not applied if there is a result already.
    PutResult { job: String, result: String },
    /// Marks a result as clean. `keeps`: it stays as a clean one; otherwise it is removed.
    CleanResult { job: String, keeps: bool },
    /// Reads a result. Answers `Answer::Result`.
    ReadResult { job: String },

    /// Stores a blob.
    PutBlob { blob: String, content: String },
    /// Removes a blob.
    RemoveBlob { blob: String },
    /// Reads a blob. Answers `Answer::Value`.
    ReadBlob { blob: String },

    /// Writes one key of a backend, if it was last written by the commit of that revision (`None`: if it is
    /// absent). `value: None` removes it. Answers `Answer::Revision` of the write.
    WriteKey { key: String, expect: Option<u64>, value: Option<String> },
    /// Reads one key of a backend. Answers `Answer::Key`.
    ReadKey { key: String },
}

impl Call {
    /// Whether it changes nothing that is stored.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::ReadCounter { .. }
                | Self::Recover { .. }
                | Self::ReadPlan { .. }
                | Self::ReadResult { .. }
                | Self::ReadBlob { .. }
                | Self::ReadKey { .. }
        )
    }

    /// Whether it writes what only a leader may write. Campaigning and resigning are neither reads nor such writes.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !self.is_read() && !matches!(self, Self::Campaign { .. } | Self::Resign { .. })
    }
}
