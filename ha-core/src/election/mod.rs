//! Leader election.

mod grant;

pub use grant::{Grant, LossReason};
