//! A journal device in memory, with everything that can go wrong with a real one.
//!
//! One [`MemoryJournal`] is what a directory would be: it outlives its handles. Each [`MemoryHandle`] is what one
//! process has of it, and fails as its own [`Faults`] say. Sweeping really removes, and what was removed can be made
//! again, as files can.

mod factory;
mod faults;
mod handle;
mod witness;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ha_core::backend::ReadGuarantee;
use ha_core::journal::{Published, SnapshotName};
use ha_core::seam::Seam;
use tokio::sync::Notify;

pub use factory::JournalFactory;
pub use faults::{Faults, Gate, PublishFault, ReadFault};
pub use handle::MemoryHandle;
pub use witness::MemoryWitness;

/// What a directory would be. Clones are the same one.
#[derive(Clone)]
pub struct MemoryJournal {
    medium: Arc<Medium>,
}

pub(crate) struct Medium {
    pub(crate) seam: Seam,
    pub(crate) identity: u128,
    pub(crate) reads: ReadGuarantee,
    pub(crate) witness: Option<Arc<MemoryWitness>>,
    files: Mutex<Files>,
    /// Rung when something new is there. Whoever waits is woken in the order of coming, so one seed replays a run.
    pub(crate) appended: Notify,
}

/// What lies in the directory.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) entries: BTreeMap<u64, Bytes>,
    pub(crate) snapshots: BTreeMap<SnapshotName, Bytes>,
}

impl Files {
    pub(crate) fn floor(&self) -> u64 {
        self.snapshots.keys().map(|name| name.floor).max().unwrap_or(0)
    }
}

impl Medium {
    pub(crate) fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exclusive creation.
    pub(crate) fn link(&self, number: u64, bytes: &Bytes) -> Published {
        let mut files = self.files();
        if files.entries.contains_key(&number) {
            return Published::Taken;
        }
        files.entries.insert(number, bytes.clone());
        let floor = files.floor();
        drop(files);
        self.appended.notify_waiters();
        Published::Won { floor }
    }
}

impl MemoryJournal {
    /// An empty journal, whose reads are linearizable and which has no evidence of death.
    #[must_use]
    pub fn new(seam: Seam) -> Self {
        Self::with(seam, ReadGuarantee::Linearizable, None)
    }

    /// The same, but what others published may be missing from a read.
    #[must_use]
    pub fn with_monotonic_reads(seam: Seam) -> Self {
        Self::with(seam, ReadGuarantee::Monotonic, None)
    }

    /// The same, but others see a process ending.
    #[must_use]
    pub fn with_witness(seam: Seam) -> Self {
        Self::with(seam, ReadGuarantee::Linearizable, Some(Arc::default()))
    }

    fn with(seam: Seam, reads: ReadGuarantee, witness: Option<Arc<MemoryWitness>>) -> Self {
        let identity = seam.uuid().as_u128();
        let medium = Medium { seam, identity, reads, witness, files: Mutex::default(), appended: Notify::new() };
        Self { medium: Arc::new(medium) }
    }

    /// A handle on it, as one process has it. It does not fail until it is told to.
    #[must_use]
    pub fn handle(&self) -> Arc<MemoryHandle> {
        Arc::new(MemoryHandle::new(Arc::clone(&self.medium)))
    }

    /// The evidence of death, if it has any.
    #[must_use]
    pub fn witness(&self) -> Option<Arc<MemoryWitness>> {
        self.medium.witness.clone()
    }

    /// The numbers of the entries that are there.
    #[must_use]
    pub fn entries(&self) -> Vec<u64> {
        self.medium.files().entries.keys().copied().collect()
    }

    /// The snapshots that are there, the oldest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<SnapshotName> {
        self.medium.files().snapshots.keys().copied().collect()
    }

    /// Changes the bytes of an entry, or with `None` removes it, as a damaged disk would.
    pub fn damage_entry(&self, number: u64, change: impl FnOnce(&Bytes) -> Option<Bytes>) {
        let mut files = self.medium.files();
        let changed = files.entries.remove(&number).and_then(|bytes| change(&bytes));
        files.entries.extend(changed.map(|bytes| (number, bytes)));
    }

    /// The same with a snapshot.
    pub fn damage_snapshot(&self, name: SnapshotName, change: impl FnOnce(&Bytes) -> Option<Bytes>) {
        let mut files = self.medium.files();
        let changed = files.snapshots.remove(&name).and_then(|bytes| change(&bytes));
        files.snapshots.extend(changed.map(|bytes| (name, bytes)));
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.medium.files();
        let (entries, snapshots) = (files.entries.keys(), files.snapshots.keys());
        f.debug_struct("MemoryJournal")
            .field("entries", &entries.len())
            .field("snapshots", &snapshots.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
