//! Services without an election: leaders are configured. Flink's `StandaloneHaServices`, what it uses for
//! `high-availability.type: NONE`.
//!
//! Whoever contends is granted leadership at once, under the session id
//! [`DEFAULT_LEADER_ID`](ha_core::DEFAULT_LEADER_ID); who looks for a leader is told the configured address.
//! The operator sees to it that each component runs once: **if two processes of one kind run, both lead.**
//! What stands in the stores is in memory, for this process alone, and gone with it.
//!
//! It is the same trait, and below it are the same services, as on any other backend, over a store of their
//! own that nobody else can reach. So a program moves from here to a backend by another name in its
//! configuration, and what is wrong in its use of leaderships and stores shows here already.
//!
//! ```
//! use ha_core::{ComponentId, DEFAULT_LEADER_ID, HighAvailabilityServices, ServicesOptions};
//! use ha_core::{seam::Seam, state::StateStorage};
//! use ha_embedded::standalone::{StandaloneHaServices, StandaloneOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let (seam, options) = (Seam::system(), ServicesOptions::default());
//! let leaders = StandaloneOptions::default().with_address(ComponentId::dispatcher(), "host-1:6123");
//! let storage = StateStorage::open("memory://", seam.clone())?;
//! let services = StandaloneHaServices::new(&leaders, storage, &options, seam)?;
//!
//! let leader = services.dispatcher_leader_retriever()?.watch().leader().await;
//! assert_eq!((leader.address.as_str(), leader.session_id), ("host-1:6123", DEFAULT_LEADER_ID));
//!
//! let leadership = services.dispatcher_leader_election()?.campaign().await?;
//! assert_eq!(leadership.session_id(), DEFAULT_LEADER_ID);
//! services.close().await?;
//! # Ok::<(), ha_core::Error>(()) }).unwrap();
//! ```

mod client;
mod configured;
mod factory;
mod options;
mod services;

pub use client::StandaloneClientHaServices;
pub use factory::StandaloneServicesFactory;
pub use options::{StandaloneOptions, TOKEN_MAX};
pub use services::StandaloneHaServices;
