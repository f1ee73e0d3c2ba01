//! The network of members in processes of their own: one request on each connection, as [frames](crate::wire).
//!
//! A [`Server`] takes connections in and puts what they say into mailboxes, as [`InProcess`](super::network::InProcess)
//! does; [`Tcp`] is the side that asks. A worker's connection stays: when its offer was taken, it becomes the
//! [`Link`](crate::Link) on which one task runs, and its end is the end of that task.
//!
//! Bounds: connections, the length of a frame, and the time for everything but the life of a task.

mod client;
mod server;

use std::time::Duration;

pub use client::Tcp;
pub use server::Server;

/// Longer frames around requests and answers are refused: a status with thousands of jobs fits.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// How long a connection may take to be made, or to say the next thing.
const TURN_MAX: Duration = Duration::from_secs(10);
