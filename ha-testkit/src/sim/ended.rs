use std::collections::BTreeMap;

use super::simulate::{Finding, finding};
use crate::checks::must_write;
use crate::history::{Event, Outcome, What};

/// The first write that was acknowledged under a term which had been ended in the store before the write was invoked:
/// by an operator, by a foreign edit of the latch, by evidence. Only whoever runs the world knows of the moment.
pub(super) fn written_after(history: &[Event], over: &BTreeMap<u64, u64>) -> Option<Finding> {
    let mut late: BTreeMap<(&str, u32, u64), &Event> = BTreeMap::new();
    history.iter().find_map(|event| {
        let life = (event.process.as_str(), event.incarnation);
        match &event.what {
            What::Invoked { op, under: Some(term), call } if must_write(call) => {
                if over.get(&term.epoch).is_some_and(|since| *since < event.at_ns) {
                    late.insert((life.0, life.1, *op), event);
                }
                None
            }
            What::Returned { op, outcome: Outcome::Done(_) } => {
                let invoked = late.get(&(life.0, life.1, *op))?;
                let text =
                    format!("a write was acknowledged, which began after its term was ended\n  {invoked}\n  {event}");
                Some(finding("an ended term writes nothing", &text))
            }
            _ => None,
        }
    })
}
