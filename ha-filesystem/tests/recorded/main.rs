//! The device on a disk that forgets, fails and stops at every step.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]
#![allow(unreachable_pub, reason = "a test has no users")]

mod clauses;
mod disk;
mod faults;
mod script;
mod world;
