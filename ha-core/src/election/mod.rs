//! Leader election.
//!
//! One latch and one session per process carry any number of components, which gain and lose
//! leadership together; independent latches can be had beside it on the same session. There are two
//! equal faces of one state machine: a [`Leadership`] that one holds as a value, and the
//! [`LeaderContender`] that is called back as in Flink.
//!
//! The order is always: grant, store, confirm, publish. Nobody can find a leader that does not yet
//! know its own session id.

mod contender;
mod elector;
mod grant;
mod info;
mod leadership;
mod machine;
mod publisher;
mod registration;
mod service;
pub(crate) mod sessions;
mod step_down;
mod token;

pub use contender::LeaderContender;
pub use grant::{Grant, LossReason};
pub(crate) use info::HolderInformation;
pub use info::{ADDRESS_BYTES_MAX, LeaderInformation};
pub use leadership::{Leadership, Ran};
pub(crate) use service::ElectionParts;
pub use service::{LeaderElection, LeaderElectionService};
pub(crate) use step_down::StepDownRequest;
pub use step_down::{STAY_AWAY_MAX, StepDown, SteppedDown};
pub use token::FencingToken;
