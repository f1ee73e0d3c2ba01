//! The Consul backend.

mod address;
mod backend;
mod commit;
mod connector;
mod http;
mod kv;
mod layout;
mod session;
mod settings;
mod watch;
mod wire;

pub use backend::Consul;
pub use connector::ConsulConnector;
pub use settings::{BasicAuth, ConsulSettings, Liveness, Tls, Token};
