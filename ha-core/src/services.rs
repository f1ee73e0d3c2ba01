//! Everything in one place: the trait that mirrors Flink's `HighAvailabilityServices`, and the one
//! implementation of it over backends.

mod ha_services;
mod high_availability_services;
mod options;

pub use ha_services::HaServices;
pub use high_availability_services::HighAvailabilityServices;
pub use options::ServicesOptions;
