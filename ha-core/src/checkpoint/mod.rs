//! Checkpoints of a job: their ids, which ones are completed, and how both are recovered.
//!
//! A [`CheckpointRecoveryFactory`] is made once a process leads, and gives for each job
//! * a [`CheckpointIdCounter`]: strictly increasing ids, over any number of leaders;
//! * a [`CompletedCheckpointStore`]: the completed checkpoints that are retained, recovered once
//!   when leadership is gained.
//!
//! Both write only under the leadership of their [`Writer`](crate::writer::Writer). A leader that
//! was deposed without knowing it gets [`Fenced`](crate::ErrorKind::Fenced) from its next write
//! and changes nothing, so the data of its successor is its successor's alone.

mod commits;
mod completed;
mod counter;
mod default_counter;
mod default_store;
mod discarder;
mod factory;
mod held;
mod pointer;
mod store;
mod subsume;

pub use completed::{CheckpointKind, CheckpointOrigin, CompletedCheckpoint, RecoveryClaimMode, RetentionPolicy};
pub use counter::{CHECKPOINT_ID_MAX, CheckpointIdCounter};
#[cfg(feature = "fuzzing")]
pub(crate) use default_counter::Count;
pub use default_counter::DefaultCheckpointIdCounter;
pub(crate) use default_counter::next_in;
pub use default_store::{CheckpointStoreOptions, DefaultCompletedCheckpointStore};
pub use discarder::{CheckpointDiscarder, DiscardStateOnly};
pub use factory::{CheckpointRecoveryFactory, DefaultCheckpointRecoveryFactory};
#[cfg(feature = "fuzzing")]
pub(crate) use pointer::Pointer;
pub(crate) use pointer::{read_in, state_in};
pub use store::CompletedCheckpointStore;
