//! Services as users open them: by configurations and URLs.
#![cfg(all(feature = "embedded", feature = "yaml"))]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::Arc;

use ha::config::ConfigOption;
use ha::embedded::Embedded;
use ha::seam::Seam;
use ha::{Configuration, ErrorKind, Opener};

/// The error of opening that; nothing is ever connected.
async fn refused(read: &Configuration) -> ha::Error {
    match Opener::new(Seam::system()).open(read).await {
        Ok(services) => panic!("{services:?} were opened"),
        Err(error) => error,
    }
}

fn of_type(kind: &str) -> Configuration {
    Configuration::new().with("high-availability.type", kind).with("high-availability.storageDir", "memory://")
}

#[tokio::test]
async fn all_that_one_opener_opens_competes_and_finds_each_others_states() {
    let opener = Opener::new(Seam::system());
    let read = Configuration::from_url("embedded://?cluster-id=/prod").unwrap();
    let (one, other) = (opener.open(&read).await.unwrap(), opener.open(&read).await.unwrap());
    let leadership = one.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    leadership.publish("host-1:1").await.unwrap();
    let seen = other.dispatcher_leader_retriever().unwrap().watch().leader().await;
    assert_eq!(seen.address, "host-1:1");
    // A tool sees the same through the parts; what is stored at memory:// as well.
    let parts = opener.connect(&read.settings().unwrap()).await.unwrap();
    let place = parts.options.validate().unwrap();
    let found = parts.backend.list(&place).await.unwrap();
    assert!(found.entries.iter().any(|entry| entry.key.last() == "latch"), "{found:?}");
    let handle = parts.storage.write(&[], "state".into()).await.unwrap();
    let again = opener.connect(&read.settings().unwrap()).await.unwrap();
    assert_eq!(again.storage.read(&handle).await.unwrap(), "state");
    // Another opener has a store of its own.
    let stranger = Opener::new(Seam::system()).connect(&read.settings().unwrap()).await.unwrap();
    assert!(stranger.backend.list(&place).await.unwrap().entries.is_empty());
    one.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test]
async fn what_is_stored_in_memory_is_found_again_however_its_url_is_written() {
    let opener = Opener::new(Seam::system());
    let at = |url: &str| of_type("embedded").with("high-availability.storageDir", url).settings().unwrap();
    let one = opener.connect(&at("memory://")).await.unwrap();
    let handle = one.storage.write(&[], "state".into()).await.unwrap();
    for url in ["MEMORY://", " Memory:/// "] {
        let other = opener.connect(&at(url)).await.unwrap();
        assert_eq!(other.storage.read(&handle).await.unwrap(), "state", "{url}");
    }
}

