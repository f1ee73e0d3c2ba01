use super::operation::{Fate, Operation, Operations};
use super::thing::{Thing, may_be_removed, removes};
use super::values::{content, written};
use super::{Check, Place, Violation};
use crate::history::{Answer, Call, Event};

/// Acknowledged writes survive.
///
/// What was acknowledged before a read began is found by it, unless a later write or removal can explain what was
/// found: one that was applied, or may have been, and not before. [`Linearizable`](super::Linearizable) proves more, and
/// says less plainly what was lost.
#[derive(Debug, Clone, Copy)]
pub struct AcknowledgedSurvives;

impl Check for AcknowledgedSurvives {
    fn name(&self) -> &'static str {
        "acknowledged writes survive"
    }

    fn promise(&self) -> &'static str {
        "An acknowledged checkpoint, plan, counter step, job result or blob is found again after any crash."
    }

    fn promised_in(&self) -> Place {
        Place { file: "README.md", words: "**Nothing acknowledged is lost.**" }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        for (thing, calls) in Operations::of(history).by_thing() {
            for read in calls.iter().filter(|call| call.is_done()) {
                let lost = match (thing, read.fate()) {
                    (Thing::Counter(_), _) => lost_steps(&calls, read),
                    (_, Fate::Done(Answer::Checkpoints(found))) => {
                        lost_checkpoint(&calls, read, &found.iter().map(|c| c.id).collect::<Vec<_>>())
                    }
                    _ => lost_value(&calls, read),
                };
                if let Some(lost) = lost {
                    let what = format!("what was acknowledged of {thing} is not found by a later read");
                    return Err(Violation::broken(self.name(), what, lost.events().chain(read.events())));
                }
            }
        }
        Ok(())
    }
}

/// What a write leaves behind: a value, or nothing.
fn leaves<'h>(write: &Operation<'h>) -> Option<Option<&'h str>> {
    match (removes(write.call), written(write.call)) {
        (true, _) => Some(None),
        (false, Some(super::values::Seen::Value(value))) => Some(Some(value)),
        _ => None,
    }
}

/// The acknowledged write that a read of a value should have seen, and of which there is no trace.
fn lost_value<'a, 'h>(calls: &'a [Operation<'h>], read: &Operation<'h>) -> Option<&'a Operation<'h>> {
    let found = content(read)?;
    let before = calls.iter().filter(|write| write.is_done_before(read.invoked.position));
    let others = before.filter(|write| leaves(write).is_some_and(|left| left != found));
    let newest = others.max_by_key(|write| write.invoked.position)?;
    // What was found is explained by a write of it that can have taken effect after the newest other one began.
    let mut explained = calls.iter().filter(|write| write.can_apply() && leaves(write) == Some(found));
    let explained = explained.any(|write| write.last_effect() >= newest.invoked.position);
    (!explained).then_some(newest)
}

/// The acknowledged add of a checkpoint that was not found, and that nothing can have removed or subsumed.
fn lost_checkpoint<'a, 'h>(
    calls: &'a [Operation<'h>],
    read: &Operation<'h>,
    found: &[u64],
) -> Option<&'a Operation<'h>> {
    let began = read.invoked.position;
    calls.iter().filter(|add| add.is_done_before(began)).find(|add| {
        let Call::AddCheckpoint { id, .. } = add.call else { return false };
        // Only what was added after it, or is newer, can have taken its place.
        let others = calls.iter().filter(|other| other.can_apply() && other.invoked.position < read.last_effect());
        let later = others.filter_map(|other| match other.call {
            Call::AddCheckpoint { id: other_id, retain, .. } => {
                let is_later = other_id > id || other.last_effect() > add.invoked.position;
                (is_later && other_id != id).then_some(*retain)
            }
            _ => None,
        });
        let (count, quota) = later.fold((0, usize::MAX), |(count, quota), retain| (count + 1, quota.min(retain)));
        let subsumed = count >= quota;
        !found.contains(id) && !subsumed && !may_be_removed(calls, add.invoked.position, read.last_effect())
    })
}

/// The acknowledged step that a counter has forgotten.
fn lost_steps<'a, 'h>(calls: &'a [Operation<'h>], read: &Operation<'h>) -> Option<&'a Operation<'h>> {
    let (Call::ReadCounter { .. }, Fate::Done(Answer::Id(next))) = (read.call, read.fate()) else { return None };
    calls.iter().filter(|step| step.is_done_before(read.invoked.position)).find(|step| {
        let forgotten = match (step.call, step.fate()) {
            (Call::NextId { .. }, Fate::Done(Answer::Id(id))) => id >= next,
            (Call::SetCount { next: set, .. }, _) => set > next,
            _ => false,
        };
        forgotten && !may_be_removed(calls, step.invoked.position, read.last_effect())
    })
}
