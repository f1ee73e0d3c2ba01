use std::collections::BTreeMap;

use super::pointer::Found;
use crate::JobId;
use crate::backend::Revision;
use crate::state::StateHandle;
use crate::telemetry::HeldStates;

/// A pointer as it stands: which write of it, and the state that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stands {
    pub(super) revision: Revision,
    pub(super) handle: StateHandle,
}

impl From<&Found> for Stands {
    fn from(found: &Found) -> Self {
        Self { revision: found.revision, handle: found.pointer.state.clone() }
    }
}

/// What a store knows of a plan that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ownership {
    /// The pointer as we last wrote or read it.
    Known(Stands),
    /// A write of ours was not answered. The pointer leads to one of these, if nobody else wrote.
    Doubtful { before: Option<StateHandle>, attempted: StateHandle },
}

impl Ownership {
    fn bytes(&self) -> u64 {
        match self {
            Self::Known(stands) => stands.handle.length,
            Self::Doubtful { attempted, .. } => attempted.length,
        }
    }
}

/// The plans that belong to a store.
#[derive(Debug)]
pub(super) struct Owned {
    plans: BTreeMap<JobId, Ownership>,
    measured: HeldStates,
}

impl Default for Owned {
    fn default() -> Self {
        Self { plans: BTreeMap::new(), measured: HeldStates::none("plans") }
    }
}

impl Owned {
    fn put(&mut self, job: &JobId, ownership: Ownership) -> Option<Ownership> {
        let after = ownership.bytes();
        let before = self.plans.insert(job.clone(), ownership);
        self.measured.change(before.as_ref().map(Ownership::bytes), Some(after));
        before
    }

    pub(super) fn get(&self, job: &JobId) -> Option<&Ownership> {
        self.plans.get(job)
    }

    pub(super) fn set(&mut self, job: &JobId, ownership: Ownership) {
        self.put(job, ownership);
    }

    pub(super) fn forget(&mut self, job: &JobId) {
        let before = self.plans.remove(job);
        self.measured.change(before.as_ref().map(Ownership::bytes), None);
    }

    /// Puts back what was known before a write that was definitely not applied.
    pub(super) fn restore(&mut self, job: &JobId, before: Option<Ownership>) {
        match before {
            Some(ownership) => self.set(job, ownership),
            None => self.forget(job),
        }
    }

    /// The jobs whose pointer we know to have existed.
    pub(super) fn known(&self) -> impl Iterator<Item = &JobId> {
        self.plans.iter().filter(|(_, ownership)| matches!(ownership, Ownership::Known(_))).map(|(job, _)| job)
    }

    pub(super) fn is_known(&self, job: &JobId) -> bool {
        matches!(self.plans.get(job), Some(Ownership::Known(_)))
    }

    pub(super) fn contains(&self, job: &JobId) -> bool {
        self.plans.contains_key(job)
    }

    /// The pointer was read: takes the plan as ours. Returns the state that this proves to be
    /// replaced: a doubtful write of ours was applied after all.
    pub(super) fn adopt(&mut self, job: &JobId, found: &Found) -> Option<StateHandle> {
        let stands = Stands::from(found);
        let handle = &found.pointer.state;
        let before = self.put(job, Ownership::Known(stands));
        match before {
            Some(Ownership::Doubtful { before, attempted }) if attempted == *handle => before.filter(|b| b != handle),
            _ => None,
        }
    }
}
