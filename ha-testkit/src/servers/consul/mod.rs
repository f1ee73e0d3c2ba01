//! Agents of Consul: developer mode, single servers whose data lasts, client agents, three servers at once.
//!
//! ```no_run
//! # async fn example() -> Result<(), ha_testkit::Missing> {
//! use ha_core::seam::Seam;
//! use ha_testkit::servers::consul::{Agent, Options};
//!
//! let mut agent = Agent::start(Seam::system(), Options::server()).await?;
//! agent.ask("PUT", "/v1/kv/a", b"1").await;
//! agent.kill();
//! agent.restart().await;
//! assert_eq!(agent.ask("GET", "/v1/kv/a?raw", b"").await.text(), "1");
//! # Ok(())
//! # }
//! ```

mod access;
mod agent;
mod certificates;
mod cluster;
mod options;

pub use agent::Agent;
pub use certificates::Certificates;
pub use cluster::Cluster;
pub use options::Options;

use std::path::PathBuf;

use crate::factory::Missing;

/// The program.
///
/// # Errors
/// [`Missing`]: there is none; the text says what to do.
pub fn program() -> Result<PathBuf, Missing> {
    super::sought::program("consul", "CONSUL_BIN")
}
