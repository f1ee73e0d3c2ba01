//! Real faults of real processes, real servers and the network between them, one claim a test.
//!
//! What is dangerous to correctness comes first: a leader that is none any more, answers that are lost, requests
//! that come late or twice. Then what the service must get over by itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod answers;
mod believers;
mod cluster;
mod contenders;
mod counter;
mod dead_host;
mod deposed_server;
mod fencing;
mod flapping;
mod lock_command;
mod member;
mod operators;
mod policy;
mod removals;
mod retrievers;
mod servers;
mod sessions;
mod token;
mod world;
