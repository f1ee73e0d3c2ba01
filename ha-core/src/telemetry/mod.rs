//! What the library measures of itself: the names, and how they are recorded.
//!
//! With the cargo feature `metrics` everything in [`names`] is recorded through the [`metrics`
//! facade](https://docs.rs/metrics); whoever installs a recorder sees it, and without one it goes nowhere. Without the
//! feature there is neither a dependency nor a cost. The names are always here, so that a dashboard or a test can be
//! written against them.
//!
//! * **Stable.** A name, its labels and their values do not change within a major version; new ones may come.
//! * **Bounded.** Labels have the values that [`Label::values`] lists: a thousand jobs make no more series than one.
//! * **Harmless.** A recorder that panics is caught, and no lock of ours is held across an await for it. One that
//!   blocks holds up whoever records. What renews sessions records nothing; on its thread only rare events are
//!   recorded (evidence of a death, a latch that could not be let go of), as they are logged there.
//! * Time comes from the [seam](crate::seam) alone.
//!
//! What each is good for, and what to alert on, stands in `docs/operating.md`.

#[cfg(feature = "metrics")]
mod describe;
mod emit;
pub(crate) mod labels;
mod metric;
pub mod names;
pub(crate) mod record;
mod sampler;
mod watch;

#[cfg(feature = "metrics")]
pub use describe::describe;
pub use metric::{Label, Metric, MetricKind, MetricUnit};
pub(crate) use sampler::Sampler;
pub(crate) use watch::{CommitUnderWay, HeldStates, ResolutionUnderWay, Stopwatch};
