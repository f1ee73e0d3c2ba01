use super::operation::{Fate, Operation};
use crate::history::{Answer, Call};

/// One value that was written or read: of a plan, a result, a blob, a key; or a checkpoint with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen<'h> {
    Value(&'h str),
    Checkpoint(u64, &'h str),
}

/// What the call writes.
pub(super) fn written(call: &Call) -> Option<Seen<'_>> {
    match call {
        Call::PutPlan { plan: value, .. }
        | Call::PutResult { result: value, .. }
        | Call::PutBlob { content: value, .. }
        | Call::WriteKey { value: Some(value), .. } => Some(Seen::Value(value)),
        Call::AddCheckpoint { id, state, .. } => Some(Seen::Checkpoint(*id, state)),
        _ => None,
    }
}

/// What a read has seen; nothing if it was not answered.
pub(super) fn sights<'h>(read: &Operation<'h>) -> Vec<Seen<'h>> {
    let Fate::Done(answer) = read.fate() else { return Vec::new() };
    match (read.call, answer) {
        (_, Answer::Checkpoints(all)) => all.iter().map(|c| Seen::Checkpoint(c.id, &c.state)).collect(),
        _ => content(read).flatten().map(Seen::Value).into_iter().collect(),
    }
}

/// What a read of one value was answered: a value, or that there is none. `None` if it is no such read.
pub(super) fn content<'h>(read: &Operation<'h>) -> Option<Option<&'h str>> {
    let Fate::Done(answer) = read.fate() else { return None };
    match answer {
        Answer::Value(value) => Some(value.as_deref()),
        Answer::Result(result) => Some(result.as_ref().map(|result| result.result.as_str())),
        Answer::Key(stored) => Some(stored.as_ref().map(|stored| stored.value.as_str())),
        _ => None,
    }
}
