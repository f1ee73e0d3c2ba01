use super::operation::{Fate, Operation, Operations};
use super::values::{sights, written};
use super::{Check, Place, Violation};
use crate::history::{Call, Event, Leader, What};

/// "Not applied" never appears later.
///
/// Every value that is read was written by somebody whose write can have been applied, and had begun. One that was
/// refused, and one that was never written, are not read; an address that was refused is not shown.
#[derive(Debug, Clone, Copy)]
pub struct NotAppliedNeverAppears;

impl Check for NotAppliedNeverAppears {
    fn name(&self) -> &'static str {
        "not applied never appears"
    }

    fn promise(&self) -> &'static str {
        "A write that was answered as not applied was not applied, and never will be."
    }

    fn promised_in(&self) -> Place {
        Place { file: "ha-core/src/error.rs", words: "`false` is a promise: it was not and will not be." }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        for (thing, calls) in operations.by_thing() {
            for read in &calls {
                for seen in sights(read) {
                    let writers: Vec<&Operation<'_>> =
                        calls.iter().filter(|call| written(call.call) == Some(seen)).collect();
                    if writers.iter().any(|write| can_be_seen_by(write, read.last_effect())) {
                        continue;
                    }
                    let refused = writers.iter().find(|write| matches!(write.fate(), Fate::NotApplied(_)));
                    let why = if refused.is_some() { "was refused" } else { "nobody had written" };
                    let what = format!("{thing} is read with a value that {why}");
                    let shown = writers.iter().take(2).flat_map(|write| write.events()).chain(read.events());
                    return Err(Violation::broken(self.name(), what, shown));
                }
            }
        }
        for (position, event) in history.iter().enumerate() {
            let What::Shown { component, leader: Some(leader), .. } = &event.what else { continue };
            if let Some(publish) = refused_address(&operations.all, component, leader, position) {
                let what = format!("an address of {component} is shown whose publication was refused");
                return Err(Violation::broken(self.name(), what, publish.events().chain([event])));
            }
        }
        Ok(())
    }
}

/// A write whose fence had closed before it began cannot be applied; that it was is for
/// [`OldTermsWriteNothing`](super::OldTermsWriteNothing) to say.
fn can_be_seen_by(write: &Operation<'_>, position: usize) -> bool {
    !matches!(write.fate(), Fate::NotApplied(_)) && write.invoked.position < position
}

/// A refused publication of this address, if no other one explains it.
fn refused_address<'a, 'h>(
    all: &'a [Operation<'h>],
    component: &str,
    leader: &Leader,
    position: usize,
) -> Option<&'a Operation<'h>> {
    let published = |call: &&Operation<'h>| {
        let same = matches!(call.call, Call::Publish { component: of, address } if of == component && *address == leader.address);
        same && call.under == Some(&leader.term)
    };
    if all.iter().filter(published).any(|call| can_be_seen_by(call, position)) {
        return None;
    }
    all.iter().find(published)
}
