//! The Consul backend: `Consul` is a [`Backend`](ha_core::backend::Backend) over the HTTP API of Consul's agents.
//!
//! # What it guarantees
//! * A guarded commit is one transaction that also checks that the latch is held by the same session since the same
//!   write. Nothing of a deposed leader is applied, however late it arrives.
//! * A latch is a lock of Consul's own kind, so `consul lock` and this library exclude each other. Taking it raises
//!   its epoch in the same transaction; the epoch grows over everything but the loss of all data.
//! * `valid_until` counts from the sending of what was acknowledged last, by the agent and by the servers both.
//! * No request that may have been applied is sent again by itself.
//!
//! # What it does not
//! * A session can end before its deadline: an operator, the agent, gossip (if opted in) or a restored
//!   snapshot ends it at once. The profile lists these. The fence protects until the leader hears of it.
//! * An agent in developer mode keeps nothing.
//!
//! Layout, liveness, failures with measured times, the least policy: `docs/consul.md`.

mod address;
mod backend;
mod commit;
mod connector;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod kv;
mod layout;
mod session;
mod settings;
mod view;
mod watch;
mod wire;

pub use backend::Consul;
pub use connector::ConsulConnector;
pub use settings::{BasicAuth, ConsulSettings, Liveness, Tls, Token};
