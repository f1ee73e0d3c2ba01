use std::collections::{BTreeMap, BTreeSet};

use super::operation::{Fate, Operation, Operations};
use super::thing::{Removals, kept_below_savepoints};
use super::{Check, Place, Violation};
use crate::history::{Answer, Call, Checkpoint, Event, TakenFor};

/// A recovered store is what some beginning of its history has left.
///
/// Checkpoints are added one after another, and the oldest give way. So if one that was acknowledged is not there, it
/// gave way: newer ones are there, as many as are retained, and nothing that is older and was there before it. And one
/// that was gone stays gone.
#[derive(Debug, Clone, Copy)]
pub struct RecoveredPrefix;

impl Check for RecoveredPrefix {
    fn name(&self) -> &'static str {
        "a recovered store is a prefix"
    }

    fn promise(&self) -> &'static str {
        "What is recovered is what the checkpoints that were added up to some point have left: no gap, nothing that \
         had given way."
    }

    fn promised_in(&self) -> Place {
        let words = "a checkpoint is in the store once its pointer is, and data is deleted only after its pointer was \
                     definitely removed";
        Place { file: "ha-core/src/checkpoint/store.rs", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        for (thing, calls) in Operations::of(history).by_thing() {
            Added::of(&calls)
                .judge()
                .map_err(|(what, events)| Violation::broken(self.name(), format!("{thing}: {what}"), events))?;
        }
        Ok(())
    }
}

/// What is wrong, and the events that show it.
type Broken<'h> = (&'static str, Vec<&'h Event>);

/// A recovery, and what it has found.
type Recovery<'a, 'h> = (&'a Operation<'h>, &'h [Checkpoint]);

/// The calls on the checkpoints of one job.
struct Added<'a, 'h> {
    calls: &'a [Operation<'h>],
    removals: Removals,
    /// In the order of their invocations.
    recoveries: Vec<Recovery<'a, 'h>>,
    /// The adds that can have been applied, by their ids.
    adds: BTreeMap<u64, Vec<&'a Operation<'h>>>,
    quota_max: usize,
    /// By how much the newest may be fewer than the quota.
    spare: usize,
}

