use super::operation::{Fate, Operation, Operations};
use super::thing::Removals;
use super::{Check, Place, Violation};
use crate::history::{Answer, Call, Event};

/// Ids of a counter are unique, and grow: one that was taken after another one was there is greater.
///
/// A counter that may have been removed in between may begin anew.
#[derive(Debug, Clone, Copy)]
pub struct IdsAreUnique;

impl Check for IdsAreUnique {
    fn name(&self) -> &'static str {
        "ids are unique and grow"
    }

    fn promise(&self) -> &'static str {
        "An id that was handed out is never handed out again, and later ones are greater."
    }

    fn promised_in(&self) -> Place {
        Place {
            file: "ha-core/src/checkpoint/counter.rs",
            words: "An id that was handed out is never handed out again",
        }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        for (thing, calls) in Operations::of(history).by_thing() {
            let removals = Removals::of(&calls);
            let mut taken: Vec<(u64, &Operation<'_>)> =
                calls.iter().filter_map(|call| Some((id(call)?, call))).collect();
            taken.sort_by_key(|(_, call)| (call.last_effect(), call.invoked.position));
            // The greatest since the last removal that may have been.
            let (mut newest, mut removed) = (0, 0);
            for (at, (later_id, later)) in taken.iter().enumerate() {
                let now = removals.latest_before(later.last_effect());
                let since = taken[..at].partition_point(|(_, earlier)| earlier.last_effect() < now);
                let since = &taken[since..at];
                if now != removed {
                    removed = now;
                    newest = since.iter().map(|(earlier, _)| *earlier).max().unwrap_or(0);
                }
                // Mostly an id is greater than all before it, and there is nothing to look for.
                if *later_id <= newest
                    && let Some((earlier_id, earlier)) = conflicting(since, removed, *later_id, later)
                {
                    let what = format!("{thing} gave {later_id} after {earlier_id}");
                    return Err(Violation::broken(self.name(), what, earlier.events().chain(later.events())));
                }
                newest = newest.max(*later_id);
            }
        }
        Ok(())
    }
}

fn id(call: &Operation<'_>) -> Option<u64> {
    match (call.call, call.fate()) {
        (Call::NextId { .. }, Fate::Done(Answer::Id(id))) => Some(*id),
        _ => None,
    }
}

/// One of the earlier calls that has the same id, or a greater one although it was over before this one began, of
/// those that were made after what may have been removed. Calls that overlap may take their ids in any order.
fn conflicting<'a, 'h>(
    before: &[(u64, &'a Operation<'h>)],
    removed: usize,
    later_id: u64,
    later: &Operation<'h>,
) -> Option<(u64, &'a Operation<'h>)> {
    before.iter().copied().find(|(earlier_id, earlier)| {
        let was_there = earlier.last_effect() < later.invoked.position;
        let wrong = *earlier_id == later_id || (was_there && *earlier_id > later_id);
        wrong && earlier.invoked.position >= removed
    })
}
