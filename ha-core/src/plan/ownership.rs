use std::collections::BTreeMap;

use super::pointer::Found;
use crate::JobId;
use crate::backend::Revision;
use crate::state::StateHandle;

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

/// The plans that belong to a store.
#[derive(Debug, Default)]
pub(super) struct Owned(BTreeMap<JobId, Ownership>);

impl Owned {
    pub(super) fn get(&self, job: &JobId) -> Option<&Ownership> {
        self.0.get(job)
    }

    pub(super) fn set(&mut self, job: &JobId, ownership: Ownership) {
        self.0.insert(job.clone(), ownership);
    }

    pub(super) fn forget(&mut self, job: &JobId) {
        self.0.remove(job);
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
        self.0.iter().filter(|(_, ownership)| matches!(ownership, Ownership::Known(_))).map(|(job, _)| job)
    }

    pub(super) fn is_known(&self, job: &JobId) -> bool {
        matches!(self.0.get(job), Some(Ownership::Known(_)))
    }

    pub(super) fn contains(&self, job: &JobId) -> bool {
        self.0.contains_key(job)
    }

    /// The pointer was read: takes the plan as ours. Returns the state that this proves to be
    /// replaced: a doubtful write of ours was applied after all.
    pub(super) fn adopt(&mut self, job: &JobId, found: &Found) -> Option<StateHandle> {
        let stands = Stands::from(found);
        let handle = &found.pointer.state;
        let before = self.0.insert(job.clone(), Ownership::Known(stands));
        match before {
            Some(Ownership::Doubtful { before, attempted }) if attempted == *handle => before.filter(|b| b != handle),
            _ => None,
        }
    }
}
