//! What is documented is recorded, what is recorded is documented, and it says what happened.
//!
//! A recorder belongs to the whole process, so this is one test: its steps come one after the other.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod document;
mod recorder;
mod spans;
mod steps;
mod suspicion;
mod world;

use std::collections::BTreeSet;

use ha_core::telemetry::{describe, names};
use ha_testkit::run::block_on;

use recorder::Memory;

#[test]
fn every_documented_metric_is_recorded_and_no_other_and_spans_have_their_term() {
    let memory = Memory::default();
    metrics::set_global_recorder(memory.clone()).unwrap();
    describe();
    let described: BTreeSet<String> = memory.described.lock().unwrap().keys().cloned().collect();
    assert_eq!(described, names(), "what `describe` tells a recorder");
    block_on(async {
        steps::a_leader_works_and_resigns(&memory).await;
        steps::a_leader_is_deposed(&memory).await;
        steps::answers_are_lost(&memory).await;
        steps::watches_fail_and_addresses_are_overwritten(&memory).await;
        steps::letting_go_fails(&memory).await;
        steps::what_cannot_be_deleted_is_counted(&memory).await;
        steps::an_election_that_cannot_go_on(&memory).await;
        steps::a_session_that_nothing_renews(&memory).await;
        suspicion::evidence_and_evidence_that_was_wrong(&memory).await;
        steps::a_recorder_panics(&memory).await;
    });
    // It runs the same services, so it counts too: it comes last.
    spans::spans_have_the_component_and_the_term_and_nothing_stored_or_published_is_told();
    compare(&memory);
}

fn names() -> BTreeSet<String> {
    names::METRICS.iter().map(|metric| metric.name.to_owned()).collect()
}

/// Holds everything that was recorded against the constants.
fn compare(memory: &Memory) {
    let all = memory.all();
    let recorded: BTreeSet<String> = all.keys().map(|(name, _)| name.clone()).collect();
    assert_eq!(recorded, names(), "recorded, and documented");
    for ((name, labels), recorded) in &all {
        let metric = names::METRICS.iter().find(|metric| metric.name == name).unwrap();
        assert_eq!(recorded.kind, metric.kind, "{name}");
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(labels.len(), metric.labels.len(), "{name} {labels:?}");
        for ((label, value), documented) in labels.iter().zip(metric.labels) {
            assert_eq!(*label, documented.name, "{name}");
            let known = documented.values.is_empty() || documented.values.contains(value);
            assert!(known, "{name}: {label} is {value:?}, documented are {:?}", documented.values);
        }
    }
}
