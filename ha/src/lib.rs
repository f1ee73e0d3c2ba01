//! The facade that services depend on: everything of `ha-core`, and the backends that cargo features
//! choose.
#![cfg_attr(feature = "embedded", doc = include_str!("../../README.md"))]

pub mod config;
mod open;
mod registry;
mod store;

pub use config::{Configuration, HighAvailabilityMode, Settings};

#[cfg(feature = "consul")]
pub use ha_consul as consul;
pub use ha_core::*;
#[cfg(feature = "embedded")]
pub use ha_embedded as embedded;
#[cfg(feature = "filesystem")]
pub use ha_filesystem as filesystem;
pub use open::{Opened, Opener, open, open_url};
pub use registry::registry;
pub use store::Store;
