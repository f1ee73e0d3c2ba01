use std::collections::BTreeMap;

use super::operation::{Fate, Operation, Operations};
use super::thing::{Removals, Thing, kept_below_savepoints, removes};
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
            let stored = Stored { calls: &calls, removals: Removals::of(&calls) };
            let lost = match thing {
                Thing::Counter(_) => stored.lost_steps(),
                Thing::Checkpoints(_) => stored.lost_checkpoint(),
                _ => stored.lost_value(),
            };
            if let Some((lost, read)) = lost {
                let what = format!("what was acknowledged of {thing} is not found by a later read");
                return Err(Violation::broken(self.name(), what, lost.events().chain(read.events())));
            }
        }
        Ok(())
    }
}

/// The calls on one thing, in the order of their invocations.
struct Stored<'a, 'h> {
    calls: &'a [Operation<'h>],
    removals: Removals,
}

/// A write, and the read that should have found it.
type Lost<'a, 'h> = Option<(&'a Operation<'h>, &'a Operation<'h>)>;

/// What a write leaves behind: a value, or nothing.
fn leaves<'h>(write: &Operation<'h>) -> Option<Option<&'h str>> {
    match (removes(write.call), written(write.call)) {
        (true, _) => Some(None),
        (false, Some(super::values::Seen::Value(value))) => Some(Some(value)),
        _ => None,
    }
}

/// The newest write of those that were done by some moment, and the newest of those that left something else.
#[derive(Clone, Copy, Default)]
struct Newest<'a, 'h> {
    first: Option<&'a Operation<'h>>,
    other: Option<&'a Operation<'h>>,
}

impl<'a, 'h> Newest<'a, 'h> {
    fn and(self, write: &'a Operation<'h>) -> Self {
        let newer = |than: Option<&Operation<'_>>| than.is_none_or(|at| at.invoked.position < write.invoked.position);
        let same = |than: Option<&Operation<'h>>| than.is_some_and(|at| leaves(at) == leaves(write));
        match (newer(self.first), same(self.first)) {
            (true, true) => Self { first: Some(write), ..self },
            (true, false) => Self { first: Some(write), other: self.first },
            (false, false) if newer(self.other) => Self { other: Some(write), ..self },
            _ => self,
        }
    }

    /// The newest that left something else than was found.
    fn but(self, found: Option<&str>) -> Option<&'a Operation<'h>> {
        [self.first, self.other].into_iter().flatten().find(|write| leaves(write) != Some(found))
    }
}

impl<'a, 'h> Stored<'a, 'h> {
    /// A read of a value and the acknowledged write that it should have seen, and of which there is no trace.
    fn lost_value(&self) -> Lost<'a, 'h> {
        let writes = || self.calls.iter().filter(|call| leaves(call).is_some());
        let mut done: Vec<_> = writes().filter(|write| write.is_done()).collect();
        done.sort_by_key(|write| write.last_effect());
        let newest: Vec<Newest<'_, '_>> = done
            .iter()
            .scan(Newest::default(), |newest, write| {
                *newest = newest.and(write);
                Some(*newest)
            })
            .collect();
        // Up to when each value can have been written.
        let mut explained: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for write in writes().filter(|write| write.can_apply()) {
            let until = explained.entry(leaves(write).flatten()).or_default();
            *until = (*until).max(write.last_effect());
        }
        self.calls.iter().find_map(|read| {
            let found = content(read)?;
            let before = done.partition_point(|write| write.last_effect() < read.invoked.position);
            let lost = newest.get(before.checked_sub(1)?)?.but(found)?;
            // What was found is explained by a write of it that can have taken effect after the newest other one began.
            let explained = explained.get(&found).is_some_and(|until| *until >= lost.invoked.position);
            (!explained).then_some((lost, read))
        })
    }

