use std::collections::BTreeSet;

use super::operation::{Fate, Operation, Operations};
use super::thing::Thing;
use super::values::{Seen, sights, written};
use super::{Check, Place, Violation};
use crate::history::{Call, Event};

/// How often a recovery lists anew because what it had listed was subsumed meanwhile. More changes than that while it
/// runs beside another leader may make it give up.
const LISTS_MAX: usize = 5;

/// A pointer always leads to intact state.
///
/// No call ever finds state missing or corrupt. A history in which somebody damaged the state on purpose is none that
/// this check is for.
#[derive(Debug, Clone, Copy)]
pub struct PointersResolve;

impl Check for PointersResolve {
    fn name(&self) -> &'static str {
        "pointers resolve"
    }

    fn promise(&self) -> &'static str {
        "A pointer always leads to intact state: it is written before its pointer, and deleted after it."
    }

    fn promised_in(&self) -> Place {
        Place { file: "README.md", words: "A pointer always leads to intact state" }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        for call in &operations.all {
            let Fate::NotApplied(kind @ ("StateMissing" | "Corrupt")) = call.fate() else { continue };
            if !was_overtaken(&operations.all, call) {
                let what = format!("what is stored cannot be read: {kind}");
                return Err(Violation::broken(self.name(), what, call.events()));
            }
        }
        Ok(())
    }
}

/// Whether it is a recovery beside a leader that subsumed checkpoints all the time.
fn was_overtaken(all: &[Operation<'_>], call: &Operation<'_>) -> bool {
    let (Call::Recover { .. }, Some((returned, _))) = (call.call, call.returned) else { return false };
    let same = || all.iter().filter(|other| Thing::of(other.call) == Thing::of(call.call));
    // What an earlier recovery found was added before it, whatever its adder was told.
    let before = same().filter(|other| other.is_done_before(call.invoked.position));
    let seen: BTreeSet<Seen<'_>> = before.flat_map(sights).collect();
    let is_over =
        |other: &Operation<'_>| !other.is_done() && written(other.call).is_some_and(|value| seen.contains(&value));
    let meanwhile = same().filter(|other| other.call.is_write() && other.can_apply() && !is_over(other));
    let meanwhile = meanwhile.filter(|other| other.invoked.position < returned.position);
    meanwhile.filter(|other| other.last_effect() > call.invoked.position).count() >= LISTS_MAX
}
