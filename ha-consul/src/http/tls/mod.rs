//! TLS: rustls, with one crypto provider for the whole workspace.
//!
//! The client is always given a configuration of ours, also for addresses without TLS: the provider then does not
//! depend on what else the application compiles in or installs, and what the settings do not name is not used.

#[cfg(feature = "tls")]
mod unverified;
#[cfg(feature = "tls")]
mod with;
#[cfg(not(feature = "tls"))]
mod without;

#[cfg(feature = "tls")]
pub(super) use with::{alert_of_handshake, prepared};
#[cfg(not(feature = "tls"))]
pub(super) use without::{alert_of_handshake, prepared};
