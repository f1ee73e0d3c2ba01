//! A backend made of a journal: numbered entries that nobody can write twice, replayed by everybody alike.
//!
//! The protocol is written once, here. What it stands on is small enough for a directory, a bucket or the objects of
//! a cluster manager: a [`Journal`] device, which makes the entry of a number exist at most once.

mod backend;
mod device;
mod engine;
mod entry;
mod frame;
mod operation;
mod options;
mod session;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

pub use backend::{JournalBackend, SessionInfo};
pub use device::{DeviceProfile, Journal, Keep, Published, Read, SnapshotName, Testimony, Witness};
pub use options::JournalOptions;

pub(crate) use self::{
    entry::{ENTRY_FRAME_BYTES, Entry},
    operation::{Answer, Operation, Registration, Why},
    snapshot::Captured,
    state::{SessionRecord, State},
};
