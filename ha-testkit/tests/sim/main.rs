//! Whole clusters from one seed: what they do is as promised, the same seed does the same, and what is broken is found.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod found;
mod same;
mod sound;
