use super::*;
use crate::config::option::{ConfigOption, Effect};

fn with(pairs: &[(&str, &str)]) -> Configuration {
    pairs.iter().fold(Configuration::new(), |read, (key, value)| read.with(key, *value))
}

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
    with(pairs).settings()
}

fn refused(pairs: &[(&str, &str)]) -> (ErrorKind, String) {
    let error = settings(pairs).unwrap_err();
    (error.kind(), error.to_string())
}

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

/// The table's defaults are those that count: the settings are the same with all of them written out.
#[test]
fn the_defaults_of_the_document_are_those_of_the_code() {
    for kind in ["none", "consul", "filesystem", "embedded"] {
        let place = [("high-availability.type", kind), ("high-availability.storageDir", "file:///shared/ha")];
        let defaults = settings(&place).unwrap();
        let written = ConfigOption::all().filter(|option| option.effect == Effect::Set && !option.default.is_empty());
        let mut read = Configuration::new();
        for option in written.filter(|option| !["job-result-store.storage-path"].contains(&option.key)) {
            read = read.with(option.key, option.default);
        }
        let written = read.and_then(with(&place)).settings().unwrap();
        // What a connector is told in so many words may be what it does anyway.
        assert_eq!(Settings { backend: defaults.backend.clone(), ..written }, defaults, "{kind}");
    }
}

#[cfg(feature = "consul")]
#[test]
fn every_setting_of_consuls_is_taken_by_its_connector_and_has_its_defaults() {
    use ha_consul::ConsulSettings;
    let options = ConfigOption::all().filter(|option| option.key.starts_with("high-availability.consul."));
    let mut read = Configuration::new().with("high-availability.type", "consul");
    for option in options.filter(|option| option.effect == Effect::Set && !option.default.is_empty()) {
        read = read.with(option.key, option.default);
    }
    let named = read.settings().unwrap().backend;
    let read = ConsulSettings::default().with_named(&named).unwrap();
    let expected = ConsulSettings { addresses: vec!["localhost:8500".into()], ..ConsulSettings::default() };
    assert_eq!(read, expected);
    // The others by name: whether the connector knows each, whatever it says to the value.
    for option in ConfigOption::all().filter(|option| option.key.starts_with("high-availability.consul.")) {
        if option.effect != Effect::Set {
            continue;
        }
        let pairs = [("high-availability.type", "consul"), (option.key, "1")];
        let Ok(read) = settings(&pairs) else { continue };
        if let Err(error) = ConsulSettings::default().with_named(&read.backend) {
            assert!(!error.to_string().contains("no such setting"), "{}: {error}", option.key);
        }
    }
}

#[test]
fn every_alias_sets_what_its_option_sets_and_a_later_source_wins_by_any_name() {
    for option in ConfigOption::all() {
        for alias in option.aliases {
            let value = if option.default.is_empty() { "1" } else { option.default };
            let read = Configuration::new().with(alias.key, value);
            assert_eq!(read.get(option.key), Some(value), "{}", alias.key);
            assert_eq!(read.with(option.key, "other").get(alias.key), Some("other"), "{}", alias.key);
        }
    }
    let file = with(&[("recovery.mode", "zookeeper"), ("high-availability.consul.path.root", "/a/")]);
    let line = with(&[("high-availability.type", "filesystem"), ("high-availability.path.root", "b")]);
    let both = file.and_then(line).and_then(with(&[("high-availability.storageDir", "/shared/ha")]));
    let settings = both.settings().unwrap();
    assert_eq!((settings.mode.type_name(), settings.options.root.as_str()), ("filesystem", "b"));
}

#[test]
fn a_later_source_takes_back_what_says_the_same_in_another_way() {
    let consul = |key: &str| format!("high-availability.consul.{key}");
    let file = Configuration::new()
        .with("high-availability.type", "consul")
        .with(&consul("host"), "a")
        .with(&consul("port"), "1")
        .with(&consul("acl-token"), "t");
    let later = Configuration::new().with(&consul("address"), "b:2").with(&consul("acl-token-file"), "/token");
    let settings = file.clone().and_then(later.clone()).settings().unwrap();
    assert_eq!(settings.backend.names().collect::<Vec<_>>(), ["acl-token-file", "address"]);
    let settings = later.and_then(file).settings().unwrap();
    assert_eq!(settings.backend.names().collect::<Vec<_>>(), ["acl-token", "host", "port"]);
}

