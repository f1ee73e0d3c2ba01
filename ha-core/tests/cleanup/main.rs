//! Cleaning up: jobs, clusters and orphans; how it is tried again; health; the end.
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

mod attacked;
mod cleaning;
mod folders;
mod health;
mod interrupted;
mod orphans;
mod removing;
mod rig;
mod shutting;
mod sweeping;
mod sweeping_files;
mod trap;
