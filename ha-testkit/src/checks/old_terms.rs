use super::operation::{Fate, Operation, Operations};
use super::terms::must_write;
use super::thing::{Thing, removes};
use super::values::{sights, written};
use super::{Check, Place, Violation};
use crate::history::{Call, Event};

/// No write of an old term takes effect after a newer term began.
///
/// A write that was invoked after somebody showed a newer term, and was acknowledged all the same, passed the fence;
/// so did one of unknown outcome whose value is read later. A removal may be done without a write, if there is nothing
/// to remove: it counts where something was there for certain.
#[derive(Debug, Clone, Copy)]
pub struct OldTermsWriteNothing;

impl Check for OldTermsWriteNothing {
    fn name(&self) -> &'static str {
        "old terms write nothing"
    }

    fn promise(&self) -> &'static str {
        "No write of a deposed leader is applied: none of an old term after a newer one has begun."
    }

    fn promised_in(&self) -> Place {
        Place { file: "README.md", words: "No write of a deposed leader is ever applied to HA metadata." }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        for write in operations.all.iter().filter(|operation| operation.call.is_write()) {
            let Some(newer) = write.fenced.filter(|newer| newer.position < write.invoked.position) else { continue };
            if write.is_done() && (must_write(write.call) || had_something_to_do(&operations.all, write)) {
                let what = "a write was acknowledged, which began after a newer term than its own had";
                let shown = write.events().chain([newer.event]);
                return Err(Violation::broken(self.name(), what.into(), shown));
            }
            let read = match write.fate() {
                Fate::Unknown => read_of(&operations.all, write),
                Fate::Done(_) | Fate::NotApplied(_) => None,
            };
            if let Some(read) = read {
                let what = "a write is seen, which began after a newer term than its own had";
                let shown = write.events().chain([newer.event]).chain(read.events());
                return Err(Violation::broken(self.name(), what.into(), shown));
            }
        }
        Ok(())
    }
}

/// Whether what the call removes or marks was there for certain, so that it had to write.
fn had_something_to_do(all: &[Operation<'_>], call: &Operation<'_>) -> bool {
    let thing = Thing::of(call.call);
    let same: Vec<Operation<'_>> = all.iter().copied().filter(|other| Thing::of(other.call) == thing).collect();
    let ends_it = |other: &Call| match call.call {
        Call::CleanResult { .. } => matches!(other, Call::CleanResult { .. }),
        _ => removes(other),
    };
    let is_other = |other: &Operation<'_>| other.invoked.position != call.invoked.position;
    if matches!(call.call, Call::PutBlob { .. }) {
        // The same content may be there already, unless nobody else ever wrote it.
        return !same.iter().any(|other| is_other(other) && matches!(other.call, Call::PutBlob { .. }));
    }
    let stored = same.iter().filter(|other| other.call.is_write() && !ends_it(other.call));
    stored.filter(|stored| stored.is_done_before(call.invoked.position)).any(|stored| {
        let mut ends = same.iter().filter(|other| is_other(other) && ends_it(other.call) && other.can_apply());
        let until = call.last_effect();
        !ends.any(|end| end.last_effect() > stored.invoked.position && end.invoked.position < until)
    })
}

/// A read that has seen what only this write can have written.
fn read_of<'a, 'h>(all: &'a [Operation<'h>], write: &Operation<'h>) -> Option<&'a Operation<'h>> {
    let (thing, value) = (Thing::of(write.call), written(write.call)?);
    let about = |other: &&Operation<'h>| Thing::of(other.call) == thing;
    let is_other = |other: &&Operation<'h>| other.invoked.position != write.invoked.position;
    let mut others = all.iter().filter(about).filter(is_other).filter(|other| written(other.call) == Some(value));
    if others.any(|other| other.can_apply()) {
        return None;
    }
    all.iter().filter(about).find(|read| sights(read).contains(&value))
}
