//! Real processes in tests and benchmarks: started, killed, stopped, listened to.
//!
//! The program is the test or the benchmark itself, started once more in a *role*. A role is a test
//! function of its own, or a line at the start of `main`; it returns at once unless it was asked for:
//!
//! ```standalone_crate
//! use ha_core::seam::Seam;
//! use ha_testkit::process::{Process, role};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Sum { of: Vec<u64> }
//!
//! // In a test: `#[test] fn adder() { role("adder", …) }`; the role is called as the test is, with
//! // all its modules. In a benchmark or a program, first thing in `main`:
//! fn main() {
//!     role("adder", |sum: Sum, stage| async move {
//!         stage.tell("added", sum.of.iter().sum::<u64>());
//!         std::future::pending().await
//!     });
//!
//!     // The test itself.
//!     ha_testkit::run::block_on(async {
//!         let mut adder = Process::spawn(Seam::system(), "adder", &Sum { of: vec![1, 2, 3] });
//!         assert_eq!(adder.told("added").await.value, 6);
//!         adder.kill();
//!         assert!(!adder.exited().await.success());
//!     });
//! }
//! ```
//!
//! # What is seen to
//! * A process never outlives the value that stands for it, also not after a panic; nor its parent, even
//!   if that is killed: it exits when its standard input ends, and a stopped one, which cannot, is
//!   ended by the system, because it is alone in its process group.
//! * Signals go to a child of ours that was not reaped yet, so never to a stranger with its number.
//! * What the process writes to its standard error is kept, the last part of it, and shown when a wait
//!   fails or the test panics.
//! * Waits are for what the process says, with a deadline.

mod child;
mod event;
mod role;

pub use child::Process;
pub use event::Event;
pub use role::{Stage, role, role_on_one_thread};