#[tokio::test]
async fn absent_is_none_and_needs_no_store() {
    let services = ha::open(&Configuration::new()).await.unwrap();
    let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    assert_eq!(leadership.session_id(), ha::DEFAULT_LEADER_ID);
    services.close().await.unwrap();
    let read = Configuration::from_url("NONE://?leader-address.rest_server=http://host-1:8081").unwrap();
    let opener = Opener::new(Seam::system());
    let client = opener.open_client(&read).await.unwrap();
    let leader = client.cluster_rest_endpoint_leader_retriever().unwrap().watch().leader().await;
    assert_eq!(leader.address, "http://host-1:8081");
    let error = opener.connect(&read.settings().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn modes_of_flinks_that_there_are_not_say_so_and_what_there_is() {
    for mode in ["ZOOKEEPER", "zookeeper", "Kubernetes"] {
        let text = format!("high-availability: {mode}\nhigh-availability.zookeeper.quorum: a:1\n");
        let error = refused(&Configuration::from_yaml(&text, "config.yaml").unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("no backend for yet; there is: ") && error.to_string().contains("embedded"));
    }
    for (class, instead) in [
        ("com.fredwangwang.flink.consul.ha.ConsulHaServicesFactory", "write `consul`"),
        ("org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory", "Kubernetes"),
        ("org.apache.flink.runtime.highavailability.zookeeper.ZooKeeperHaServicesFactory", "ZooKeeper"),
        ("com.lightbend.ha.FileSystemHAServices", "write `filesystem`"),
        ("com.example.Something", "register a factory"),
    ] {
        let error = refused(&of_type(class)).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(instead), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_type_lists_what_there_is_and_one_that_is_missing_names_its_feature() {
    let error = refused(&of_type("consull")).await;
    assert!(error.to_string().contains("there is: ") && error.kind() == ErrorKind::Invalid, "{error}");
    let error = ha::open_url("redis://localhost:1/flink?cluster-id=a&storageDir=memory://").await.unwrap_err();
    assert!(error.to_string().contains("embedded") && error.kind() == ErrorKind::Invalid, "{error}");
    let error = refused(&of_type("embeded")).await;
    assert!(error.to_string().contains("did you mean `embedded`?"), "{error}");
    for (kind, compiled) in [("consul", cfg!(feature = "consul")), ("filesystem", cfg!(feature = "filesystem"))] {
        if !compiled {
            let error = refused(&of_type(kind)).await;
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(&format!("cargo feature `{kind}`")), "{error}");
        }
    }
}

#[cfg(feature = "consul")]
#[tokio::test]
async fn the_storage_of_the_first_example_is_refused_with_what_there_is() {
    let text = "high-availability.type: consul\nhigh-availability.storageDir: hdfs:///flink/ha\n";
    let error = refused(&Configuration::from_yaml(text, "config.yaml").unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("hdfs://") && error.to_string().contains("file://"), "{error}");
    let none = refused(&Configuration::new().with("high-availability.type", "consul")).await;
    assert!(none.to_string().contains("high-availability.storageDir"), "{none}");
}

#[tokio::test]
async fn a_factory_of_ones_own_is_found_by_the_name_of_its_class() {
    let seam = Seam::system();
    let mut registry = ha::registry(&seam);
    registry.register("com.example.MyStore", Arc::new(Embedded::new(seam.clone()))).unwrap();
    registry.register("zookeeper", Arc::new(Embedded::new(seam.clone()))).unwrap();
    let opener = Opener::new(seam).with_registry(registry);
    for kind in ["com.example.MyStore", "COM.EXAMPLE.MYSTORE", "ZooKeeper"] {
        let services = opener.open(&of_type(kind)).await.unwrap();
        services.close().await.unwrap();
    }
    // It reads its settings itself, and says which it does not know.
    let read = of_type("com.example.MyStore").with("high-availability.com.example.MyStore.adress", "x");
    let error = opener.open(&read).await.unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, "\"adress\""), "{error}");
}

/// Everything that can be shown of a configuration, from every source.
#[tokio::test]
async fn no_secret_is_ever_shown() {
    const SECRET: &str = "s3cret-t0ken";
    let opener = Opener::new(Seam::system());
    let secrets: Vec<&str> = ConfigOption::all().filter(|option| option.secret).map(|option| option.key).collect();
    assert!(secrets.len() >= 4, "{secrets:?}");
    // Also where none belongs: as a value of another kind, in a URL, under a key that there is not.
    let misplaced = ["high-availability.consul.port", "high-availability.storageDir", "high-availability.cluster-id"];
    let unknown = ["high-availability.consul.acl-tokn", "high-availability.my-store.password", "acl-token"];
    for key in secrets.iter().chain(&misplaced[1..2]).chain(&unknown).chain(&["high-availability.consul.address"]) {
        let value = match *key {
            "high-availability.storageDir" => format!("s3://me:{SECRET}@bucket/x?key={SECRET}"),
            "high-availability.consul.address" => format!("http://me:{SECRET}@host:1?token={SECRET}"),
            _ => SECRET.to_owned(),
        };
        let quoted = value.replace('%', "%25").replace('&', "%26").replace('#', "%23");
        let variable =
            format!("HA_{}", key.trim_start_matches("high-availability.").to_uppercase().replace(['.', '-'], "_"));
        let sources = [
            Ok(Configuration::new().with(key, &value)),
            Configuration::from_yaml(&format!("{key}: \"{value}\"\n"), "config.yaml"),
            Configuration::from_yaml(&format!("{key}: \"{value}\"\n{key}: other\n"), "config.yaml"),
            Configuration::from_yaml(&format!("{key}: \"{value}\"\n  - [{SECRET}"), "config.yaml"),
            Configuration::from_yaml(&format!("{key}: {value}: {value}"), "config.yaml"),
            Configuration::from_url(&format!("consul://host/?{key}={quoted}")),
            Configuration::from_url(&format!("consul://host/?{key}={quoted}&{key}=other")),
            Configuration::from_variables([(variable.as_str(), value.as_str())]),
        ];
        for (number, source) in sources.into_iter().enumerate() {
            let mut shown = Vec::new();
            match source.map(|read| Configuration::new().with("high-availability.type", "consul").and_then(read)) {
                Err(error) => shown.push(format!("{error} {error:?}")),
                Ok(read) => {
                    shown.push(format!("{read:?} {read:#?}"));
                    match read.settings() {
                        Err(error) => shown.push(format!("{error} {error:?}")),
                        Ok(settings) => {
                            shown.push(format!("{settings:?}"));
                            if let Err(error) = opener.connect(&settings).await {
                                shown.push(format!("{error} {error:?}"));
                            }
                        }
                    }
                }
            }
            assert!(shown.iter().all(|text| !text.contains(SECRET)), "{key}, source {number}: {shown:?}");
        }
    }
}

#[test]
fn the_document_of_all_options_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(stored == ha::config::reference(), "docs/configuration.md is not current: run `cargo xtask docs`");
}
