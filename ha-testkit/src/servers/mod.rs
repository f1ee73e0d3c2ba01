//! Real servers for tests: thrown away after use, on free ports of loopback.
//!
//! * [`consul`]: agents of Consul, one or several.
//! * [`s3`]: a store that speaks S3.
//!
//! # What is seen to
//! * A server never outlives the value that stands for it, also not after a panic. Nor does it outlive the test
//!   process, even if that is killed, or keeps the server in a `static`: a keeper, which hears of the end
//!   of the test process by its own standard input, then kills the server and removes its folder.
//! * Signals go to a child of ours that was not reaped yet, so never to a stranger with its number.
//! * Ports are taken in blocks. While one process of the machine has a block, no other that uses this
//!   module takes it, so a server finds its ports free again after a restart.
//! * What a server writes is kept in its folder, and the last part of it shown when a wait fails or the
//!   test panics.
//! * Waits are for what the server answers, with a deadline.
//!
//! # Where the programs come from
//! The environment variable (`CONSUL_BIN`, `S3S_FS_BIN`), else the `PATH`, else what `cargo xtask servers` unpacked below the
//! target folder. Without a program a start answers [`Missing`](crate::Missing), which the suites show as skipped
//! here and as failed where `CI` is set.

pub mod consul;
mod http;
mod ports;
mod program;
pub mod s3;
mod sought;

pub use http::Answer;
