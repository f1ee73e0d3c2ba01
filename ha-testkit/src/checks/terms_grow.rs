use std::collections::BTreeMap;

use super::operation::Operations;
use super::{Check, Place, Violation};
use crate::history::{Event, What};

/// Terms grow.
///
/// A contender is told later of a grant than the store knows of it, so the order in which processes tell of their
/// grants proves nothing. Two orders do: one contender hears of its terms as they come; and a process that was started
/// after a term had begun can win newer ones only.
#[derive(Debug, Clone, Copy)]
pub struct TermsGrow;

impl Check for TermsGrow {
    fn name(&self) -> &'static str {
        "terms grow"
    }

    fn promise(&self) -> &'static str {
        "The epoch of each term is strictly greater than that of every earlier one of its latch."
    }

    fn promised_in(&self) -> Place {
        let words = "Strictly greater than that of every earlier term of the latch, on every backend";
        Place { file: "ha-core/src/backend/session.rs", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        let mut started: BTreeMap<(&str, u32), (usize, &Event)> = BTreeMap::new();
        // The last grant of each contender.
        let mut last: BTreeMap<(&str, u32, &str, &str), (u64, &Event)> = BTreeMap::new();
        for (position, event) in history.iter().enumerate() {
            let life = (event.process.as_str(), event.incarnation);
            match &event.what {
                What::Started => drop(started.insert(life, (position, event))),
                What::Granted { component, term } => {
                    let contender = (life.0, life.1, component.as_str(), term.latch.as_str());
                    let before = last.insert(contender, (term.epoch, event));
                    if let Some((_, before)) = before.filter(|(epoch, _)| *epoch >= term.epoch) {
                        let what = format!("{component} was granted {term} after a term that is not older");
                        return Err(Violation::broken(self.name(), what, [before, event]));
                    }
                    let (Some((start, began)), Some(first)) = (started.get(&life), operations.terms.first_from(term))
                    else {
                        continue;
                    };
                    if first.position < *start {
                        let what =
                            format!("{term} was won by a process that was started after it, or a newer one, began");
                        return Err(Violation::broken(self.name(), what, [first.event, began, event]));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
