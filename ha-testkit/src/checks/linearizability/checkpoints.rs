use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::marker::PhantomData;

use super::Specification;
use crate::history::TakenFor;

/// How many unanswered adds are counted as possibly unseen; every choice among them is tried.
const DOUBTFUL_MAX: usize = 10;

/// The checkpoints of one job: an ordered set of bounded size. The oldest give way, but never the newest, nor the one
/// that is being added, nor the newest that is no savepoint, unless the newest of all is one that the job stops with.
///
/// Which ones an add lets give way is decided by the one who adds, from what it has seen of the store. An add that was
/// not answered may come later than it was sent, and then nobody has counted it: so more than the quota may be there,
/// by as many as were not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoints<V>(PhantomData<V>);

impl<V> Default for Checkpoints<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// A call on the checkpoints of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointCall<V> {
    /// One was added.
    Add {
        /// Its id.
        id: u64,
        /// Its state.
        state: V,
        /// How many stay.
        retain: usize,
        /// What it was taken for.
        taken_for: TakenFor,
        /// Whether it was acknowledged.
        acknowledged: bool,
    },
    /// These are there, by their ids.
    Read(BTreeMap<u64, V>),
    /// None is there any more.
    RemoveAll,
}

/// A checkpoint that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Added<V> {
    state: V,
    taken_for: TakenFor,
    /// Whether its add was acknowledged.
    acknowledged: bool,
}

impl<V: Clone + Ord + Debug> Specification for Checkpoints<V> {
    /// What is there, by the ids.
    type State = BTreeMap<u64, Added<V>>;
    type Call = CheckpointCall<V>;

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn after(&self, state: &Self::State, call: &CheckpointCall<V>) -> Vec<Self::State> {
        match call {
            CheckpointCall::Add { id, .. } if state.contains_key(id) => Vec::new(),
            CheckpointCall::Add { id, state: added, retain, taken_for, acknowledged } => {
                let mut all = state.clone();
                all.insert(*id, Added { state: added.clone(), taken_for: *taken_for, acknowledged: *acknowledged });
                retained(&all, *id, *retain)
            }
            CheckpointCall::Read(seen) => {
                let same = state.len() == seen.len()
                    && state.iter().zip(seen).all(|((id, there), read)| (id, &there.state) == read);
                if same { vec![state.clone()] } else { Vec::new() }
            }
            CheckpointCall::RemoveAll => vec![BTreeMap::new()],
        }
    }
}

/// What may be left of these, once `added` is among them: for each choice of those that the adder may not have seen.
fn retained<V: Clone + Ord>(all: &BTreeMap<u64, Added<V>>, added: u64, retain: usize) -> Vec<BTreeMap<u64, Added<V>>> {
    let doubtful = all.iter().filter(|(id, one)| !one.acknowledged && **id != added);
    let doubtful: Vec<u64> = doubtful.map(|(id, _)| *id).take(DOUBTFUL_MAX).collect();
    let mut possible = BTreeSet::new();
    for choice in 0..1_usize << doubtful.len() {
        let unseen = |id: &u64| doubtful.iter().position(|other| other == id).is_some_and(|at| choice >> at & 1 == 1);
        let seen: Vec<u64> = all.keys().copied().filter(|id| !unseen(id)).collect();
        let newest = seen.last().copied();
        let excess = seen.len().saturating_sub(retain);
        let taken_for = |id: &u64| all.get(id).map(|one| one.taken_for);
        let base = match newest.as_ref().and_then(taken_for) {
            Some(TakenFor::FinalSavepoint) => None,
            _ => seen.iter().rev().copied().find(|id| taken_for(id) == Some(TakenFor::Checkpoint)),
        };
        let may_go = seen.into_iter().filter(|id| *id != added && Some(*id) != newest && Some(*id) != base);
        let give_way: Vec<u64> = may_go.take(excess).collect();
        let mut left = all.clone();
        left.retain(|id, _| !give_way.contains(id));
        possible.insert(left);
    }
    possible.into_iter().collect()
}
