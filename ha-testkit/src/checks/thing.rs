use super::operation::Operation;
use crate::history::{Call, TakenFor};

/// What was stored by a call, and is gone once it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing<'h> {
    Counter(&'h str),
    Checkpoints(&'h str),
    Plan(&'h str),
    Result(&'h str),
    Blob(&'h str),
    Key(&'h str),
}

impl std::fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Counter(job) => write!(f, "the counter of {job}"),
            Self::Checkpoints(job) => write!(f, "the checkpoints of {job}"),
            Self::Plan(job) => write!(f, "the plan of {job}"),
            Self::Result(job) => write!(f, "the result of {job}"),
            Self::Blob(blob) => write!(f, "the blob {blob}"),
            Self::Key(key) => write!(f, "the key {key}"),
        }
    }
}

impl<'h> Thing<'h> {
    /// What the call is about; `None` if that is no stored thing.
    pub(super) fn of(call: &'h Call) -> Option<Self> {
        match call {
            Call::Campaign { .. } | Call::Resign { .. } | Call::Publish { .. } => None,
            Call::NextId { job }
            | Call::SetCount { job, .. }
            | Call::ReadCounter { job }
            | Call::RemoveCounter { job } => Some(Self::Counter(job)),
            Call::AddCheckpoint { job, .. } | Call::Recover { job } | Call::RemoveCheckpoints { job } => {
                Some(Self::Checkpoints(job))
            }
            Call::PutPlan { job, .. } | Call::RemovePlan { job } | Call::ReadPlan { job } => Some(Self::Plan(job)),
            Call::PutResult { job, .. } | Call::CleanResult { job, .. } | Call::ReadResult { job } => {
                Some(Self::Result(job))
            }
            Call::PutBlob { blob, .. } | Call::RemoveBlob { blob } | Call::ReadBlob { blob } => Some(Self::Blob(blob)),
            Call::WriteKey { key, .. } | Call::ReadKey { key } => Some(Self::Key(key)),
        }
    }
}

/// Whether the call removes all of what it is about.
pub(super) fn removes(call: &Call) -> bool {
    matches!(
        call,
        Call::RemoveCounter { .. }
            | Call::RemoveCheckpoints { .. }
            | Call::RemovePlan { .. }
            | Call::RemoveBlob { .. }
            | Call::CleanResult { keeps: false, .. }
            | Call::WriteKey { value: None, .. }
    )
}

/// The removals among the calls on one thing, in the order of their invocations.
#[derive(Debug)]
pub(super) struct Removals {
    /// When each was invoked, and the last moment at which it, or one invoked before it, can have taken effect.
    until: Vec<(usize, usize)>,
}

impl Removals {
    /// Those of these calls that may have been applied.
    pub(super) fn of(calls: &[Operation<'_>]) -> Self {
        let applied = calls.iter().filter(|call| removes(call.call) && call.can_apply());
        let mut last = 0;
        let until = applied.map(|call| {
            last = last.max(call.last_effect());
            (call.invoked.position, last)
        });
        Self { until: until.collect() }
    }

    /// Up to when something may have been removed by a removal that was invoked before `position`.
    pub(super) fn latest_before(&self, position: usize) -> usize {
        let before = self.until.partition_point(|(invoked, _)| *invoked < position);
        before.checked_sub(1).map_or(0, |last| self.until[last].1)
    }

    /// Whether what was stored at `from` may have been removed by `until`.
    pub(super) fn may_remove(&self, from: usize, until: usize) -> bool {
        self.latest_before(until) > from
    }
}

/// By how many fewer than are retained the newest that are there may be: one, where savepoints were taken, for the
/// newest that is none stays below them.
pub(super) fn kept_below_savepoints(calls: &[Operation<'_>]) -> usize {
    let is_savepoint =
        |call: &Call| matches!(call, Call::AddCheckpoint { taken_for, .. } if *taken_for != TakenFor::Checkpoint);
    usize::from(calls.iter().any(|call| is_savepoint(call.call) && call.can_apply()))
}
