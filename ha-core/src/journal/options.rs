use crate::backend::{Profile, ReadGuarantee};

/// The largest value, in bytes.
pub(crate) const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// The most writes and checks in one commit.
pub(crate) const COMMIT_OPERATIONS_MAX: usize = 1024;
/// The most bytes of keys and values in one commit.
pub(crate) const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest entry, in bytes.
pub(crate) const ENTRY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most operations in one entry.
pub(crate) const OPERATIONS_MAX: usize = 4096;

/// The longest key, in bytes. Longer than that of a user, because keys of a cluster stand below its place.
pub(crate) const LONG_KEY_BYTES_MAX: usize = 4096;
/// The longest label of a session, in bytes.
pub(crate) const LABEL_BYTES_MAX: usize = 1024;
/// The longest testimony, in bytes.
pub(crate) const TESTIMONY_BYTES_MAX: usize = 1024;
/// The longest native part of a term, in bytes.
pub(crate) const NATIVE_BYTES_MAX: usize = 256;
/// The longest silence of a session: a day.
pub(crate) const SILENCE_MS_MAX: u64 = 24 * 3600 * 1000;

/// The profile of a backend that is made of a journal, under that name.
pub(crate) fn profile(name: &'static str, reads: ReadGuarantee) -> Profile {
    Profile::new(name, VALUE_BYTES_MAX, COMMIT_OPERATIONS_MAX, COMMIT_BYTES_MAX).with_reads(reads)
}

/// What all handles on one journal must be told alike, but for the reads.
///
/// Snapshots are made at *points*, which every handle finds at the same numbers while it replays. Handles with
/// different options find different ones: nothing is lost by that, but they make snapshots for nothing. The defaults
/// are right; tests take smaller numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalOptions {
    /// After so many entries there is a point. At least 1; 1024 by default.
    pub point_entries: u64,
    /// After so many bytes of entries, and at least as many as all keys and values have, there is a point. 16 MiB by
    /// default.
    pub point_bytes: u64,
    /// What [`Backend::read`](crate::backend::Backend::read) and `list` are worth on a device whose reads may be old.
    /// Linearizable, the default, takes an entry for each of them. Monotonic takes none: an answer may be behind what
    /// others were acknowledged, and never goes back. Sessions are proved by entries either way.
    pub reads: ReadGuarantee,
}

impl JournalOptions {
    /// The same with reads that may be old where those of the device may be. Each handle can have its own.
    #[must_use]
    pub fn with_monotonic_reads(mut self) -> Self {
        self.reads = ReadGuarantee::Monotonic;
        self
    }

    /// The same with a point after that many entries, or after that many bytes.
    #[must_use]
    pub fn with_points(mut self, entries: u64, bytes: u64) -> Self {
        (self.point_entries, self.point_bytes) = (entries, bytes);
        self
    }
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { point_entries: 1024, point_bytes: 16 * 1024 * 1024, reads: ReadGuarantee::Linearizable }
    }
}
