//! Real faults of real processes that share a directory, one claim a test.
//!
//! What is dangerous to correctness comes first: a leader that is none any more, and two at once. Then what a cluster
//! must get over by itself.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod believers;
mod clocks;
mod counter;
mod deaths;
#[path = "../fixture/mod.rs"]
#[allow(dead_code, reason = "its folder is enough here")]
mod fixture;
mod following;
mod full_disk;
mod member;
mod places;
mod replaced;
mod rights;
mod slow_disk;
mod stopped;
mod world;
