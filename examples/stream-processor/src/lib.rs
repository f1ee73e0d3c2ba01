//! The processing engine of the example: a small but real stream processor, without any high availability of its own.
//!
//! A sequential source assigns events to parallel tasks, which fold them into tumbling windows and write the closed
//! windows to an exactly-once sink. [`Engine::trigger`] takes a consistent [`Snapshot`] of all of it while events keep
//! flowing; whoever keeps that snapshot safe calls [`Engine::commit`], and after a crash hands it to [`Engine::start`].
//! Who may run the engine, and which snapshot is the latest, is decided outside.

mod engine;
mod error;
mod event;
mod plan;
mod progress;
pub mod sink;
mod snapshot;
pub mod source;
pub mod verify;
mod window;

pub use engine::Engine;
pub use error::{EngineError, ErrorKind};
pub use plan::{ExecutionPlan, SourceSpec};
pub use progress::Progress;
pub use snapshot::Snapshot;
pub use window::Aggregate;
