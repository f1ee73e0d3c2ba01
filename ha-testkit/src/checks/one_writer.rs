use std::collections::BTreeMap;

use super::operation::{At, Operations};
use super::terms::must_write;
use super::{Check, Place, Violation};
use crate::history::{Event, Term, What};

/// At most one effective writer per term.
///
/// All grants of a term, and all acknowledged writes under it, are of one life of one process. A process that was
/// restarted is another one: it has to win a term of its own.
#[derive(Debug, Clone, Copy)]
pub struct OneWriterPerTerm;

impl Check for OneWriterPerTerm {
    fn name(&self) -> &'static str {
        "one writer per term"
    }

    fn promise(&self) -> &'static str {
        "Of each term there is at most one process that leads and writes under it."
    }

    fn promised_in(&self) -> Place {
        Place { file: "README.md", words: "What is promised is that the writes of two are never mixed." }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        let granted = history.iter().enumerate().filter_map(|(position, event)| match &event.what {
            What::Granted { term, .. } => Some((term, At { position, event })),
            _ => None,
        });
        let wrote = operations.done().filter(|(operation, _)| must_write(operation.call));
        let wrote = wrote.filter_map(|(operation, _)| Some((operation.under?, operation.returned?.0)));
        let mut effective: Vec<(&Term, At<'_>)> = granted.chain(wrote).collect();
        effective.sort_by_key(|(_, at)| at.position);

        let mut writers: BTreeMap<&Term, &Event> = BTreeMap::new();
        for (term, at) in effective {
            let first = *writers.entry(term).or_insert(at.event);
            if (&first.process, first.incarnation) != (&at.event.process, at.event.incarnation) {
                let what = format!("{term} is that of two processes, or of two lives of one");
                let calls = operations.all.iter().filter(|operation| {
                    operation.returned.is_some_and(|(returned, _)| [first, at.event].contains(&returned.event))
                });
                let shown = calls.flat_map(|call| call.events()).chain([first, at.event]);
                return Err(Violation::broken(self.name(), what, shown));
            }
        }
        Ok(())
    }
}
