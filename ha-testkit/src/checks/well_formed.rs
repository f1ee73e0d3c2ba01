use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Place, Violation};
use crate::history::{Answer, Call, Event, Outcome, What};

/// The history is one: time does not go back, each return is that of a call that was made and fits it, nobody does
/// anything after its end, and no process has two lives at once.
///
/// The other checks leave out what is malformed. Without this one, a history that was written down wrongly would pass.
#[derive(Debug, Clone, Copy)]
pub struct WellFormed;

impl Check for WellFormed {
    fn name(&self) -> &'static str {
        "well-formed"
    }

    fn promise(&self) -> &'static str {
        "The history is written by its rules, so that the other checks see all of it."
    }

    fn promised_in(&self) -> Place {
        let words = "Note an invocation before the call is made, and its return after the answer is there.";
        Place { file: "ha-testkit/src/history/mod.rs", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let mut order = Order::default();
        for event in history {
            if let Err((what, before)) = order.takes(event) {
                return Err(Violation::broken(self.name(), what.into(), before.into_iter().chain([event])));
            }
        }
        Ok(())
    }
}

/// A life of a process.
type Life<'h> = (&'h str, u32);

/// What was seen so far.
#[derive(Default)]
struct Order<'h> {
    last: Option<&'h Event>,
    ended: BTreeMap<Life<'h>, &'h Event>,
    begun: BTreeMap<Life<'h>, &'h Event>,
    open: BTreeMap<(Life<'h>, u64), (&'h Event, &'h Call)>,
    numbers: BTreeSet<(Life<'h>, u64)>,
}

impl<'h> Order<'h> {
    /// Takes the next event, or says what is wrong with it, and with which one before.
    fn takes(&mut self, event: &'h Event) -> Result<(), (&'static str, Option<&'h Event>)> {
        let life = (event.process.as_str(), event.incarnation);
        if let Some(last) = self.last.replace(event).filter(|last| last.at_ns > event.at_ns) {
            return Err(("time goes back", Some(last)));
        }
        if let Some(end) = self.ended.get(&life) {
            return Err(("something is told of a process after its end", Some(*end)));
        }
        match &event.what {
            What::Started => {
                if let Some(before) = self.begun.insert(life, event) {
                    return Err(("one life of a process begins twice", Some(before)));
                }
                // Two processes under one name would be taken for one, and excuse each other.
                let others = self.begun.range((life.0, 0)..=(life.0, u32::MAX)).filter(|(of, _)| **of != life);
                if let Some((_, other)) =
                    others.into_iter().find(|(of, _)| of.1 > life.1 || !self.ended.contains_key(of))
                {
                    return Err(("a process begins a life before the other one has ended", Some(*other)));
                }
            }
            What::Killed | What::Closed => drop(self.ended.insert(life, event)),
            What::Invoked { op, call, .. } => {
                if !self.numbers.insert((life, *op)) {
                    return Err(("a number of a call is used twice", None));
                }
                self.open.insert((life, *op), (event, call));
            }
            What::Returned { op, outcome } => {
                let Some((invoked, call)) = self.open.remove(&(life, *op)) else {
                    return Err(("a call returns that was not made, or returned before", None));
                };
                if !fits(call, outcome) {
                    return Err(("an answer is not one to its call", Some(invoked)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn fits(call: &Call, outcome: &Outcome) -> bool {
    let Outcome::Done(answer) = outcome else { return true };
    match call {
        Call::NextId { .. } | Call::ReadCounter { .. } => matches!(answer, Answer::Id(_)),
        Call::Recover { .. } => matches!(answer, Answer::Checkpoints(_)),
        Call::ReadPlan { .. } | Call::ReadBlob { .. } => matches!(answer, Answer::Value(_)),
        Call::ReadResult { .. } => matches!(answer, Answer::Result(_)),
        Call::ReadKey { .. } => matches!(answer, Answer::Key(_)),
        Call::WriteKey { value: Some(_), .. } => matches!(answer, Answer::Revision(_)),
        Call::WriteKey { value: None, .. } => matches!(answer, Answer::Revision(_) | Answer::Nothing),
        _ => *answer == Answer::Nothing,
    }
}