#[test]
fn credentials_of_two_sources_are_never_mixed() {
    let from = |pairs: &[(&str, &str)]| Configuration::from_variables(pairs.iter().copied()).unwrap();
    let names = |read: Configuration| {
        let storage = read.settings().unwrap().storage.unwrap();
        storage.options.names().map(str::to_owned).collect::<Vec<_>>()
    };
    let file = with(&[("s3.access-key", "id"), ("s3.secret-key", "secret"), ("s3.session-token", "token")]);
    let later = from(&[("HA_S3_ACCESS_KEY", "other"), ("HA_S3_SECRET_KEY", "other")]);
    assert_eq!(names(file.clone().and_then(later)), ["s3.access-key", "s3.secret-key"], "the token is of another key");
    // The id in a file, the secret elsewhere: one credential.
    let later = from(&[("HA_S3_SECRET_KEY", "other")]);
    assert_eq!(names(file.and_then(later)), ["s3.access-key", "s3.secret-key"]);
    for (earlier, variable, left) in [
        ("gs.service-account-key", "HA_GS_SERVICE_ACCOUNT_KEY_FILE", "gs.service-account-key-file"),
        ("gs.service-account-key-file", "HA_GS_SERVICE_ACCOUNT_KEY", "gs.service-account-key"),
        ("azure.account-key", "HA_AZURE_SAS_TOKEN", "azure.sas-token"),
        ("azure.sas-token", "HA_AZURE_CLIENT_SECRET", "azure.client-secret"),
        ("azure.client-secret", "HA_AZURE_ACCOUNT_KEY", "azure.account-key"),
    ] {
        assert_eq!(names(with(&[(earlier, "a")]).and_then(from(&[(variable, "b")]))), [left]);
    }
    // One source gives them in any order.
    let all = with(&[("s3.session-token", "token"), ("s3.secret-key", "secret"), ("s3.access-key", "id")]);
    assert_eq!(names(all), ["s3.access-key", "s3.secret-key", "s3.session-token"]);
}

#[test]
fn limits_of_the_storage_are_read_in_flinks_forms_too() {
    for (key, value) in [
        ("high-availability.storage.request-timeout", "30 sec"),
        ("high-availability.storage.request-timeout", "1 minute"),
        ("high-availability.storage.retry-timeout", "PT30S"),
        ("high-availability.storage.retry-timeout", "500 millis"),
        ("high-availability.storage.part-size", "16 mebibytes"),
    ] {
        settings(&[(key, value)]).unwrap();
    }
}

#[test]
fn a_place_of_states_is_shown_without_what_stands_before_its_host() {
    for url in [
        "s3://key:s3cret@bucket/a",
        "s3://key:x?s3cret@bucket/a",
        "s3://key:s3cret?x@bucket/a",
        "s3://key:s3cret/x@bucket/a",
        "s3://key:x#s3cret@bucket/a",
        "s3://bucket/a?secret-key=s3cret",
        "s3://bucket/a?secret-key=x@s3cret",
    ] {
        let read = settings(&[("high-availability.storageDir", url)]).unwrap();
        assert!(!format!("{read:?}").contains("s3cret"), "{url}: {read:?}");
    }
}

#[test]
fn options_of_flinks_reach_what_they_configure() {
    let settings = settings(&[
        ("high-availability.type", "filesystem"),
        ("high-availability.storageDir", "/shared/ha"),
        ("state.checkpoints.num-retained", "5"),
        ("cleanup-strategy", "Fixed-Delay"),
        ("cleanup-strategy.fixed-delay.delay", "2 min"),
        ("cleanup-strategy.fixed-delay.attempts", "3"),
        ("job-result-store.delete-on-commit", "FALSE"),
        ("job-result-store.storage-path", "/shared/ha/job-result-store/default"),
        ("recovery.jobmanager.port", "50000-50010,50100"),
        ("high-availability.session.silence", "3 s"),
        ("high-availability.handicap", "500"),
        ("high-availability.presence.bind", "0.0.0.0:7"),
        ("high-availability.presence.advertise", "192.0.2.7:0"),
        ("high-availability.enable-job-recovery", "true"),
        ("high-availability.use-old-ha-services", "false"),
        ("high-availability.job.delay", "10 s"),
    ])
    .unwrap();
    let fixed = CleanupStrategy::FixedDelay { delay: Duration::from_secs(120), attempts: Some(3) };
    assert_eq!((settings.num_retained, settings.cleanup), (5, fixed));
    assert_eq!(settings.options.job_results.on_clean, OnClean::Keep);
    assert_eq!(settings.job_manager_ports, [50_000..=50_010, 50_100..=50_100]);
    assert_eq!(settings.options.session.silence, Duration::from_secs(3));
    assert_eq!(settings.options.handicap, Duration::from_millis(500));
    let expected =
        PresenceOptions::At { bind: "0.0.0.0:7".parse().unwrap(), advertise: Some("192.0.2.7:0".parse().unwrap()) };
    assert_eq!(settings.options.presence, expected);
    assert_eq!(settings.storage.unwrap().url, "file:///shared/ha");
    assert_eq!(settings.backend.get("directory"), Some("/shared/ha"), "that of the states, by default");
}

