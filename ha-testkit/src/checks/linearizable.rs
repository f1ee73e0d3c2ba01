use std::collections::BTreeSet;

use super::linearizability::{
    CheckpointCall, Checkpoints, Counter, CounterCall, End, Interval, JobResultCall, JobResults, Key, KeyCall,
    Register, RegisterCall, Specification, Verdict as Found, linearize,
};
use super::operation::{Fate, Operation, Operations};
use super::thing::Thing;
use super::values::content;
use super::{Check, Place, Verdict, Violation};
use crate::history::{Answer, Call, Event};

/// Every stored thing behaves as if its calls were made one after another, each between its invocation and its return.
///
/// Each thing (the plan of a job, a counter, a key) is judged for itself: histories of independent things are
/// linearizable together if they are one by one. A call of unknown outcome may take effect as long as its term is the
/// newest, or never; one that was acknowledged has taken effect while its term was the newest.
#[derive(Debug, Clone, Copy)]
pub struct Linearizable {
    /// How many steps the search may take for one thing; a history that needs more is reported as undecided.
    pub steps_max: usize,
}

impl Default for Linearizable {
    /// A million steps: some seconds and some hundred megabytes at the most. A history of ten thousand calls with few
    /// at once takes a few times as many steps as calls.
    fn default() -> Self {
        Self { steps_max: 1_000_000 }
    }
}

impl Check for Linearizable {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn promise(&self) -> &'static str {
        "Reads and writes of one thing take effect at one instant each, between call and answer."
    }

    fn promised_in(&self) -> Place {
        Place { file: "docs/failure-model.md", words: "commits are atomic and linearizable" }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        for (thing, calls) in Operations::of(history).by_thing() {
            match thing {
                Thing::Counter(_) => self.judge(thing, &Counter, &calls, |call| Vec::from_iter(counter_call(call))),
                Thing::Checkpoints(_) => {
                    self.judge(thing, &Checkpoints::default(), &calls, |call| Vec::from_iter(checkpoint_call(call)))
                }
                Thing::Result(_) => self.judge(thing, &JobResults::default(), &calls, result_calls),
                Thing::Key(_) => self.judge(thing, &Key::default(), &calls, |call| Vec::from_iter(key_call(call))),
                Thing::Plan(_) | Thing::Blob(_) => {
                    let seen: BTreeSet<&str> = calls.iter().filter_map(|read| content(read)?).collect();
                    self.judge(thing, &Register::default(), &calls, |call| Vec::from_iter(register_call(call, &seen)))
                }
            }?;
        }
        Ok(())
    }
}

impl Linearizable {
    fn judge<'h, S: Specification>(
        &self,
        thing: Thing<'_>,
        specification: &S,
        calls: &[Operation<'h>],
        // One call may be several to the specification, made one after another.
        calls_of: impl Fn(&Operation<'h>) -> Vec<S::Call>,
    ) -> Result<(), Violation> {
        let judged: Vec<(&Operation<'_>, S::Call)> = calls
            .iter()
            .filter(|call| call.can_apply() || matches!(call.fate(), Fate::NotApplied(_)))
            .flat_map(|call| calls_of(call).into_iter().map(move |made| (call, made)))
            .collect();
        let (operations, calls): (Vec<_>, Vec<_>) =
            judged.into_iter().map(|(operation, call)| (operation, interval(operation, call))).unzip();
        match linearize(specification, &calls, self.steps_max) {
            Found::Linearizable { .. } => Ok(()),
            Found::Broken { stuck, order } => {
                let what = format!("{thing}: no order of the calls explains the last of these answers");
                let shown = explain(&operations, stuck, &order);
                Err(Violation::broken(self.name(), what, shown))
            }
            Found::Undecided { steps } => {
                let mut undecided = Violation::broken(self.name(), format!("{thing}: gave up after {steps} steps"), []);
                undecided.verdict = Verdict::Undecided;
                Err(undecided)
            }
        }
    }
}

/// The call that could not be explained, and the last that could, as far as they began before it ended.
fn explain<'h>(operations: &[&Operation<'h>], stuck: usize, order: &[usize]) -> Vec<&'h Event> {
    const BEFORE: usize = 4;
    let placed = order.iter().rev().copied().filter(|at| *at != stuck).take(BEFORE);
    placed.chain([stuck]).flat_map(|at| operations[at].events()).collect()
}

fn interval<C>(operation: &Operation<'_>, call: C) -> Interval<C> {
    let position = |at: usize| u64::try_from(at).unwrap_or(u64::MAX);
    let end = match (operation.fate(), operation.returned) {
        (Fate::Done(_), _) => End::Returned(position(operation.last_effect())),
        (Fate::NotApplied(_), Some((at, _))) => End::Returned(position(at.position)),
        _ => End::Unknown { until: operation.fenced.map(|at| position(at.position)) },
    };
    Interval { call, invoked: position(operation.invoked.position), end }
}