    /// The acknowledged add of a checkpoint that was not found, and that nothing can have removed or subsumed.
    fn lost_checkpoint(&self) -> Lost<'a, 'h> {
        let added = |call: &Operation<'_>| match call.call {
            Call::AddCheckpoint { id, retain, .. } if call.can_apply() => Some((*id, *retain)),
            _ => None,
        };
        let mut adds = self.calls.iter().filter_map(|add| Some((added(add)?, add))).peekable();
        let quota_max = self.calls.iter().filter_map(added).map(|(_, retain)| retain).max().unwrap_or(0);
        let mut reads: Vec<_> = self.calls.iter().filter_map(|read| Some((read, recovered(read)?))).collect();
        reads.sort_by_key(|(read, _)| read.last_effect());
        // The adds that had begun, by their ids.
        let mut begun: BTreeMap<u64, Vec<&Operation<'_>>> = BTreeMap::new();
        reads.into_iter().find_map(|(read, found)| {
            while let Some(((id, _), add)) = adds.next_if(|(_, add)| add.invoked.position < read.last_effect()) {
                begun.entry(id).or_default().push(add);
            }
            // As many newer ones as anybody retains have subsumed all that are older.
            let mut newer = 0;
            let doubtful = begun.iter().rev().take_while(|(_, same)| {
                let is_doubtful = newer < quota_max;
                newer += same.len();
                is_doubtful
            });
            let missing = doubtful.filter(|(id, _)| !found.contains(id)).flat_map(|(_, same)| same);
            let mut missing = missing.filter(|add| add.is_done_before(read.invoked.position));
            missing.find(|add| !self.is_subsumed(add, read)).map(|add| (*add, read))
        })
    }

    fn is_subsumed(&self, add: &Operation<'_>, read: &Operation<'_>) -> bool {
        let Call::AddCheckpoint { id, .. } = add.call else { return true };
        // Only what was added after it, or is newer, can have taken its place.
        let others = self.calls.iter().filter(|other| other.can_apply() && other.invoked.position < read.last_effect());
        let later = others.filter_map(|other| match other.call {
            Call::AddCheckpoint { id: other_id, retain, .. } => {
                let is_later = other_id > id || other.last_effect() > add.invoked.position;
                (is_later && other_id != id).then_some(*retain)
            }
            _ => None,
        });
        let (count, quota) = later.fold((0, usize::MAX), |(count, quota), retain| (count + 1, quota.min(retain)));
        let enough = quota.saturating_sub(kept_below_savepoints(self.calls)).max(1);
        count >= enough || self.removals.may_remove(add.invoked.position, read.last_effect())
    }

    /// The acknowledged step that a counter has forgotten.
    fn lost_steps(&self) -> Lost<'a, 'h> {
        // The least id that may be next after it.
        let next_after = |step: &Operation<'_>| match (step.call, step.fate()) {
            (Call::NextId { .. }, Fate::Done(Answer::Id(id))) => id.checked_add(1),
            (Call::SetCount { next, .. }, Fate::Done(_)) => Some(*next),
            _ => None,
        };
        let mut steps: Vec<_> = self.calls.iter().filter_map(|step| Some((step, next_after(step)?))).collect();
        steps.sort_by_key(|(step, _)| step.last_effect());
        // The greatest of all up to each: mostly nothing is greater than what was read.
        let greatest: Vec<u64> = steps
            .iter()
            .scan(0, |greatest, (_, after)| {
                *greatest = after.max(greatest).to_owned();
                Some(*greatest)
            })
            .collect();
        self.calls.iter().find_map(|read| {
            let (Call::ReadCounter { .. }, Fate::Done(Answer::Id(next))) = (read.call, read.fate()) else {
                return None;
            };
            let done = steps.partition_point(|(step, _)| step.last_effect() < read.invoked.position);
            if greatest.get(done.checked_sub(1)?)? <= next {
                return None;
            }
            // What was there before a removal that may have been since is no step of this counter.
            let removed = self.removals.latest_before(read.last_effect());
            let since = steps[..done].iter().rev().take_while(|(step, _)| step.last_effect() >= removed);
            let mut forgotten = since.filter(|(step, after)| after > next && step.invoked.position >= removed);
            forgotten.next().map(|(step, _)| (*step, read))
        })
    }
}

fn recovered(read: &Operation<'_>) -> Option<Vec<u64>> {
    match read.fate() {
        Fate::Done(Answer::Checkpoints(found)) => Some(found.iter().map(|checkpoint| checkpoint.id).collect()),
        _ => None,
    }
}
