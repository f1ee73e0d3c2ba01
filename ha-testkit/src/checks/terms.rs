use std::collections::BTreeMap;

use super::operation::{At, Operation};
use crate::history::{Call, Event, Outcome, Term, What};

/// By when each term had begun, as far as the history shows.
///
/// A term begins in the store, at one instant that no process sees. Every event that could not be without it proves
/// that it had begun: a grant, a view that shows its leader, an acknowledged write, a belief in it.
#[derive(Debug, Default)]
pub(super) struct Terms<'h> {
    /// For each latch the first proof of each epoch that was greater than all before it.
    records: BTreeMap<&'h str, Vec<(u64, At<'h>)>>,
}

impl<'h> Terms<'h> {
    pub(super) fn of(history: &'h [Event], operations: &[Operation<'h>]) -> Self {
        let acknowledged = operations.iter().filter_map(|operation| match operation.returned {
            Some((at, Outcome::Done(_))) if must_write(operation.call) => Some((at.position, operation.under?)),
            _ => None,
        });
        let acknowledged: BTreeMap<usize, &Term> = acknowledged.collect();
        let mut terms = Self::default();
        for (position, event) in history.iter().enumerate() {
            let proved = match &event.what {
                What::Granted { term, .. } | What::Believes { term, .. } => Some(term),
                What::Shown { leader: Some(leader), .. } => Some(&leader.term),
                What::Returned { .. } => acknowledged.get(&position).copied(),
                _ => None,
            };
            let Some(term) = proved else { continue };
            let records = terms.records.entry(&term.latch).or_default();
            if records.last().is_none_or(|(epoch, _)| *epoch < term.epoch) {
                records.push((term.epoch, At { position, event }));
            }
        }
        terms
    }

    /// The first proof that a newer term of the same latch had begun.
    pub(super) fn first_after(&self, term: &Term) -> Option<At<'h>> {
        let records = self.records.get(term.latch.as_str())?;
        let first = records.partition_point(|(epoch, _)| *epoch <= term.epoch);
        records.get(first).map(|(_, at)| *at)
    }

    /// The first proof that this term, or a newer one of the same latch, had begun.
    pub(super) fn first_from(&self, term: &Term) -> Option<At<'h>> {
        let records = self.records.get(term.latch.as_str())?;
        let first = records.partition_point(|(epoch, _)| *epoch < term.epoch);
        records.get(first).map(|(_, at)| *at)
    }
}

/// Whether the call, when it is acknowledged, has written to the store under its term. A call that finds nothing to do
/// is done without a write: what it removes is not there, what it marks is marked already.
pub(crate) fn must_write(call: &Call) -> bool {
    let may_find_nothing_to_do = matches!(
        call,
        Call::RemoveCounter { .. }
            | Call::RemoveCheckpoints { .. }
            | Call::RemovePlan { .. }
            | Call::RemoveBlob { .. }
            | Call::PutBlob { .. }
            | Call::CleanResult { .. }
    );
    call.is_write() && !may_find_nothing_to_do
}
