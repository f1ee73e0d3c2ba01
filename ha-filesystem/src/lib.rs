//! A journal in a directory: local, or shared by several machines.
//!
//! [`FilesystemDevice`] is the [`Journal`](ha_core::journal::Journal) that the protocol in `ha_core::journal` stands
//! on. It knows numbers and bytes, and nothing of what they mean.
//!
//! # What it guarantees
//! * A number has one entry, for everybody who mounts the directory: a file that was written and fsynced under another
//!   name becomes the entry by `link(2)`, which fails if the name exists. It is there whole, or not at all.
//! * What was answered survives a loss of power: the file was fsynced before it got its name, the folder before the
//!   answer. Who reads an entry fsyncs the folder too, because its writer may not have come to that.
//! * A directory that cannot give this is refused when it is opened, with the reason: each property is tried there.
//! * A directory that was deleted or replaced under a handle, and a failed fsync of a folder, end the handle.
//!
//! # What it does not
//! * A disk that acknowledges an fsync and forgets, or a mount that ignores it, loses what it forgets.
//! * On a network file system a read may be behind for as long as the client caches names; the profile says so.
//! * Locks are evidence of death on local file systems alone. Elsewhere silence decides.
//!
//! Layout, file systems, operation, failures: `docs/filesystem.md`.

mod bulk;
mod connector;
mod device;
#[doc(hidden)]
pub mod disk;
mod failure;
mod follow;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod mounts;
mod names;
#[cfg(target_os = "linux")]
mod notify;
mod open;
mod probe;
mod settings;
mod shared;
mod sweep;
mod waiters;
mod witness;
mod worker;

pub use connector::{FilesystemConnector, connect};
pub use device::FilesystemDevice;
pub use mounts::{Mount, Reach};
pub use settings::FilesystemSettings;
