//! Every handle in a process of its own: the whole kit on a directory that is all that its handles share.

#![cfg(unix)]

#[path = "../fixture/mod.rs"]
#[allow(dead_code, reason = "only its folders are needed here")]
mod fixture;

mod backend;
mod ends;
mod resolution;
mod services;
mod store;
