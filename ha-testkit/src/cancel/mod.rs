//! Futures that are dropped at each of their await points in turn.
//!
//! Whoever awaits a future may drop it wherever it waits: `select!`, a time-out and an aborted task all do. What it did
//! until then is done, and nothing of what comes after will happen. So a public future promises under `# Cancel safety`
//! what a drop leaves behind, and here is what proves it: [`at_every_await_point`] runs an operation in a fresh world,
//! drops it before its first poll, and in the next world where it waits for the first time, and so on, until it has come
//! to its end. Each world is then inspected.
//!
//! An operation waits wherever what it calls does. On a backend in memory nothing does: [`Pausing`] and
//! [`PausingStates`] go between, and let every call wait once before it is carried out, and once more before its answer
//! arrives: exactly what a network does, and what is lost by a drop there. Under a paused clock such a wait costs no
//! time, and all others come to rest meanwhile: each await point stands for one state of the world.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! # ha_testkit::sim::run(1, async |seam| {
//! let seam = &seam;
//! let points = ha_testkit::cancel::at_every_await_point(
//!     async || AtomicU32::new(0),
//!     async |steps: &AtomicU32| {
//!         for _ in 0..3 {
//!             steps.fetch_add(1, Ordering::Relaxed);
//!             seam.sleep(std::time::Duration::from_secs(1)).await;
//!         }
//!     },
//!     async |steps: AtomicU32, cut: ha_testkit::cancel::Cut<()>, point| match cut {
//!         ha_testkit::cancel::Cut::Dropped => assert_eq!(steps.into_inner() as usize, point),
//!         ha_testkit::cancel::Cut::Done(()) => assert_eq!(steps.into_inner(), 3),
//!     },
//! );
//! assert_eq!(points.await, 3);
//! # });
//! ```

mod every;
mod pausing;
mod states;

pub use every::{Cut, POINTS_MAX, at_every_await_point, cut_at};
pub use pausing::Pausing;
pub use states::PausingStates;
