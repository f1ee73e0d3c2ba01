//! Formats, and the one record that says which of them a cluster writes: how two versions of this
//! library share an election.
//!
//! Every record begins with the [format](crate::record) that it is written in. A version of the library
//! knows a range of them, [`Formats`]. What a cluster writes stands in one record, `formats`, below the
//! cluster's root; where there is none, it is the first format. So a rolling upgrade takes two steps:
//!
//! 1. The processes are replaced by newer ones, one by one, in any order and with any pauses. The newer
//!    ones write what the older ones read, because the record still says so.
//! 2. When the operator decides that no older process is left, a leader raises the record:
//!    [`Leadership::raise_format`](crate::election::Leadership::raise_format). It is never lowered.
//!
//! **Who may take part.** A process whose newest format is below the cluster's does not contend: it reads
//! the record before it opens a session, changes nothing, and reports
//! [`NewerFormat`](crate::ErrorKind::NewerFormat). One whose oldest format is above the cluster's does not
//! either ([`Unsupported`](crate::ErrorKind::Unsupported)). Who only reads is not kept out: it refuses what
//! it cannot read record by record.
//!
//! **What is promised.** No leader of the election here writes a record that another of them cannot read.
//! The promise has one side only: a record in an older format may be written, or left, after the record was
//! raised, by a request that was under way. Nothing rewrites what is stored.
//!
//! # Which leadership guards the record
//! It is changed only under the guard of the process's one latch, `leader/latch`, and by nobody else's.
//!
//! * Under that latch the record cannot change but by the leader itself: it is read once, after the latch
//!   was taken and before anybody is granted it, and remembered with the grant. A commit costs nothing more.
//! * Under an [independent latch](crate::HighAvailabilityServices::leader_election_on) the record may be raised
//!   while this process leads. So each commit there also checks, in the same request, that the record is
//!   the one that was read. If it is not, nothing was written: the leader takes the new record in and sends
//!   the commit again, or, if it is too old for it, gives its leadership up.
//!
//! Not covered: a [`Grant`](crate::election::Grant) from an election of the application's own, which writes the
//! oldest format of its version and is kept out by nothing; and the barrier of an independent latch, whose
//! content nobody reads.

mod basis;
mod cluster;
mod raise;

use std::fmt;

use crate::{Error, ErrorKind};

pub(crate) use basis::Basis;
pub use cluster::ClusterFormat;
pub(crate) use cluster::{Standing, read};
pub(crate) use raise::raise;

/// The formats that a version of this library reads and can take part in: all from the oldest to the newest.
///
/// It travels as a value, in [`ServicesOptions`](crate::ServicesOptions), so that a test can let two versions
/// meet. In production it is [`Formats::SUPPORTED`].
///
/// ```
/// use ha_core::formats::Formats;
/// let next = Formats::new(1, 2)?;
/// assert!(next.contains(Formats::SUPPORTED.newest()));
/// # Ok::<(), ha_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Formats {
    oldest: u32,
    newest: u32,
}

impl Formats {
    /// The format of a cluster that has no record of its format.
    pub const FIRST: u32 = 1;

    /// Those of this version.
    pub const SUPPORTED: Self = Self { oldest: Self::FIRST, newest: 1 };

    /// All formats from the one to the other.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the oldest is zero, or above the newest.
    pub fn new(oldest: u32, newest: u32) -> Result<Self, Error> {
        if oldest < Self::FIRST || oldest > newest {
            let why = format!("{oldest} to {newest}; the first is {}, and none is above the newest", Self::FIRST);
            return Err(Error::new(ErrorKind::Invalid, "formats").because(why));
        }
        Ok(Self { oldest, newest })
    }

    /// The oldest. Whoever may take part beside this version reads it, so it is what is written by who does
    /// not know what the cluster writes.
    #[must_use]
    pub fn oldest(self) -> u32 {
        self.oldest
    }

    /// The newest.
    #[must_use]
    pub fn newest(self) -> u32 {
        self.newest
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, format: u32) -> bool {
        (self.oldest..=self.newest).contains(&format)
    }
}

impl Default for Formats {
    fn default() -> Self {
        Self::SUPPORTED
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest == self.newest {
            return write!(f, "format {} alone", self.oldest);
        }
        write!(f, "formats {} to {}", self.oldest, self.newest)
    }
}
