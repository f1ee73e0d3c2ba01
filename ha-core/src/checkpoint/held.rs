use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CheckpointKind, CompletedCheckpoint, subsume};
use crate::backend::Revision;
use crate::state::StateHandle;
use crate::telemetry::HeldStates;

/// A checkpoint that is in the store: what the application sees, and what the backend holds of it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) checkpoint: Arc<CompletedCheckpoint>,
    pub(super) handle: StateHandle,
    pub(super) revision: Revision,
}

/// Where the life of a store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A shutdown began and may be repeated; nothing else may be done.
    Closing,
    Closed,
}

/// A commit that was sent and not answered.
#[derive(Debug)]
pub(super) struct Doubt {
    /// What it adds.
    pub(super) added: Option<(Arc<CompletedCheckpoint>, StateHandle)>,
    /// What it removes.
    pub(super) removed: Vec<Held>,
}

/// What a store knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) held: BTreeMap<u64, Held>,
    measured: HeldStates,
    /// While there is a doubt, `held` says what was before it.
    pub(super) doubt: Option<Doubt>,
}

impl State {
    pub(super) fn new(held: Vec<Held>) -> Self {
        let measured = HeldStates::none("checkpoints");
        let mut state = Self { phase: Phase::Open, held: BTreeMap::new(), measured, doubt: None };
        state.replace(held);
        state
    }

    /// Holds these and no others.
    pub(super) fn replace(&mut self, held: Vec<Held>) {
        self.held = held.into_iter().map(|held| (held.checkpoint.id, held)).collect();
        self.measure();
    }

    /// Holds one more.
    pub(super) fn insert(&mut self, held: Held) {
        self.held.insert(held.checkpoint.id, held);
        self.measure();
    }

    fn measure(&mut self) {
        self.measured.set(self.held.values().map(|held| held.handle.length));
    }

    /// Which give way once `added` is among them.
    pub(super) fn subsumed_by(&self, added: &CompletedCheckpoint, retained_max: usize) -> Vec<u64> {
        let mut all: BTreeMap<u64, CheckpointKind> =
            self.held.values().map(|held| (held.checkpoint.id, held.checkpoint.role())).collect();
        all.insert(added.id, added.role());
        let all: Vec<_> = all.into_iter().collect();
        subsume::subsumed(&all, added.id, retained_max)
    }

    /// Copies of those that are held under these ids.
    pub(super) fn copies(&self, ids: &[u64]) -> Vec<Held> {
        ids.iter().filter_map(|id| self.held.get(id)).cloned().collect()
    }

    /// Takes those out that were removed from the backend.
    pub(super) fn forget(&mut self, ids: &[u64]) -> Vec<Held> {
        let forgotten = ids.iter().filter_map(|id| self.held.remove(id)).collect();
        self.measure();
        forgotten
    }
}
