//! Leader retrieval: who leads, for candidates and everybody else. Observing needs no election
//! rights and never takes part in one.

mod fixed;
pub(crate) mod follower;
mod listening;
mod service;
mod view;
mod watch;

pub use fixed::FixedLeaderRetrieval;
pub(crate) use service::DefaultLeaderRetrieval;
pub use service::{LeaderRetrieval, LeaderRetrievalListener};
pub use view::{Leader, LeaderView};
pub use watch::LeaderWatch;
