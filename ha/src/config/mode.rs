use std::fmt;

/// Which kind of services is wanted: what stands at `high-availability.type`. Flink's `HighAvailabilityMode`.
///
/// ```
/// use ha::config::HighAvailabilityMode;
/// assert_eq!(HighAvailabilityMode::of(None), HighAvailabilityMode::None);
/// assert_eq!(HighAvailabilityMode::of(Some("standalone")), HighAvailabilityMode::None);
/// assert_eq!(HighAvailabilityMode::of(Some("zooKeeper")), HighAvailabilityMode::ZooKeeper);
/// assert_eq!(HighAvailabilityMode::of(Some("consul")), HighAvailabilityMode::Factory("consul".into()));
/// assert!(!HighAvailabilityMode::None.is_active());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HighAvailabilityMode {
    /// None: standalone services, without an election.
    #[default]
    None,
    /// Flink's services on ZooKeeper, which this library does not have.
    ZooKeeper,
    /// Flink's services on Kubernetes, which this library does not have.
    Kubernetes,
    /// The services that are registered under that type name, in small letters: one of this library's or one of the
    /// application's. Flink's `FACTORY_CLASS`.
    Factory(String),
}

impl HighAvailabilityMode {
    /// The mode that a configured value stands for. No value means none, and so does `standalone`, the word for it in
    /// Flink's earliest versions. Capitals do not count. What is no mode is the name of a factory.
    #[must_use]
    pub fn of(value: Option<&str>) -> Self {
        let name = value.unwrap_or("none").trim().to_ascii_lowercase();
        match name.as_str() {
            "none" | "standalone" | "" => Self::None,
            "zookeeper" => Self::ZooKeeper,
            "kubernetes" => Self::Kubernetes,
            _ => Self::Factory(name),
        }
    }

    /// Whether leaders are elected and found through a store that survives them. Flink's
    /// `isHighAvailabilityModeActivated`.
    #[must_use]
    pub fn is_active(&self) -> bool {
        *self != Self::None
    }

    /// The name that services of this mode are registered under.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::ZooKeeper => "zookeeper",
            Self::Kubernetes => "kubernetes",
            Self::Factory(name) => name,
        }
    }
}

impl fmt::Display for HighAvailabilityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flink's `HighAvailabilityModeTest` and the code that it tests.
    #[test]
    fn a_value_means_what_it_means_to_flink() {
        for (value, mode) in [
            (None, HighAvailabilityMode::None),
            (Some("none"), HighAvailabilityMode::None),
            (Some("NONE"), HighAvailabilityMode::None),
            (Some("None"), HighAvailabilityMode::None),
            (Some("standalone"), HighAvailabilityMode::None),
            (Some("StandAlone"), HighAvailabilityMode::None),
            (Some("zookeeper"), HighAvailabilityMode::ZooKeeper),
            (Some("ZOOKEEPER"), HighAvailabilityMode::ZooKeeper),
            (Some("kubernetes"), HighAvailabilityMode::Kubernetes),
            (Some(" Consul "), HighAvailabilityMode::Factory("consul".into())),
            (Some("com.example.My"), HighAvailabilityMode::Factory("com.example.my".into())),
        ] {
            assert_eq!(HighAvailabilityMode::of(value), mode, "{value:?}");
            assert_eq!(mode.is_active(), mode != HighAvailabilityMode::None);
        }
    }
}
