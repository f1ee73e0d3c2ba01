use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::marker::PhantomData;

use super::Specification;

/// How many unanswered adds are counted as possibly unseen; every choice among them is tried.
const DOUBTFUL_MAX: usize = 10;

/// The checkpoints of one job: an ordered set of bounded size. The oldest give way, but never the newest, nor the one
/// that is being added.
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
        /// Whether it was acknowledged.
        acknowledged: bool,
    },
    /// These are there, by their ids.
    Read(BTreeMap<u64, V>),
    /// None is there any more.
    RemoveAll,
}

impl<V: Clone + Ord + Debug> Specification for Checkpoints<V> {
    /// What is there: the state of each, and whether its add was acknowledged.
    type State = BTreeMap<u64, (V, bool)>;
    type Call = CheckpointCall<V>;

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn after(&self, state: &Self::State, call: &CheckpointCall<V>) -> Vec<Self::State> {
        match call {
            CheckpointCall::Add { id, .. } if state.contains_key(id) => Vec::new(),
            CheckpointCall::Add { id, state: added, retain, acknowledged } => {
                let mut all = state.clone();
                all.insert(*id, (added.clone(), *acknowledged));
                retained(&all, *id, *retain)
            }
            CheckpointCall::Read(seen) => {
                let same = state.len() == seen.len()
                    && state.iter().zip(seen).all(|((id, (there, _)), read)| (id, there) == read);
                if same { vec![state.clone()] } else { Vec::new() }
            }
            CheckpointCall::RemoveAll => vec![BTreeMap::new()],
        }
    }
}

/// What may be left of these, once `added` is among them: for each choice of those that the adder may not have seen.
fn retained<V: Clone + Ord>(
    all: &BTreeMap<u64, (V, bool)>,
    added: u64,
    retain: usize,
) -> Vec<BTreeMap<u64, (V, bool)>> {
    let doubtful = all.iter().filter(|(id, (_, acknowledged))| !acknowledged && **id != added);
    let doubtful: Vec<u64> = doubtful.map(|(id, _)| *id).take(DOUBTFUL_MAX).collect();
    let mut possible = BTreeSet::new();
    for choice in 0..1_usize << doubtful.len() {
        let unseen = |id: &u64| doubtful.iter().position(|other| other == id).is_some_and(|at| choice >> at & 1 == 1);
        let seen: Vec<u64> = all.keys().copied().filter(|id| !unseen(id)).collect();
        let newest = seen.last().copied();
        let excess = seen.len().saturating_sub(retain);
        let give_way: Vec<u64> =
            seen.into_iter().filter(|id| *id != added && Some(*id) != newest).take(excess).collect();
        let mut left = all.clone();
        left.retain(|id, _| !give_way.contains(id));
        possible.insert(left);
    }
    possible.into_iter().collect()
}
