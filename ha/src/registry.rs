#[cfg(any(feature = "consul", feature = "embedded", feature = "filesystem"))]
use std::sync::Arc;

use ha_core::FactoryRegistry;
use ha_core::seam::Seam;

/// All types of services that this library has, and the cargo feature that brings each in.
const TYPES: [(&str, &str); 5] = [
    ("consul", "consul"),
    ("embedded", "embedded"),
    ("filesystem", "filesystem"),
    ("standalone", "embedded"),
    ("none", "embedded"),
];

/// The types of services that are compiled in, by name. Add factories of your own to it.
///
/// | name | services |
/// |---|---|
/// | `consul` | on Consul, with its settings by name over those of the environment |
/// | `embedded` | on a store in this process, one for each registry: all that are made from one compete |
/// | `filesystem` | in the directory that its setting `directory` names |
/// | `standalone`, `none` | without an election: leaders are configured |
///
/// ```
/// # #[cfg(feature = "embedded")]
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use ha::{HighAvailabilityServices, ServicesSetup, seam::Seam, state::StateStorage};
///
/// let seam = Seam::system();
/// let registry = ha::registry(&seam); // `.register("my-store", …)` adds one of yours
/// let (setup, states) = (ServicesSetup::new(seam.clone()), StateStorage::open("memory://", seam)?);
/// let services = registry.create_ha_services("embedded", &setup, states).await?;
/// let leadership = services.dispatcher_leader_election()?.campaign().await?;
/// leadership.publish("host-1:6123").await?;
/// services.close().await?;
///
/// let unknown = registry.create_client_ha_services("zookeper", &setup).await.unwrap_err();
/// assert!(unknown.to_string().contains("there is: "), "{unknown}");
/// # Ok::<(), ha::Error>(()) }).unwrap();
/// ```
#[must_use]
#[cfg_attr(not(feature = "embedded"), expect(unused_variables, reason = "no backend to hand the seam to"))]
pub fn registry(seam: &Seam) -> FactoryRegistry {
    let mut registry = FactoryRegistry::new();
    #[cfg(any(feature = "consul", feature = "embedded", feature = "filesystem"))]
    let own = "names that are chosen here, each once";
    #[cfg(feature = "consul")]
    registry.register("consul", Arc::new(ha_consul::ConsulConnector)).expect(own);
    #[cfg(feature = "filesystem")]
    registry.register("filesystem", Arc::new(ha_filesystem::FilesystemConnector)).expect(own);
    #[cfg(feature = "embedded")]
    {
        use ha_embedded::standalone::StandaloneServicesFactory;
        registry.register("embedded", Arc::new(ha_embedded::Embedded::new(seam.clone()))).expect(own);
        registry.register("standalone", Arc::new(StandaloneServicesFactory)).expect(own);
        registry.register("none", Arc::new(StandaloneServicesFactory)).expect(own);
    }
    // Those that are there stay; the rest is known by name, and by what is missing.
    TYPES.iter().for_each(|(name, feature)| registry.declare_absent(name, feature));
    registry
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

    use ha_core::ErrorKind;

    use super::*;

    #[test]
    fn every_type_is_either_compiled_in_or_names_the_feature_that_is_missing() {
        let registry = registry(&Seam::system());
        for (name, feature) in TYPES {
            let compiled = [
                ("consul", cfg!(feature = "consul")),
                ("embedded", cfg!(feature = "embedded")),
                ("filesystem", cfg!(feature = "filesystem")),
            ];
            let there = compiled.contains(&(feature, true));
            assert_eq!(registry.names().any(|known| known == name), there, "{name}");
            if let Err(error) = registry.factory(name) {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains(&format!("cargo feature `{feature}`")), "{error}");
            }
        }
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn capitals_count_as_small_letters_as_in_flinks_configuration() {
        assert!(registry(&Seam::system()).factory("NONE").is_ok());
    }
}
