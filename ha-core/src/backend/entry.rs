use bytes::Bytes;

use super::{Key, Term};

/// Which write of a key a value came from.
///
/// Opaque: equal or not equal, no order. It never repeats for a key, not even after removal and
/// re-creation, so a comparison with it can never mistake a new value for an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(u64);

impl Revision {
    /// For backends: the revision that stands for this native number.
    #[must_use]
    pub fn from_native(native: u64) -> Self {
        Self(native)
    }

    /// For backends: the native number.
    #[must_use]
    pub fn native(self) -> u64 {
        self.0
    }
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is stored.
    pub key: Key,
    /// The bytes.
    pub value: Bytes,
    /// Which write it came from.
    pub revision: Revision,
    /// For the key of a latch: the term it is held under at this moment, if it is held.
    pub held: Option<Term>,
}

/// How far a watcher has seen. Opaque; belongs to one handle and one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(u64);

impl Mark {
    /// Nothing was seen yet: [`changed`](super::Backend::changed) answers at once.
    pub const UNSEEN: Self = Self(0);

    /// For backends: the mark that stands for this native number; 0 is [`Mark::UNSEEN`].
    #[must_use]
    pub fn from_native(native: u64) -> Self {
        Self(native)
    }

    /// For backends: the native number.
    #[must_use]
    pub fn native(self) -> u64 {
        self.0
    }
}

/// All entries of a scope as they stood together at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The entries, in the order of their keys.
    pub entries: Vec<Entry>,
    /// What to hand to [`changed`](super::Backend::changed) to hear of what comes after.
    pub mark: Mark,
}

/// What [`changed`](super::Backend::changed) brings along with the news that something may differ.
///
/// A backend answers with as much as it knows without another request. A watcher that cannot use
/// what it got reads for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The whole scope.
    Snapshot(Snapshot),
    /// What differs from `seen`, and nothing else does.
    Delta {
        /// Entries that were written, each as it stands now.
        entries: Vec<Entry>,
        /// Keys that are absent now.
        removed: Vec<Key>,
        /// What to hand over next.
        mark: Mark,
    },
    /// Something may differ; read, then wait from this mark.
    Hint {
        /// What to hand over next.
        mark: Mark,
    },
}

impl Change {
    /// What to hand to the next [`changed`](super::Backend::changed).
    #[must_use]
    pub fn mark(&self) -> Mark {
        match self {
            Self::Snapshot(snapshot) => snapshot.mark,
            Self::Delta { mark, .. } | Self::Hint { mark } => *mark,
        }
    }
}
