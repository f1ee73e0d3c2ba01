//! The example: a small but real stream processor that survives losing its leader.
//!
//! Two things that know nothing of each other's inside: the engine, which processes events and takes
//! snapshots, and the [`cluster`] around it, which uses the library to decide who runs the engine and which
//! snapshot is the latest. [`program`] puts both to work: as a demo in one process, or each part in its own.
//!
//! # Where to read what
//! * How a service contends and leads: [`cluster::job_manager`], then the dispatcher and the job master beside it.
//! * How others find the leader and refuse an older one: [`cluster::worker`], [`cluster::client`], [`Fence`].
//! * In which order things are stored, and what a crash between two steps leaves: [`cluster`].
//! * How a backend of one's own is added by name: [`cluster::backends`].
//!
//! # The engine
//!
//! A sequential source assigns events to parallel tasks, which fold them into tumbling windows and write the closed
//! windows to an exactly-once sink. [`Engine::trigger`] takes a consistent [`Snapshot`] of all of it while events keep
//! flowing; whoever keeps that snapshot safe calls [`Engine::commit`], and after a crash hands it to [`Engine::start`].
//! Who may run the engine, and which snapshot is the latest, is decided outside. Its tasks run on threads of its own,
//! or in other processes: see [`Slot`].
//!
//! ```
//! use stream_processor::{Engine, ExecutionPlan, Snapshot, SourceSpec, verify};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let plan = ExecutionPlan {
//!     job: "clicks".to_owned(),
//!     source: SourceSpec::Generator { seed: 1, events: 50_000 },
//!     parallelism: 2,
//!     window_ms: 1000,
//!     lateness_ms: 200,
//!     output: directory.path().join("output"),
//! };
//! let engine = Engine::start(plan.clone(), None, 1).await?;
//! engine.progress().first_event().await;
//! let kept = engine.trigger(1).await?.encode()?; // Kept safe, but never committed:
//! drop(engine); // a crash.
//!
//! let restored = Snapshot::decode(&kept)?;
//! let engine = Engine::start(plan.clone(), Some(restored), 2).await?;
//! engine.finished().await?;
//! let last = engine.trigger(2).await?;
//! assert!(last.is_final());
//! engine.commit(&last).await?;
//! assert!(verify::compare(&plan.output, &verify::expected(&plan)?)?.is_exact());
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod cluster;
pub mod configured;
pub mod demo;
mod engine;
mod error;
mod event;
pub mod gate;
mod plan;
pub mod program;
mod progress;
pub mod report;
pub mod sink;
mod snapshot;
pub mod source;
pub mod term;
pub mod verify;
mod window;
pub mod wire;

pub use engine::{Engine, Fence, Link, Placement, Slot, serve};
pub use error::{EngineError, ErrorKind};
pub use plan::{Contents, ExecutionPlan, Recipe, SourceSpec};
pub use progress::Progress;
pub use snapshot::Snapshot;
pub use window::Aggregate;
