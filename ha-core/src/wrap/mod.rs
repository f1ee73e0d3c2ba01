//! Backends that wrap a backend. Each implements the whole contract, so they compose.

mod chroot;
#[cfg(feature = "metrics")]
mod metered;
mod traced;

pub use chroot::Chroot;
#[cfg(feature = "metrics")]
pub use metered::Metered;
pub use traced::Traced;
