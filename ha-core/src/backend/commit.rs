use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use super::{Entry, Fence, Key, Profile, Revision};
use crate::{Error, ErrorKind};

/// The identity of one commit: 128 random bits, written into every value that the commit puts,
/// so that a writer whose answer was lost can tell its own write from a rival's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(u128);

impl WriteId {
    /// The identity made of these bits.
    #[must_use]
    pub fn from_bits(high: u64, low: u64) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }

    /// Reads the form that `Display` writes; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a key must be like for a commit to be applied. There is no "anything": every written
/// key has an expectation, so no write is blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Nothing is stored there.
    Absent,
    /// Exactly this write is stored there.
    Revision(Revision),
}

impl Expect {
    /// Whether a key that holds this satisfies the expectation.
    #[must_use]
    pub fn is_met_by(self, found: Option<Revision>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Revision(revision) => found == Some(revision),
        }
    }
}

/// One key of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which key.
    pub key: Key,
    /// What it must be like before.
    pub expect: Expect,
    /// What it is afterwards; `None` removes it.
    pub value: Option<Bytes>,
}

/// Several writes that are applied together or not at all.
///
/// ```
/// use bytes::Bytes;
/// use ha_core::backend::{Commit, Expect, Key, WriteId};
/// let counter = Key::new("jobs/7/counter").unwrap();
/// let commit = Commit::new(WriteId::from_bits(1, 2))
///     .put(counter, Expect::Absent, Bytes::from_static(b"1"));
/// assert_eq!(commit.writes.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The identity that every put value carries.
    pub id: WriteId,
    /// The leadership that must be current at the moment of the write.
    pub guard: Option<Fence>,
    /// The keys that change.
    pub writes: Vec<Write>,
    /// Keys that do not change and must be as expected.
    pub checks: Vec<(Key, Expect)>,
}

impl Commit {
    /// A commit that does nothing yet and is not guarded.
    #[must_use]
    pub fn new(id: WriteId) -> Self {
        Self { id, guard: None, writes: Vec::new(), checks: Vec::new() }
    }

    /// Lets the commit be applied only while that leadership is current.
    #[must_use]
    pub fn guarded_by(mut self, fence: Fence) -> Self {
        self.guard = Some(fence);
        self
    }

    /// Stores a value.
    #[must_use]
    pub fn put(mut self, key: Key, expect: Expect, value: Bytes) -> Self {
        self.writes.push(Write { key, expect, value: Some(value) });
        self
    }

    /// Removes the value that was written by `revision`.
    #[must_use]
    pub fn remove(mut self, key: Key, revision: Revision) -> Self {
        self.writes.push(Write { key, expect: Expect::Revision(revision), value: None });
        self
    }

    /// Requires a key to be as expected without changing it.
    #[must_use]
    pub fn check(mut self, key: Key, expect: Expect) -> Self {
        self.checks.push((key, expect));
        self
    }

    /// How many operations it counts against [`Profile::commit_operations_max`].
    #[must_use]
    pub fn operations(&self) -> usize {
        self.writes.len() + self.checks.len()
    }

    /// The bytes of its keys and values, counted against [`Profile::commit_bytes_max`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let writes = self.writes.iter();
        let written: usize = writes.map(|w| w.key.as_str().len() + w.value.as_ref().map_or(0, Bytes::len)).sum();
        written + self.checks.iter().map(|(key, _)| key.as_str().len()).sum::<usize>()
    }

    /// What every backend refuses before it sends anything, and every implementation calls first.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: a key stands in it twice, belongs to a latch, or is removed while
    ///   expected to be absent. Correct the program.
    /// * [`ErrorKind::TooLarge`]: larger than the profile allows. Split it, or store the bytes as
    ///   state and a handle to them here.
    pub fn validate(&self, profile: &Profile) -> Result<(), Error> {
        let refuse = |kind, key: &Key, why: String| Err(Error::new(kind, "commit").at(key).because(why));
        let mut seen = BTreeSet::new();
        let keys = self.writes.iter().map(|w| &w.key).chain(self.checks.iter().map(|(key, _)| key));
        let single = self.operations() == 1;
        for key in keys {
            if key.is_reserved() {
                let why = "a latch and its epoch are written by sessions alone";
                return refuse(ErrorKind::Invalid, key, why.into());
            }
            if !single && !seen.insert(key) {
                return refuse(ErrorKind::Invalid, key, "the key stands twice in one commit".into());
            }
        }
        for write in &self.writes {
            let bytes = write.value.as_ref().map_or(0, Bytes::len);
            if bytes > profile.value_bytes_max {
                let why = format!("{bytes} bytes; {} takes {}", profile.name, profile.value_bytes_max);
                return refuse(ErrorKind::TooLarge, &write.key, why);
            }
            if write.value.is_none() && write.expect == Expect::Absent {
                return refuse(ErrorKind::Invalid, &write.key, "removes what it expects to be absent".into());
            }
        }
        self.validate_total(profile)
    }

    fn validate_total(&self, profile: &Profile) -> Result<(), Error> {
        let (operations, bytes) = (self.operations(), self.bytes());
        let too_large = |why: String| Err(Error::new(ErrorKind::TooLarge, "commit").because(why));
        if operations > profile.commit_operations_max {
            let most = profile.commit_operations_max;
            return too_large(format!("{operations} operations; {} takes {most}", profile.name));
        }
        if bytes > profile.commit_bytes_max {
            let most = profile.commit_bytes_max;
            return too_large(format!("{bytes} bytes in all; {} takes {most}", profile.name));
        }
        Ok(())
    }
}

/// What became of a commit, as the backend answered. Losing is a value, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was applied.
    Applied {
        /// One revision for each write, in their order; of a removal, the revision removed.
        revisions: Vec<Revision>,
    },
    /// None of it was applied, and will not be: a key was not as expected.
    Conflict {
        /// The first such key.
        key: Key,
        /// What was found there.
        found: Option<Entry>,
    },
    /// None of it was applied, and will not be: the leadership of the guard is over. This
    /// outranks a conflict.
    Fenced,
}
