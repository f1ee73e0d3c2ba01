use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::CHECKPOINT_ID_MAX;
use crate::{Error, ErrorKind, JobStatus};

/// The longest [`CompletedCheckpoint::external`], in bytes.
const EXTERNAL_BYTES_MAX: usize = 4096;

/// What a checkpoint was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// Taken by the system, which also discards it.
    Checkpoint,
    /// Taken by a user, who owns it: its data is never discarded.
    Savepoint,
    /// A savepoint that the job stops with: nothing comes after it, so it replaces all others.
    SynchronousSavepoint,
}

impl CheckpointKind {
    /// Whether it is one of the savepoints.
    #[must_use]
    pub fn is_savepoint(self) -> bool {
        self != Self::Checkpoint
    }
}

/// What becomes of a checkpoint's data when its job is over for good. Flink's
/// `CheckpointRetentionPolicy`.
///
/// ```
/// use ha_core::{JobStatus, checkpoint::RetentionPolicy};
/// assert!(RetentionPolicy::RetainOnFailure.discards_on(JobStatus::Canceled));
/// assert!(!RetentionPolicy::RetainOnCancellation.discards_on(JobStatus::Canceled));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionPolicy {
    /// It is discarded, however the job ended.
    #[default]
    NeverRetainAfterTermination,
    /// It is kept if the job failed.
    RetainOnFailure,
    /// It is kept if the job failed or was canceled.
    RetainOnCancellation,
}

impl RetentionPolicy {
    /// Whether the data is discarded when the job ends so. Never unless that is globally terminal.
    #[must_use]
    pub fn discards_on(self, status: JobStatus) -> bool {
        match status {
            JobStatus::Finished => true,
            JobStatus::Canceled => self != Self::RetainOnCancellation,
            JobStatus::Failed => self == Self::NeverRetainAfterTermination,
            _ => false,
        }
    }
}

/// Who owns the snapshot that a job is restored from. Flink's `RecoveryClaimMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryClaimMode {
    /// The job: the snapshot is treated like a checkpoint of its own, and discarded like one.
    Claim,
    /// Whoever made it: it is never discarded by this library. The application's first own
    /// checkpoint must not refer to its files.
    #[default]
    NoClaim,
    /// Whoever made it: it is never discarded by this library, although own checkpoints may refer
    /// to its files.
    Legacy,
}

/// Where a checkpoint comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointOrigin {
    /// The job took it itself.
    #[default]
    Taken,
    /// The job was restored from it, under that claim mode.
    Restored(RecoveryClaimMode),
}

/// A checkpoint that is complete: what a job can be restored from.
///
/// `state` is opaque bytes: the metadata that leads to the job's files, or all of its state. They
/// are written to the state storage; the backend holds the rest and a handle.
///
/// ```
/// use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, RetentionPolicy};
/// let checkpoint = CompletedCheckpoint::new(7, CheckpointKind::Checkpoint, 1_700_000_000_000, "state".into())
///     .with_retention(RetentionPolicy::RetainOnCancellation)
///     .with_external("s3://bucket/job-1/chk-7");
/// assert!(checkpoint.is_discarded_when_subsumed());
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletedCheckpoint {
    /// Its id, from the job's [`CheckpointIdCounter`](super::CheckpointIdCounter).
    pub id: u64,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// When it was triggered, in milliseconds since 1970; for people to read.
    pub timestamp_unix_ms: u64,
    /// What becomes of its data when the job is over.
    pub retention: RetentionPolicy,
    /// Whether the job took it or was restored from it.
    pub origin: CheckpointOrigin,
    /// Where the application's own files of it are, as a user would name it for a restore; no
    /// secret. At most 4096 bytes.
    pub external: Option<String>,
    /// The bytes that the application restores from.
    pub state: Bytes,
}

impl CompletedCheckpoint {
    /// A checkpoint that the job took, discarded when the job is over, without external files.
    #[must_use]
    pub fn new(id: u64, kind: CheckpointKind, timestamp_unix_ms: u64, state: Bytes) -> Self {
        let (retention, origin) = (RetentionPolicy::default(), CheckpointOrigin::default());
        Self { id, kind, timestamp_unix_ms, retention, origin, external: None, state }
    }

    /// The same checkpoint under that policy.
    #[must_use]
    pub fn with_retention(mut self, retention: RetentionPolicy) -> Self {
        self.retention = retention;
        self
    }

