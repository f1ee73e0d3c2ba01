//! The program itself, run as people and scripts run it, against clusters that the library drives.
#![allow(clippy::unwrap_used, reason = "tests: panicking is how they fail")]

mod broken;
mod changing;
mod reading;
mod servers;
mod size;
mod world;
