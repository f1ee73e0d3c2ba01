use super::*;

#[test]
fn nothing_given_is_every_default() {
    let settings = Configuration::new().settings().unwrap();
    assert_eq!(settings.mode, HighAvailabilityMode::None);
    let default = ServicesOptions { cluster_id: "/default".into(), ..ServicesOptions::default() };
    assert_eq!(settings.options, default);
    assert_eq!(default.validate(), ServicesOptions::default().validate(), "the same place");
    assert_eq!((settings.num_retained, settings.cleanup), (1, CleanupStrategy::default()));
    assert_eq!(settings.backend, BackendSettings::new());
    assert_eq!(settings.storage.unwrap().url, "memory://");
    assert_eq!(settings.job_manager_ports, [0..=0]);
}
