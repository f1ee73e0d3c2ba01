//! Everything in one place: the traits that mirror Flink's `HighAvailabilityServices` and its like, and
//! the one implementation of each over backends.

mod client;
mod connector;
mod factory;
mod ha_services;
mod high_availability_services;
mod lifecycle;
mod options;
mod registry;
mod settings;

pub use client::{ClientHaServices, ClientHighAvailabilityServices};
pub use connector::BackendConnector;
pub use factory::{HighAvailabilityServicesFactory, ServicesSetup};
pub use ha_services::HaServices;
pub use high_availability_services::{DEFAULT_LEADER_ID, HighAvailabilityServices};
pub use lifecycle::Closing;
pub(crate) use lifecycle::storage_of;
pub use options::ServicesOptions;
pub use registry::FactoryRegistry;
pub use settings::BackendSettings;
