use std::collections::{BTreeMap, BTreeSet};

use super::operation::{Fate, Operation, Operations};
use super::terms::must_write;
use super::values::{Seen, sights, written};
use crate::history::{Answer, Call, Event, TakenFor, What};

/// How often a history came into the situations that the checks are about. A check whose situation never comes has
/// proved nothing.
///
/// ```
/// use ha_testkit::checks::exercised;
/// assert!(exercised(&[]).values().all(|times| *times == 0));
/// ```
#[must_use]
pub fn exercised(history: &[Event]) -> BTreeMap<&'static str, u64> {
    let operations = Operations::of(history);
    let mut times: BTreeMap<&'static str, u64> = SITUATIONS.iter().map(|name| (*name, 0)).collect();
    let mut count = |name: &'static str, so: bool| *times.entry(name).or_default() += u64::from(so);
    for event in history {
        if let What::Believes { term, until_ns } = &event.what {
            let newer = operations.terms.first_after(term);
            count("take-over within a belief", newer.is_some_and(|newer| newer.event.at_ns < *until_ns));
        }
    }
    for call in &operations.all {
        let is_late = call.fenced.is_some_and(|newer| newer.position < call.invoked.position);
        let is_overtaken = call.fenced.is_some_and(|newer| newer.position > call.invoked.position);
        let in_doubt = call.call.is_write() && matches!(call.fate(), Fate::Unknown);
        count("write after a newer term", call.call.is_write() && is_late);
        count("write in doubt", in_doubt);
        count("take-over with an add in doubt", in_doubt && is_add(call.call) && is_overtaken);
        count("conflict", matches!(call.fate(), Fate::NotApplied("AlreadyExists" | "Conflict" | "NotOwned")));
        count("removal", call.is_done() && super::thing::removes(call.call));
        let is_savepoint =
            |call: &Call| matches!(call, Call::AddCheckpoint { taken_for, .. } if *taken_for != TakenFor::Checkpoint);
        count("savepoint", call.is_done() && is_savepoint(call.call));
        count(
            "write beside a newer term",
            call.is_done() && must_write(call.call) && is_overtaken && {
                let returned = call.returned.map_or(0, |(at, _)| at.position);
                call.fenced.is_some_and(|newer| newer.position < returned)
            },
        );
    }
    for calls in operations.by_thing().values() {
        count_of_one(calls, &mut count);
    }
    times
}

/// All that is counted.
const SITUATIONS: &[&str] = &[
    "take-over within a belief",
    "write after a newer term",
    "write in doubt",
    "take-over with an add in doubt",
    "conflict",
    "removal",
    "savepoint",
    "write beside a newer term",
    "recovery of several",
    "recovery beside an add",
    "recovery after a doubt",
    "doubt that was seen",
    "thing begun anew after its removal",
];

fn is_add(call: &Call) -> bool {
    matches!(call, Call::AddCheckpoint { .. })
}

/// What shows in the calls on one thing alone.
fn count_of_one(calls: &[Operation<'_>], count: &mut impl FnMut(&'static str, bool)) {
    let mut doubted: BTreeSet<Seen<'_>> = BTreeSet::new();
    let (mut removed, mut adding_until) = (false, 0);
    for call in calls {
        if let (Call::Recover { .. }, Fate::Done(Answer::Checkpoints(found))) = (call.call, call.fate()) {
            count("recovery of several", found.len() > 1);
            count("recovery beside an add", adding_until > call.invoked.position);
            count("recovery after a doubt", !doubted.is_empty());
        }
        let before = doubted.len();
        for seen in sights(call) {
            doubted.remove(&seen);
        }
        count("doubt that was seen", doubted.len() < before);
        let writes = written(call.call).filter(|_| call.can_apply());
        count("thing begun anew after its removal", removed && call.is_done() && writes.is_some());
        removed = call.is_done() && super::thing::removes(call.call) || removed && writes.is_none();
        if let (Some(value), Fate::Unknown) = (writes, call.fate()) {
            doubted.insert(value);
        }
        if let (true, Some((returned, _))) = (is_add(call.call), call.returned) {
            adding_until = adding_until.max(returned.position);
        }
    }
}