/// A plan or a blob. A write of unknown outcome whose value nobody read explains nothing, and is left out.
fn register_call<'h>(operation: &Operation<'h>, seen: &BTreeSet<&str>) -> Option<RegisterCall<&'h str>> {
    match (operation.call, operation.fate()) {
        (_, Fate::NotApplied(_)) => None,
        (Call::PutPlan { plan: value, .. } | Call::PutBlob { content: value, .. }, fate) => {
            let matters = matches!(fate, Fate::Done(_)) || seen.contains(value.as_str());
            matters.then_some(RegisterCall::Put(value))
        }
        (Call::RemovePlan { .. } | Call::RemoveBlob { .. }, _) => Some(RegisterCall::Remove),
        _ => content(operation).map(RegisterCall::Read),
    }
}

fn counter_call(operation: &Operation<'_>) -> Option<CounterCall> {
    match (operation.call, operation.fate()) {
        (_, Fate::NotApplied(_)) => None,
        (Call::NextId { .. }, Fate::Done(Answer::Id(id))) => Some(CounterCall::Next(Some(*id))),
        (Call::NextId { .. }, Fate::Unknown) => Some(CounterCall::Next(None)),
        (Call::SetCount { next, .. }, _) => Some(CounterCall::Set(*next)),
        (Call::ReadCounter { .. }, Fate::Done(Answer::Id(id))) => Some(CounterCall::Read(*id)),
        (Call::RemoveCounter { .. }, _) => Some(CounterCall::Remove),
        _ => None,
    }
}

fn checkpoint_call<'h>(operation: &Operation<'h>) -> Option<CheckpointCall<&'h str>> {
    match (operation.call, operation.fate()) {
        (_, Fate::NotApplied(_)) => None,
        (Call::AddCheckpoint { id, state, retain, taken_for, .. }, fate) => {
            let acknowledged = matches!(fate, Fate::Done(_));
            Some(CheckpointCall::Add { id: *id, state, retain: *retain, taken_for: *taken_for, acknowledged })
        }
        (Call::Recover { .. }, Fate::Done(Answer::Checkpoints(found))) => {
            Some(CheckpointCall::Read(found.iter().map(|found| (found.id, found.state.as_str())).collect()))
        }
        (Call::RemoveCheckpoints { .. }, _) => Some(CheckpointCall::RemoveAll),
        _ => None,
    }
}

fn result_calls<'h>(operation: &Operation<'h>) -> Vec<JobResultCall<&'h str>> {
    match (operation.call, operation.fate()) {
        (Call::PutResult { .. }, Fate::NotApplied("AlreadyExists")) => vec![JobResultCall::CreateRefused],
        // It has looked, and nothing was there.
        (Call::CleanResult { .. }, Fate::NotApplied("NotFound")) => vec![JobResultCall::Read(None)],
        (_, Fate::NotApplied(_)) => Vec::new(),
        (Call::PutResult { result, .. }, _) => vec![JobResultCall::Create(result)],
        (Call::CleanResult { keeps: false, .. }, Fate::Done(_)) => {
            let number = operation.invoked.position;
            vec![JobResultCall::Find(number), JobResultCall::Clear(number)]
        }
        (Call::CleanResult { keeps, .. }, _) => vec![JobResultCall::Clean { keeps: *keeps }],
        (Call::ReadResult { .. }, Fate::Done(Answer::Result(found))) => {
            vec![JobResultCall::Read(found.as_ref().map(|found| (found.result.as_str(), found.clean)))]
        }
        _ => Vec::new(),
    }
}

fn key_call<'h>(operation: &Operation<'h>) -> Option<KeyCall<&'h str>> {
    match (operation.call, operation.fate()) {
        (Call::WriteKey { expect, .. }, Fate::NotApplied("Conflict")) => Some(KeyCall::Refused { expect: *expect }),
        (_, Fate::NotApplied(_)) => None,
        (Call::WriteKey { expect, value: Some(value), .. }, fate) => {
            let revision = match fate {
                Fate::Done(Answer::Revision(revision)) => Some(*revision),
                _ => None,
            };
            Some(KeyCall::Put { expect: *expect, value, revision })
        }
        (Call::WriteKey { expect: Some(expect), value: None, .. }, _) => Some(KeyCall::Remove { expect: *expect }),
        (Call::ReadKey { .. }, Fate::Done(Answer::Key(found))) => {
            Some(KeyCall::Read(found.as_ref().map(|found| (found.revision, found.value.as_str()))))
        }
        _ => None,
    }
}
