//! The example: a small but real stream processor that survives losing its leader.
//!
//! Two things that know nothing of each other's inside: the engine, which processes events and takes
//! snapshots, and the [`cluster`] around it, which uses the library to decide who runs the engine and which
//! snapshot is the latest.
//!
//! # The engine
//!
//! A sequential source assigns events to parallel tasks, which fold them into tumbling windows and write the closed
//! windows to an exactly-once sink. [`Engine::trigger`] takes a consistent [`Snapshot`] of all of it while events keep
//! flowing; whoever keeps that snapshot safe calls [`Engine::commit`], and after a crash hands it to [`Engine::start`].
//! Who may run the engine, and which snapshot is the latest, is decided outside.

pub mod cli;
pub mod cluster;
pub mod demo;
mod engine;
mod error;
mod event;
pub mod gate;
mod plan;
mod progress;
pub mod report;
pub mod sink;
mod snapshot;
pub mod source;
pub mod verify;
mod window;

pub use engine::{Engine, Placement};
pub use error::{EngineError, ErrorKind};
pub use plan::{ExecutionPlan, SourceSpec};
pub use progress::Progress;
pub use snapshot::Snapshot;
pub use window::Aggregate;
