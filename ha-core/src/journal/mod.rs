//! A backend made of a journal: numbered entries that nobody can write twice, replayed by everybody alike.
//!
//! The protocol is written once, here. What it stands on is small enough for a directory, a bucket or the objects of
//! a cluster manager: a [`Journal`] device, which makes the entry of a number exist at most once.

mod device;

pub use device::{DeviceProfile, Journal, Keep, Published, Read, SnapshotName, Testimony, Witness};
