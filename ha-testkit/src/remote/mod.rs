//! A store in memory that several processes share: tests with real processes that are killed and
//! stopped, without a server to install.
//!
//! A [`Server`] serves an [`Embedded`](ha_embedded::Embedded) store over TCP on the loopback address;
//! a [`Remote`] is a handle on it and a backend as any other: it keeps the whole contract, and runs
//! in the suites. What makes it worth having beside the embedded backend is what a network adds:
//!
//! * A process that is killed leaves a session behind, which ends by silence: the server takes no closed
//!   connection for evidence. So does a session that is dropped.
//! * Answers get lost. A write that was sent and not answered is
//!   [`Indeterminate`](ha_core::ErrorKind::Indeterminate), and may take effect later.
//! * [`Server::cut`], [`Server::go_down`], [`Server::hold`] and [`Server::freeze`] break all of it from
//!   outside, connection by connection, client by client, session by session.
//!
//! # The protocol
//! Frames of a length (four bytes, the most significant first) and as many bytes of JSON, at most 64 MiB.
//! A connection begins with a greeting and then carries one request at a time. Client and server are
//! of one build; another version is refused. Whatever else arrives ends its connection and nothing more.

mod answer;
pub(crate) mod cell;
mod client;
mod connection;
pub(crate) mod dispatch;
pub(crate) mod errors;
mod factory;
mod frame;
pub(crate) mod hex;
mod line;
mod server;
mod session;
mod table;
pub(crate) mod wire;

use std::time::Duration;

pub(crate) use client::Effect;
pub use client::{Remote, RemoteOptions};
pub use factory::RemoteFactory;
pub use server::{ClientInfo, Hold, Server};

/// The shortest and the longest silence that a session may have.
const SILENCE_MIN: Duration = Duration::from_millis(100);
const SILENCE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long the server lets a client wait for a change before it says that there is none.
const POLL_MAX: Duration = Duration::from_secs(10);
