use std::collections::{BTreeMap, BTreeSet};

use super::operation::{Fate, Operation, Operations};
use super::values::{Seen, sights, written};
use super::{Check, Place, Violation};
use crate::history::{Call, Event, Term, What};

/// "Not applied" never appears later.
///
/// Every value that is read was written by somebody whose write can have been applied, and had begun. One that was
/// refused, and one that was never written, are not read; an address that was refused, or that nobody published under
/// its term, is not shown.
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
            let mut writers: BTreeMap<Seen<'_>, Vec<&Operation<'_>>> = BTreeMap::new();
            for write in &calls {
                written(write.call).into_iter().for_each(|value| writers.entry(value).or_default().push(write));
            }
            for read in &calls {
                for seen in sights(read) {
                    let writers = writers.get(&seen).map_or(&[][..], |writers| writers);
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
        self.check_addresses(history, &operations)
    }
}

impl NotAppliedNeverAppears {
    fn check_addresses(&self, history: &[Event], operations: &Operations<'_>) -> Result<(), Violation> {
        let mut published: BTreeMap<(&str, &str, &Term), Vec<&Operation<'_>>> = BTreeMap::new();
        for call in &operations.all {
            if let (Call::Publish { component, address }, Some(term)) = (call.call, call.under) {
                published.entry((component, address, term)).or_default().push(call);
            }
        }
        // A history in which nobody publishes for a component tells nothing of its addresses.
        let told_of: BTreeSet<&str> = published.keys().map(|(component, ..)| *component).collect();
        for (position, event) in history.iter().enumerate() {
            let What::Shown { component, leader: Some(leader), .. } = &event.what else { continue };
            if !told_of.contains(component.as_str()) {
                continue;
            }
            let published = published.get(&(component.as_str(), &leader.address, &leader.term));
            let published = published.map_or(&[][..], |published| published);
            if !published.iter().any(|call| can_be_seen_by(call, position)) {
                let why = if published.is_empty() { "that nobody published" } else { "whose publication was refused" };
                let what = format!("an address of {component} is shown {why}");
                let events = published.first().into_iter().flat_map(|call| call.events()).chain([event]);
                return Err(Violation::broken(self.name(), what, events));
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
