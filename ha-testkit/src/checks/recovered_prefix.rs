use std::collections::BTreeSet;

use super::operation::{Fate, Operation, Operations};
use super::thing::may_be_removed;
use super::{Check, Place, Violation};
use crate::history::{Answer, Call, Checkpoint, Event};

/// A recovered store is what some beginning of its history has left.
///
/// Checkpoints are added one after another, and the oldest give way. So if one that was acknowledged is not there, it
/// gave way: newer ones are there, as many as are retained, and nothing that is older and was there before it. And one
/// that was gone stays gone.
#[derive(Debug, Clone, Copy)]
pub struct RecoveredPrefix;

impl Check for RecoveredPrefix {
    fn name(&self) -> &'static str {
        "a recovered store is a prefix"
    }

    fn promise(&self) -> &'static str {
        "What is recovered is what the checkpoints that were added up to some point have left: no gap, nothing that \
         had given way."
    }

    fn promised_in(&self) -> Place {
        let words = "a checkpoint is in the store once its pointer is, and data is deleted only after its pointer was \
                     definitely removed";
        Place { file: "ha-core/src/checkpoint/store.rs", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        for (thing, calls) in Operations::of(history).by_thing() {
            let recoveries: Vec<_> = calls.iter().filter_map(|call| Some((call, recovered(call)?))).collect();
            for (at, (recovery, found)) in recoveries.iter().enumerate() {
                let broken = |what: &str, others: &[&Operation<'_>]| {
                    let shown = others.iter().flat_map(|other| other.events()).chain(recovery.events());
                    Err(Violation::broken(self.name(), format!("{thing}: {what}"), shown))
                };
                if !found.is_sorted_by(|one, other| one.id < other.id) {
                    return broken("recovered out of order, or twice", &[]);
                }
                if let Some(lost) = gone_too_early(&calls, recovery, found) {
                    return broken("one is gone that too few newer ones can have subsumed", &[lost]);
                }
                if let Some((lost, older)) = gap(&calls, recovery, found) {
                    return broken("one is gone, and an older one is there", &[older, lost]);
                }
                if let Some((earlier, added)) = came_back(&calls, recovery, found, &recoveries[..at]) {
                    return broken("one is there again that was gone", &[added, earlier]);
                }
            }
        }
        Ok(())
    }
}

fn recovered<'h>(call: &Operation<'h>) -> Option<&'h [Checkpoint]> {
    match (call.call, call.fate()) {
        (Call::Recover { .. }, Fate::Done(Answer::Checkpoints(found))) => Some(found),
        _ => None,
    }
}

fn id_of(call: &Operation<'_>) -> Option<u64> {
    match call.call {
        Call::AddCheckpoint { id, .. } => Some(*id),
        _ => None,
    }
}

/// The acknowledged adds that a recovery did not find. Whether they may have been removed is asked last: it costs most.
fn missing<'a, 'h>(
    calls: &'a [Operation<'h>],
    recovery: &'a Operation<'h>,
    found: &'a [Checkpoint],
) -> impl Iterator<Item = (u64, &'a Operation<'h>)> {
    let before = calls.iter().filter(|add| add.is_done_before(recovery.invoked.position));
    let absent = before.filter_map(|add| Some((id_of(add)?, add)));
    absent.filter(|(id, _)| found.iter().all(|checkpoint| checkpoint.id != *id))
}

fn gone_too_early<'a, 'h>(
    calls: &'a [Operation<'h>],
    recovery: &'a Operation<'h>,
    found: &'a [Checkpoint],
) -> Option<&'a Operation<'h>> {
    // Only what was added after it, or is newer, can have taken its place.
    let takes_place = |other: &Operation<'_>, id: u64, add: &Operation<'_>| {
        id_of(other).is_some_and(|of| of > id) || !other.is_done_before(add.invoked.position)
    };
    let too_early = |(id, add): &(u64, &Operation<'_>)| {
        let there = calls.iter().filter(|other| {
            let is_there = found.iter().any(|checkpoint| id_of(other) == Some(checkpoint.id));
            is_there && other.can_apply() && takes_place(other, *id, add)
        });
        let quotas = calls.iter().filter_map(|other| match other.call {
            Call::AddCheckpoint { id: other_id, retain, .. } => {
                (other_id != id && other.can_apply() && takes_place(other, *id, add)).then_some(*retain)
            }
            _ => None,
        });
        let count = there.filter_map(id_of).collect::<BTreeSet<_>>().len();
        quotas.min().is_none_or(|quota| count < quota)
            && !may_be_removed(calls, add.invoked.position, recovery.last_effect())
    };
    // Where as many newer ones are there as anybody retains, there is nothing to look for.
    let quota_max = calls.iter().filter_map(|call| match call.call {
        Call::AddCheckpoint { retain, .. } => Some(*retain),
        _ => None,
    });
    let quota_max = quota_max.max().unwrap_or(0);
    let doubtful = |id: u64| found.iter().filter(|checkpoint| checkpoint.id > id).count() < quota_max;
    missing(calls, recovery, found).filter(|(id, _)| doubtful(*id)).find(too_early).map(|(_, add)| add)
}

/// One that is missing although one that is older, and was there when it was added, is not.
fn gap<'a, 'h>(
    calls: &'a [Operation<'h>],
    recovery: &'a Operation<'h>,
    found: &'a [Checkpoint],
) -> Option<(&'a Operation<'h>, &'a Operation<'h>)> {
    let has_older = |id: u64| found.iter().any(|checkpoint| checkpoint.id < id);
    let missing = missing(calls, recovery, found).filter(|(id, _)| has_older(*id));
    let missing = missing.filter(|(_, add)| !may_be_removed(calls, add.invoked.position, recovery.last_effect()));
    let mut missing = missing;
    missing.find_map(|(id, lost)| {
        let was_there = |older: &&Operation<'_>| {
            let of = id_of(older).filter(|of| *of < id && found.iter().any(|checkpoint| checkpoint.id == *of));
            of.is_some() && older.is_done_before(lost.invoked.position)
        };
        calls.iter().find(was_there).map(|older| (lost, older))
    })
}

/// One that an earlier recovery did not find, which could only have been added before that.
fn came_back<'a, 'h>(
    calls: &'a [Operation<'h>],
    recovery: &Operation<'h>,
    found: &[Checkpoint],
    earlier: &[(&'a Operation<'h>, &'h [Checkpoint])],
) -> Option<(&'a Operation<'h>, &'a Operation<'h>)> {
    found.iter().find_map(|checkpoint| {
        let adds = calls.iter().filter(|add| id_of(add) == Some(checkpoint.id) && add.can_apply());
        let last = adds.max_by_key(|add| add.last_effect())?;
        let is_without = |(other, there): &&(&Operation<'_>, &[Checkpoint])| {
            let is_between =
                last.last_effect() < other.invoked.position && other.last_effect() < recovery.invoked.position;
            is_between && there.iter().all(|one| one.id != checkpoint.id)
        };
        earlier.iter().find(is_without).map(|(other, _)| (*other, last))
    })
}
