use std::collections::BTreeSet;

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Configuration, Error> {
    Configuration::from_variables(pairs.iter().copied())
}

#[test]
fn every_option_has_a_variable_of_its_own() {
    let mut seen = BTreeSet::new();
    for (variable, key) in names() {
        // The same setting twice, in an earlier plug-in's words.
        assert!(seen.insert(variable.clone()) || key == "high-availability.consul.session.ttl", "{variable}");
        if key == "high-availability.consul.session.ttl" {
            continue;
        }
        let read = read(&[(&variable, "1")]).unwrap();
        assert_eq!(read.get(key), Some("1"), "{variable}");
        assert_eq!(read.origin(key).unwrap().to_string(), format!("variable {variable}"));
    }
    for (key, variable) in [
        ("high-availability.type", "HA_TYPE"),
        ("high-availability.cluster-id", "HA_CLUSTER_ID"),
        ("high-availability.storageDir", "HA_STORAGE_DIR"),
        ("high-availability.consul.acl-token", "HA_CONSUL_ACL_TOKEN"),
        ("execution.checkpointing.num-retained", "HA_EXECUTION_CHECKPOINTING_NUM_RETAINED"),
    ] {
        assert_eq!(variable_of(key), variable);
    }
    let component = read(&[("HA_STANDALONE_LEADER_ADDRESS_REST_SERVER", "http://h:1")]).unwrap();
    assert_eq!(component.get("high-availability.standalone.leader-address.rest_server"), Some("http://h:1"));
}

#[test]
fn a_misspelt_variable_is_refused_and_those_of_others_are_passed_over() {
    let error = read(&[("HA_CLUSTERID", "x")]).unwrap_err();
    assert!(error.to_string().contains("`HA_CLUSTER_ID`"), "{error}");
    let others = [
        ("HA_TESTKIT_ROLE", "x"),
        ("HAPROXY", "x"),
        ("HA_SERVICE_HOST", "10.0.0.1"),
        ("HA_SERVICE_PORT", "80"),
        ("HA_SERVICE_PORT_HTTP", "80"),
        ("HA_PORT", "tcp://10.0.0.1:80"),
        ("HA_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("HA_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("HA_CONSUL_PORT", "tcp://10.0.0.1:8500"),
        ("HA_CONSUL_SERVICE_HOST", "10.0.0.1"),
        ("HA_TYPE", ""),
        ("PATH", "/bin"),
    ];
    assert_eq!(read(&others).unwrap(), Configuration::new());
}

#[test]
fn a_url_stands_below_the_other_variables() {
    let read =
        read(&[("HA_CLUSTER_ID", "mine"), ("HA_URL", "consul://a:1/flink?cluster-id=theirs&acl-token=t")]).unwrap();
    assert_eq!(read.get("high-availability.cluster-id"), Some("mine"));
    assert_eq!(read.get("high-availability.consul.host"), Some("a"));
    let error = Configuration::from_variables([("HA_URL", "consul://me:s3cret@a")]).unwrap_err();
    assert!(error.to_string().contains("variable HA_URL") && !error.to_string().contains("s3cret"), "{error}");
}

#[cfg(not(feature = "yaml"))]
#[test]
fn a_file_needs_the_cargo_feature_and_says_so() {
    let error = read(&[("HA_CONFIG", "/etc/ha.yaml")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("cargo feature `yaml`"), "{error}");
}

#[cfg(feature = "yaml")]
#[test]
fn a_file_stands_below_the_url_and_the_other_variables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ha.yaml");
    std::fs::write(&path, "high-availability: {type: consul, cluster-id: file, path.root: file}\n").unwrap();
    let path = path.display().to_string();
    let variables = [("HA_CONFIG", path.as_str()), ("HA_URL", "embedded:///url"), ("HA_CLUSTER_ID", "mine")];
    let read = read(&variables).unwrap();
    let values = ["type", "cluster-id", "path.root"].map(|key| read.get(&format!("{HA}{key}")).unwrap().to_owned());
    assert_eq!(values, ["embedded", "mine", "url"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused_by_its_name() {
    use std::os::unix::ffi::OsStringExt;
    let garbage = OsString::from_vec(b"s3cret\xff".to_vec());
    let error = Configuration::from_variables([(OsString::from("HA_CLUSTER_ID"), garbage.clone())]).unwrap_err();
    assert!(error.to_string().contains("HA_CLUSTER_ID") && !error.to_string().contains("s3cret"), "{error}");
    assert!(Configuration::from_variables([(garbage, OsString::from("x"))]).is_ok());
}