#[test]
fn what_does_not_fit_is_refused_with_its_key() {
    for (key, value, word) in [
        ("high-availability.cluster-id", "", "empty"),
        ("high-availability.cluster-id", "/a/jobs", "jobs"),
        ("high-availability.path.root", "a b", "not allowed"),
        ("high-availability.storageDir", "relative", "absolute path"),
        ("high-availability.session.silence", "10 ms", "100ms"),
        ("high-availability.session.silence", "soon", "whole number"),
        ("high-availability.handicap", "2 min", "60s"),
        ("high-availability.presence.bind", "0.0.0.0:0", "one host"),
        ("high-availability.presence.bind", "localhost:0", "127.0.0.1:0"),
        ("high-availability.presence.advertise", "192.0.2.1:0", "presence.bind"),
        ("high-availability.jobmanager.port", "70000", "no ports"),
        ("execution.checkpointing.num-retained", "0", "at least 1"),
        ("cleanup-strategy", "exponential", "fixed-delay"),
        ("cleanup-strategy", "fixed_delay", "did you mean"),
        ("cleanup-strategy.exponential-delay.max-backoff", "30 d", "at most"),
        ("cleanup-strategy.exponential-delay.attempts", "0", "infinite"),
        ("job-result-store.delete-on-commit", "yes", "true or false"),
        // Also of a backend that is not the one that is chosen.
        ("high-availability.consul.port", "many", "whole number"),
        ("high-availability.consul.session-ttl", "30 parsecs", "30 s"),
    ] {
        let (kind, text) = refused(&[(key, value)]);
        assert_eq!(kind, ErrorKind::Invalid, "{key}");
        assert!(text.contains(key) && text.contains("set by the program") && text.contains(word), "{key}: {text}");
    }
}

#[test]
fn what_is_good_for_flink_and_cannot_be_had_here_says_so() {
    for (key, value, word) in [
        ("high-availability.enable-job-recovery", "false", "uses no stores"),
        ("high-availability.use-old-ha-services", "true", "elected together"),
        ("job-result-store.storage-path", "s3://bucket/results", "records of the backend"),
        ("high-availability.consul.path.leader", "elsewhere", "write leader"),
        ("high-availability.consul.path.jobs", "work", "write jobs"),
        ("high-availability.consul.tls.keystore.path", "/keys.p12", "tls.ca-file"),
        ("high-availability.consul.tls.keystore.password", "s3cret", "tls.ca-file"),
    ] {
        let (kind, text) = refused(&[(key, value)]);
        assert_eq!(kind, ErrorKind::Unsupported, "{key}: {text}");
        assert!(text.contains(key) && text.contains(word) && !text.contains("s3cret"), "{key}: {text}");
    }
    // As Serviceware's plug-in has them by default, slashes and all.
    let paths = ["leader/", "checkpoints/", "checkpoint-counter/", "jobgraphs/", "jobstatus/"];
    for path in paths {
        let key = format!("high-availability.consul.path.{}", path.trim_end_matches('/'));
        settings(&[(&key, path)]).unwrap();
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    for (key, near) in [
        ("high-availability.clusterid", "`high-availability.cluster-id`"),
        ("cluster-id", "`high-availability.cluster-id`"),
        ("high-availability.storagedir", "`high-availability.storageDir`"),
        ("high-availability.zookeper.quorum", "`high-availability.zookeeper.quorum`"),
        ("cleanup-strategy.fixed-dely.delay", "`cleanup-strategy.fixed-delay.delay`"),
        ("parallelism.default", "no such option"),
    ] {
        let (kind, text) = refused(&[(key, "x")]);
        assert_eq!(kind, ErrorKind::Invalid);
        assert!(text.contains(key) && text.contains(near), "{text}");
    }
}

#[test]
fn an_earlier_plug_ins_time_to_live_is_in_seconds() {
    let consul = |pairs: &[(&str, &str)]| {
        let mut read = Configuration::new().with("high-availability.type", "consul");
        for (key, value) in pairs {
            read = read.with(&format!("high-availability.consul.{key}"), *value);
        }
        read.settings().map(|settings| settings.backend)
    };
    assert_eq!(consul(&[("session.ttl", "10")]).unwrap().get("session-ttl"), Some("10000"));
    assert!(consul(&[("session.ttl", "18446744073709551615")]).is_err());
    let both = "high-availability: {type: consul, consul: {session.ttl: 10, session-ttl: 30s}}";
    #[cfg(feature = "yaml")]
    assert!(Configuration::from_yaml(both, "c").unwrap().settings().unwrap_err().to_string().contains("not both"));
    #[cfg(not(feature = "yaml"))]
    let _ = both;
}

#[test]
fn settings_of_a_factory_of_ones_own_are_handed_on_as_they_are() {
    let settings = settings(&[
        ("high-availability.type", "com.example.MyStore"),
        ("high-availability.com.example.MyStore.address", "host:1"),
        ("high-availability.com.example.MyStore.tls.verify", "Maybe"),
        ("high-availability.consul.host", "not for it"),
    ])
    .unwrap();
    let given: Vec<_> = settings.backend.names().collect();
    assert_eq!(given, ["address", "tls.verify"]);
    assert_eq!(settings.storage, None);
}