    /// The same checkpoint with that origin.
    #[must_use]
    pub fn with_origin(mut self, origin: CheckpointOrigin) -> Self {
        self.origin = origin;
        self
    }

    /// The same checkpoint with files of the application's own.
    #[must_use]
    pub fn with_external(mut self, external: impl Into<String>) -> Self {
        self.external = Some(external.into());
        self
    }

    /// Whether its data is discarded once a newer checkpoint has taken its place. Savepoints'
    /// never is, nor that of a snapshot that was restored without claiming it.
    #[must_use]
    pub fn is_discarded_when_subsumed(&self) -> bool {
        self.role() == CheckpointKind::Checkpoint
    }

    /// Whether its data is discarded when the job ends so.
    #[must_use]
    pub fn is_discarded_on(&self, status: JobStatus) -> bool {
        self.is_discarded_when_subsumed() && self.retention.discards_on(status)
    }

    /// Whether its data goes with its pointer, however the job ended.
    pub(super) fn is_never_retained(&self) -> bool {
        self.is_discarded_when_subsumed() && self.retention == RetentionPolicy::NeverRetainAfterTermination
    }

    /// What it counts as in the store: a claimed savepoint is a checkpoint like any other, and what
    /// was restored without claiming is somebody else's savepoint, whatever it was taken for.
    pub(super) fn role(&self) -> CheckpointKind {
        match self.origin {
            CheckpointOrigin::Taken => self.kind,
            CheckpointOrigin::Restored(RecoveryClaimMode::Claim) => CheckpointKind::Checkpoint,
            CheckpointOrigin::Restored(_) => CheckpointKind::Savepoint,
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let invalid = |why: String| {
            Err(Error::new(ErrorKind::Invalid, "add checkpoint").at(format!("checkpoint {}", self.id)).because(why))
        };
        if !(1..=CHECKPOINT_ID_MAX).contains(&self.id) {
            return invalid(format!("ids go from 1 to {CHECKPOINT_ID_MAX}"));
        }
        match self.external.as_ref().map(String::len) {
            Some(bytes) if bytes > EXTERNAL_BYTES_MAX => {
                invalid(format!("its external pointer has {bytes} bytes; at most {EXTERNAL_BYTES_MAX} are allowed"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for CompletedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The state may be large, and is the application's business.
        f.debug_struct("CompletedCheckpoint")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("timestamp_unix_ms", &self.timestamp_unix_ms)
            .field("retention", &self.retention)
            .field("origin", &self.origin)
            .field("external", &self.external)
            .field("state_bytes", &self.state.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_discarded_only_on_a_terminal_status_that_the_policy_names() {
        use JobStatus::{Canceled, Failed, Finished, Running, Suspended};
        let discarded = |policy: RetentionPolicy| {
            let all = [Finished, Canceled, Failed, Suspended, Running];
            all.into_iter().filter(|status| policy.discards_on(*status)).collect::<Vec<_>>()
        };
        assert_eq!(discarded(RetentionPolicy::NeverRetainAfterTermination), [Finished, Canceled, Failed]);
        assert_eq!(discarded(RetentionPolicy::RetainOnFailure), [Finished, Canceled]);
        assert_eq!(discarded(RetentionPolicy::RetainOnCancellation), [Finished]);
    }

    #[test]
    fn only_a_claimed_snapshot_is_ever_discarded_and_no_savepoint_of_a_user() {
        let of = |kind, origin| CompletedCheckpoint::new(1, kind, 0, Bytes::new()).with_origin(origin);
        let restored = CheckpointOrigin::Restored;
        for kind in [CheckpointKind::Savepoint, CheckpointKind::SynchronousSavepoint] {
            assert!(!of(kind, CheckpointOrigin::Taken).is_discarded_on(JobStatus::Finished));
            assert!(of(kind, restored(RecoveryClaimMode::Claim)).is_discarded_on(JobStatus::Finished));
        }
        for mode in [RecoveryClaimMode::NoClaim, RecoveryClaimMode::Legacy] {
            let checkpoint = of(CheckpointKind::Checkpoint, restored(mode));
            assert!(!checkpoint.is_discarded_on(JobStatus::Finished) && !checkpoint.is_discarded_when_subsumed());
        }
    }
}
