use bytes::Bytes;

use super::device::SnapshotName;
use super::options::JournalOptions;
use super::state::State;
use crate::Error;

/// All that a snapshot is made of, taken at one moment. Values are shared, so taking it costs little, and it can be
/// encoded elsewhere while the state goes on.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    name: SnapshotName,
}

impl Captured {
    /// How the snapshot is named.
    pub(crate) fn name(&self) -> SnapshotName {
        self.name
    }

    /// The snapshot as bytes; the same on every machine.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn encode(&self) -> Result<Bytes, Error> {
        Err(Error::new(crate::ErrorKind::Unsupported, "write a journal snapshot"))
    }
}

impl State {
    /// What a snapshot of the state is made of.
    pub(crate) fn capture(&self) -> Captured {
        Captured { name: SnapshotName { number: self.position, floor: self.points[1] } }
    }

    /// [`capture`](Self::capture) and [`encode`](Captured::encode) in one.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn encode_snapshot(&self) -> Result<Bytes, Error> {
        self.capture().encode()
    }

    /// The state that a snapshot of that name, of that journal, was made of. It is at a point. It remembers no
    /// changes: whoever saw an earlier mark hears of the whole scope.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), [`ErrorKind::NewerFormat`](crate::ErrorKind::NewerFormat):
    /// says which snapshot, what is wrong, and what to do.
    pub(crate) fn decode_snapshot(
        name: SnapshotName,
        bytes: &Bytes,
        journal: u128,
        options: JournalOptions,
    ) -> Result<Self, Error> {
        let _ = (name, bytes, journal, options);
        Err(Error::new(crate::ErrorKind::Unsupported, "read a journal snapshot"))
    }
}
