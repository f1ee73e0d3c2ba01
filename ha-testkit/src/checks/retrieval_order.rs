use std::collections::BTreeMap;

use super::{Check, Place, Violation};
use crate::history::{Event, What};

/// Retrieval never goes back: no observer is shown a leader of an older term after one of a newer term.
#[derive(Debug, Clone, Copy)]
pub struct RetrievalNeverGoesBack;

impl Check for RetrievalNeverGoesBack {
    fn name(&self) -> &'static str {
        "retrieval never goes back"
    }

    fn promise(&self) -> &'static str {
        "An observer is never shown the leader of an older term after that of a newer one."
    }

    fn promised_in(&self) -> Place {
        Place { file: "ha-core/src/retrieval/watch.rs", words: "A view never goes back to an older term." }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        // The newest that each observer has shown of each component, by latch.
        let mut newest = BTreeMap::new();
        for event in history {
            let What::Shown { observer, component, leader: Some(leader) } = &event.what else { continue };
            let of = (event.process.as_str(), event.incarnation, observer.as_str(), component.as_str());
            let (epoch, latch) = (leader.term.epoch, leader.term.latch.as_str());
            let known: &mut (u64, &Event) = newest.entry((of, latch)).or_insert((epoch, event));
            if epoch < known.0 {
                let what = format!("{observer} shows epoch {epoch} of {component} after {}", known.0);
                return Err(Violation::broken(self.name(), what, [known.1, event]));
            }
            *known = (epoch, event);
        }
        Ok(())
    }
}
