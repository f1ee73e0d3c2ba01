//! What is alive, and whether it grows.
//!
//! * [`counted`] puts counters between a [`Seam`](ha_core::seam::Seam) and whoever uses it: every task, every timer and
//!   every computation that was begun and is not over. A backend or services that were closed must leave none.
//! * [`Holdings`] is what this process holds of the system: descriptors, sockets, threads, memory.
//! * [`Trend`] judges samples of a number that goes up and down: does it grow?

mod counted;
mod holdings;
mod trend;

pub use counted::{Counts, counted};
pub use holdings::Holdings;
pub use trend::{Bound, Trend};
