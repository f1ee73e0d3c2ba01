//! What the log is told of a configuration: names that are deprecated, keys without effect, and no value.
#![cfg(feature = "yaml")]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use ha::Configuration;
use ha::config::ConfigOption;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps every event as a line: level and fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    /// What is told while that is done.
    fn of(work: impl FnOnce()) -> Vec<(Level, String)> {
        let log = Self::default();
        tracing::subscriber::with_default(log.clone(), work);
        log.0.lock().unwrap().clone()
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push((*event.metadata().level(), line.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

fn warnings(text: &str) -> Vec<String> {
    let told = Log::of(|| drop(Configuration::from_yaml(text, "config.yaml").unwrap().settings().unwrap()));
    told.into_iter().filter(|(level, _)| *level == Level::WARN).map(|(_, line)| line).collect()
}

#[test]
fn every_deprecated_name_is_told_once_with_its_place_and_the_name_to_write() {
    let mut tried = 0;
    for option in ConfigOption::all() {
        for alias in option.aliases.iter().filter(|alias| alias.deprecated) {
            let value = if option.default.is_empty() { "memory://" } else { option.default };
            let value = if option.key == "high-availability.job.delay" { "10 s" } else { value };
            let told = warnings(&format!("# a comment\n{}: \"{value}\"\n", alias.key));
            let deprecated: Vec<&String> = told.iter().filter(|line| line.contains("deprecated")).collect();
            assert_eq!(deprecated.len(), 1, "{}: {told:?}", alias.key);
            let line = deprecated[0];
            for part in [alias.key, option.key, "config.yaml:2"] {
                assert!(line.contains(part), "{part}: {line}");
            }
            assert!(!line.contains("memory://"), "{line}");
            tried += 1;
        }
        let value = if option.default.is_empty() { "10 s" } else { option.default };
        if option.effect == ha::config::Effect::Set && !option.default.is_empty() && !option.default.contains('{') {
            assert_eq!(warnings(&format!("{}: \"{value}\"\n", option.key)), Vec::<String>::new(), "{}", option.key);
        }
    }
    assert!(tried >= 8, "{tried} deprecated names");
}

#[test]
fn a_key_without_an_effect_says_why_and_no_secret_is_told_at_any_level() {
    let told = warnings("high-availability.job.delay: 10 s\n");
    assert!(
        told.len() == 1 && told[0].contains("no effect") && told[0].contains("high-availability.job.delay"),
        "{told:?}"
    );
    let all = Log::of(|| {
        let text = "recovery.mode: none\nhigh-availability.consul.acl-token: s3cret\ns3.secret.key: s3cret\n\
                    s3.entropy.key: s3cret\nother.password: s3cret\nhigh-availability.zookeeper.client.acl: s3cret\n";
        let later = Configuration::from_variables([("HA_CONSUL_ACL_TOKEN", "s3cret"), ("HA_OTHER_THING", "s3cret")]);
        let read = Configuration::from_yaml(text, "config.yaml").unwrap().and_then(later.unwrap());
        drop(read.settings().unwrap());
    });
    assert!(all.len() >= 2, "{all:?}");
    assert!(all.iter().all(|(_, line)| !line.contains("s3cret")), "{all:?}");
}
