use std::collections::BTreeMap;

use super::terms::{Terms, must_write};
use super::thing::Thing;
use crate::history::{Answer, Call, Event, Outcome, Term, What};

/// An event and its position, which is its place in the order of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'h> {
    pub(super) position: usize,
    pub(super) event: &'h Event,
}

/// A call and all that is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'h> {
    pub(super) call: &'h Call,
    pub(super) under: Option<&'h Term>,
    pub(super) invoked: At<'h>,
    pub(super) returned: Option<(At<'h>, &'h Outcome)>,
    /// When a newer term than its own had begun, so that it cannot be applied any more.
    pub(super) fenced: Option<At<'h>>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate<'h> {
    Done(&'h Answer),
    NotApplied(&'h str),
    Unknown,
}

impl<'h> Operation<'h> {
    pub(super) fn fate(&self) -> Fate<'h> {
        match self.returned {
            Some((_, Outcome::Done(answer))) => Fate::Done(answer),
            Some((_, Outcome::NotApplied { kind })) => Fate::NotApplied(kind),
            Some((_, Outcome::Unknown { .. })) | None => Fate::Unknown,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.fate(), Fate::Done(_))
    }

    /// Whether it may have been applied, or be applied yet.
    pub(super) fn can_apply(&self) -> bool {
        match self.fate() {
            Fate::Done(_) => true,
            Fate::NotApplied(_) => false,
            Fate::Unknown => self.last_effect() > self.invoked.position,
        }
    }

    /// The last position at which it can have taken effect: its return if it was acknowledged, and in any case the
    /// beginning of a newer term, for a write is refused from then on. What was acknowledged although it began later
    /// counts as it was told; [`OldTermsWriteNothing`](super::OldTermsWriteNothing) reports it.
    pub(super) fn last_effect(&self) -> usize {
        let fenced = self.fenced.map_or(usize::MAX, |at| at.position);
        match (self.fate(), self.returned) {
            (Fate::Done(_), Some((at, _))) if fenced > self.invoked.position && must_write(self.call) => {
                at.position.min(fenced)
            }
            (Fate::Done(_), Some((at, _))) => at.position,
            _ => fenced,
        }
    }

    /// Whether it was acknowledged, and had taken effect before that position.
    pub(super) fn is_done_before(&self, position: usize) -> bool {
        self.is_done() && self.last_effect() < position
    }

    /// Its invocation, and its return if there is one.
    pub(super) fn events(&self) -> impl Iterator<Item = &'h Event> {
        [Some(self.invoked.event), self.returned.map(|(at, _)| at.event)].into_iter().flatten()
    }
}

/// The calls of a history, in the order of their invocations, and the terms that it shows.
#[derive(Debug)]
pub(super) struct Operations<'h> {
    pub(super) all: Vec<Operation<'h>>,
    pub(super) terms: Terms<'h>,
}

impl<'h> Operations<'h> {
    /// Reads them. What is malformed is left out here, and told by [`WellFormed`](super::WellFormed).
    pub(super) fn of(history: &'h [Event]) -> Self {
        let mut all: Vec<Operation<'h>> = Vec::new();
        let mut open: BTreeMap<(&str, u32, u64), usize> = BTreeMap::new();
        for (position, event) in history.iter().enumerate() {
            let at = At { position, event };
            match &event.what {
                What::Invoked { op, under, call } => {
                    open.insert((&event.process, event.incarnation, *op), all.len());
                    all.push(Operation { call, under: under.as_ref(), invoked: at, returned: None, fenced: None });
                }
                What::Returned { op, outcome } => {
                    if let Some(index) = open.remove(&(event.process.as_str(), event.incarnation, *op)) {
                        all[index].returned = Some((at, outcome));
                    }
                }
                _ => {}
            }
        }
        let terms = Terms::of(history, &all);
        for operation in &mut all {
            operation.fenced = operation.under.and_then(|term| terms.first_after(term));
        }
        Self { all, terms }
    }

    /// The calls that were done, with their answers.
    pub(super) fn done(&self) -> impl Iterator<Item = (&Operation<'h>, &'h Answer)> {
        self.all.iter().filter_map(|operation| match operation.fate() {
            Fate::Done(answer) => Some((operation, answer)),
            _ => None,
        })
    }

    /// The calls on each stored thing.
    pub(super) fn by_thing(&self) -> BTreeMap<Thing<'h>, Vec<Operation<'h>>> {
        let mut things: BTreeMap<Thing<'h>, Vec<Operation<'h>>> = BTreeMap::new();
        for operation in &self.all {
            if let Some(thing) = Thing::of(operation.call) {
                things.entry(thing).or_default().push(*operation);
            }
        }
        things
    }
}
