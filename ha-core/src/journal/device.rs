use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;
use crate::backend::ReadGuarantee;

/// What a device is like. It is found out or asked, never assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceProfile {
    /// The name of the backend that is made of it, for logs and errors.
    pub name: &'static str,
    /// What [`Journal::read`] is worth: whether it finds every entry that was published before it began.
    pub reads: ReadGuarantee,
    /// The largest entry, in bytes.
    pub entry_bytes_max: usize,
}

impl DeviceProfile {
    /// A device with linearizable reads that takes entries of at most so many bytes.
    #[must_use]
    pub fn new(name: &'static str, entry_bytes_max: usize) -> Self {
        Self { name, reads: ReadGuarantee::Linearizable, entry_bytes_max }
    }

    /// The same with that read guarantee.
    #[must_use]
    pub fn with_reads(mut self, reads: ReadGuarantee) -> Self {
        self.reads = reads;
        self
    }
}

/// What became of an attempt to be the entry of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The number did not exist and is ours now, durably. `floor` was looked up after that.
    Won {
        /// See [`Journal`].
        floor: u64,
    },
    /// The number exists. By whom, only reading it tells: it may be ours.
    Taken,
}

/// What was found from a number on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The entries of consecutive numbers, beginning with the one asked for; empty if that one does not exist. Each
    /// of them is durable: no loss of power takes it back.
    pub entries: Vec<Bytes>,
    /// See [`Journal`]; looked up after the last entry was opened, or found missing.
    pub floor: u64,
}

/// Names a snapshot: the state after all entries up to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName {
    /// The last number that it contains.
    pub number: u64,
    /// Entries up to this number may be removed once this snapshot is durable.
    pub floor: u64,
}

/// A device that a journal can be kept on: what a directory, a bucket or a store of small objects can do.
///
/// # To ensure correctness
/// * **Exclusive**: of all attempts to publish one number, at most one ever succeeds, also if they come from several
///   machines, and an entry is there whole or not at all.
/// * **Durable**: what [`publish`](Self::publish) won, [`read`](Self::read) showed or
///   [`put_snapshot`](Self::put_snapshot) acknowledged is there after a loss of power.
/// * **The floor** is the greatest floor that any snapshot present names. Entries up to it may be gone, and may have
///   been made again by a writer that was stopped for long; entries above it were never removed. Each answer carries
///   the floor as it was looked up *after* its operation, because only then it tells whether the operation counts.
/// * Nothing is tried again by the device itself.
///
/// Entries and snapshots are opaque bytes to it.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// What the protocol sizes itself by. No I/O.
    fn profile(&self) -> DeviceProfile;

    /// The identity of this journal: 128 bits that no other journal has. Fixed when it was made. No I/O.
    fn identity(&self) -> u128;

    /// Makes these bytes the entry of the number, if it has none. `entry` tells attempts with the same bytes
    /// apart from others: a device may keep what it has staged for it until another one is published.
    ///
    /// # Errors
    /// * [`Indeterminate`](crate::ErrorKind::Indeterminate): it may be the entry, now or later. Read the number.
    /// * all others: it is not, and will not be by this attempt.
    ///
    /// # Cancel safety
    /// After a drop it may be the entry, as with `Indeterminate`.
    async fn publish(&self, number: u64, entry: u128, bytes: &Bytes) -> Result<Published, Error>;

    /// Reads entries from that number on, several at once if they are there, at most about as many bytes as one
    /// entry may have.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
    /// [`Closed`](crate::ErrorKind::Closed). What does not exist is a value.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn read(&self, from: u64) -> Result<Read, Error>;

    /// All snapshots that are there, the newest first.
    ///
    /// # Errors
    /// As [`Journal::read`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn snapshots(&self) -> Result<Vec<SnapshotName>, Error>;

    /// Reads one snapshot; `None` if it is not there (any more).
    ///
    /// # Errors
    /// As [`Journal::read`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn read_snapshot(&self, name: SnapshotName) -> Result<Option<Bytes>, Error>;

    /// Publishes a snapshot, durably. One that is there already is left as it is, and is a success: equal names mean
    /// equal bytes.
    ///
    /// # Errors
    /// As [`Journal::read`]. It may be there all the same, and whole.
    ///
    /// # Cancel safety
    /// After a drop it may be there, whole.
    async fn put_snapshot(&self, name: SnapshotName, bytes: &Bytes) -> Result<(), Error>;

    /// Removes entries up to the journal's floor, all snapshots but the two newest, and what attempts left behind
    /// that nobody can want any more. `sessions` are those that the state knows: what stands for another one may go.
    ///
    /// # Errors
    /// As [`Journal::read`]. Some of it may be done. Another sweep does the rest.
    ///
    /// # Cancel safety
    /// After a drop some of it may be done.
    async fn sweep(&self, sessions: &[String]) -> Result<(), Error>;

    /// Returns when the number may exist, or when it is time to look. A hint: it may come late, or for nothing.
    /// `patience` is how long the caller can do without looking.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn appended(&self, number: u64, patience: Duration);

    /// The device's own evidence of death, if it has any.
    fn witness(&self) -> Option<Arc<dyn Witness>> {
        None
    }

    /// Gives up what the handle holds. Later calls answer [`Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Call again to go on.
    async fn close(&self);
}

/// Something that ends with its process and that others can see ending, such as a lock of the operating system.
#[async_trait]
pub trait Witness: fmt::Debug + Send + Sync + 'static {
    /// Begins to bear witness that the session's process is alive, until the answer is dropped or the process is
    /// gone. `None` if it cannot here; then silence decides.
    async fn testify(&self, session: &str) -> Option<Testimony>;

    /// Returns when it is certain that the process which gave that testimony is gone, or has withdrawn it. Does not
    /// return if that cannot be found out: from another machine, after the evidence was deleted or replaced, or
    /// while anything else keeps it.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn death(&self, session: &str, testimony: &str);
}

/// A testimony that is being borne. Dropping it withdraws it.
#[derive(Debug)]
pub struct Testimony {
    /// What others need to check it; stands in the journal. At most 1 KiB.
    pub record: String,
    /// Keeps it up.
    pub keep: Box<dyn Keep>,
}

/// Whatever keeps a testimony up.
pub trait Keep: fmt::Debug + Send + Sync {}