impl<'a, 'h> Added<'a, 'h> {
    fn of(calls: &'a [Operation<'h>]) -> Self {
        let recoveries = calls.iter().filter_map(|call| Some((call, recovered(call)?))).collect();
        let mut adds: BTreeMap<u64, Vec<&Operation<'_>>> = BTreeMap::new();
        for add in calls.iter().filter(|call| call.can_apply()) {
            id_of(add).into_iter().for_each(|id| adds.entry(id).or_default().push(add));
        }
        let quota_max = calls.iter().filter_map(|call| match call.call {
            Call::AddCheckpoint { retain, .. } => Some(*retain),
            _ => None,
        });
        let quota_max = quota_max.max().unwrap_or(0);
        Self { calls, removals: Removals::of(calls), recoveries, adds, quota_max, spare: kept_below_savepoints(calls) }
    }

    fn judge(&self) -> Result<(), Broken<'h>> {
        let mut acknowledged: Vec<(u64, &Operation<'_>)> =
            self.calls.iter().filter(|add| add.is_done()).filter_map(|add| Some((id_of(add)?, add))).collect();
        acknowledged.sort_by_key(|(_, add)| add.last_effect());
        let mut acknowledged = acknowledged.into_iter().peekable();
        // The adds that were acknowledged before a recovery began, by their ids.
        let mut there: BTreeMap<u64, Vec<&Operation<'_>>> = BTreeMap::new();
        for (at, (recovery, found)) in self.recoveries.iter().enumerate() {
            let broken = |what: &'static str, others: &[&Operation<'h>]| {
                Err((what, others.iter().flat_map(|other| other.events()).chain(recovery.events()).collect()))
            };
            let began = recovery.invoked.position;
            while let Some((id, add)) = acknowledged.next_if(|(_, add)| add.last_effect() < began) {
                there.entry(id).or_default().push(add);
            }
            if !found.is_sorted_by(|one, other| one.id < other.id) {
                return broken("recovered out of order, or twice", &[]);
            }
            if let Some(lost) = self.gone_too_early(&there, recovery, found) {
                return broken("one is gone that too few newer ones can have subsumed", &[lost]);
            }
            if let Some((lost, older)) = self.gap(&there, recovery, found) {
                return broken("one is gone, and an older one is there", &[older, lost]);
            }
            if let Some((earlier, added)) = self.came_back(recovery, found, &self.recoveries[..at]) {
                return broken("one is there again that was gone", &[added, earlier]);
            }
        }
        Ok(())
    }

    fn gone_too_early(
        &self,
        there: &BTreeMap<u64, Vec<&'a Operation<'h>>>,
        recovery: &Operation<'h>,
        found: &[Checkpoint],
    ) -> Option<&'a Operation<'h>> {
        // Where as many newer ones are there as anybody retains, there is nothing to look for.
        let doubtful_from = found.len().checked_sub(self.quota_max.max(1)).map_or(0, |at| found[at].id);
        missing(there, doubtful_from, found)
            .find(|(id, add)| self.is_too_early(*id, add, recovery, found))
            .map(|of| of.1)
    }

    fn is_too_early(&self, id: u64, add: &Operation<'h>, recovery: &Operation<'h>, found: &[Checkpoint]) -> bool {
        // Only what was added after it, or is newer, can have taken its place.
        let takes_place = |of: u64, other: &Operation<'_>| of > id || !other.is_done_before(add.invoked.position);
        let there =
            found.iter().filter_map(|checkpoint| self.adds.get(&checkpoint.id).map(|adds| (checkpoint.id, adds)));
        let there = there.filter(|(of, adds)| adds.iter().any(|other| takes_place(*of, other)));
        let count = there.map(|(of, _)| of).collect::<BTreeSet<_>>().len();
        let enough = |quota: usize| count >= quota.saturating_sub(self.spare).max(1);
        if enough(self.quota_max) || self.removals.may_remove(add.invoked.position, recovery.last_effect()) {
            return false;
        }
        let quotas = self.calls.iter().filter_map(|other| match other.call {
            Call::AddCheckpoint { id: of, retain, .. } => {
                (*of != id && other.can_apply() && takes_place(*of, other)).then_some(*retain)
            }
            _ => None,
        });
        quotas.min().is_none_or(|quota| !enough(quota))
    }

    /// The adds that can have led to what was found.
    fn adds_of(&self, found: &Checkpoint) -> Vec<&'a Operation<'h>> {
        let same =
            |add: &&Operation<'_>| matches!(add.call, Call::AddCheckpoint { state, .. } if *state == found.state);
        self.adds.get(&found.id).into_iter().flatten().copied().filter(same).collect()
    }

    /// One that is missing although one that is older, and was there when it was added, is not. A savepoint may go before
    /// an older checkpoint, which stays if there is no newer one.
    fn gap(
        &self,
        there: &BTreeMap<u64, Vec<&'a Operation<'h>>>,
        recovery: &Operation<'h>,
        found: &[Checkpoint],
    ) -> Option<(&'a Operation<'h>, &'a Operation<'h>)> {
        let oldest = found.first()?.id;
        let missing = missing(there, oldest, found);
        let mut missing =
            missing.filter(|(_, add)| !self.removals.may_remove(add.invoked.position, recovery.last_effect()));
        missing.find_map(|(id, lost)| {
            let older = found.iter().take_while(|checkpoint| checkpoint.id < id);
            // Of a job that began anew there may be two of one id: what counts is the one that is there.
            let was_there = |older: &Operation<'_>| older.is_done_before(lost.invoked.position);
            let stays =
                |add: &Operation<'_>| taken_for(lost) != TakenFor::Checkpoint && taken_for(add) == TakenFor::Checkpoint;
            let older = older.map(|checkpoint| self.adds_of(checkpoint));
            let mut older = older.filter(|adds| !adds.iter().any(|add| stays(add)));
            let older = older.find(|adds| !adds.is_empty() && adds.iter().all(|add| was_there(add)))?;
            Some((lost, older[0]))
        })
    }

    /// One that an earlier recovery did not find, which could only have been added before that.
    fn came_back(
        &self,
        recovery: &Operation<'h>,
        found: &[Checkpoint],
        earlier: &[Recovery<'a, 'h>],
    ) -> Option<(&'a Operation<'h>, &'a Operation<'h>)> {
        found.iter().find_map(|checkpoint| {
            let last = self.adds.get(&checkpoint.id)?.iter().max_by_key(|add| add.last_effect())?;
            let since = earlier.partition_point(|(other, _)| other.invoked.position <= last.last_effect());
            let is_without = |(other, there): &&Recovery<'_, '_>| {
                other.last_effect() < recovery.invoked.position && there.iter().all(|one| one.id != checkpoint.id)
            };
            earlier[since..].iter().find(is_without).map(|(other, _)| (*other, *last))
        })
    }
}

fn recovered<'h>(call: &Operation<'h>) -> Option<&'h [Checkpoint]> {
    match (call.call, call.fate()) {
        (Call::Recover { .. }, Fate::Done(Answer::Checkpoints(found))) => Some(found),
        _ => None,
    }
}

fn id_of(call: &Operation<'_>) -> Option<u64> {
    match call.call {
        Call::AddCheckpoint { id, .. } => Some(*id),
        _ => None,
    }
}

fn taken_for(add: &Operation<'_>) -> TakenFor {
    match add.call {
        Call::AddCheckpoint { taken_for, .. } => *taken_for,
        _ => TakenFor::Checkpoint,
    }
}

/// The acknowledged adds from that id on that a recovery did not find.
fn missing<'s, 'a, 'h>(
    there: &'s BTreeMap<u64, Vec<&'a Operation<'h>>>,
    from: u64,
    found: &'s [Checkpoint],
) -> impl Iterator<Item = (u64, &'a Operation<'h>)> + use<'s, 'a, 'h> {
    let absent = there.range(from..).filter(|(id, _)| found.iter().all(|checkpoint| checkpoint.id != **id));
    absent.flat_map(|(id, adds)| adds.iter().map(|add| (*id, *add)))
}
