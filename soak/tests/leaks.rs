//! A soak can fail: whatever is leaked on purpose is found, and found as what it is.

use std::sync::Arc;
use std::time::Duration;

use ha_testkit::ledger::counted;
use ha_testkit::sim;
use soak::{EmbeddedPlace, Leak, Report, soak};

const HOURS: Duration = Duration::from_secs(5 * 3600);
const REST: Duration = Duration::from_secs(600);

fn leaking(leak: Leak) -> Report {
    sim::run(1, async |seam| {
        let (seam, counts) = counted(seam);
        let place = Arc::new(EmbeddedPlace::new(&seam));
        soak(place, (seam, counts), (HOURS, REST), Some(leak), |_| {}).await.expect("a soak without a fault")
    })
}

#[track_caller]
fn found(leak: Leak) {
    let report = leaking(leak);
    assert!(report.growing().contains(&leak.found_as()), "{leak:?} was not found:\n{report}");
    assert!(!report.is_steady());
}

#[test]
fn a_leaked_task_is_found() {
    found(Leak::Task);
}

#[test]
fn a_leaked_session_is_found() {
    found(Leak::Session);
}

#[test]
fn a_leaked_descriptor_is_found() {
    found(Leak::Descriptor);
}

#[test]
fn a_leaked_key_is_found() {
    found(Leak::Key);
}

#[test]
fn leaked_memory_is_found() {
    found(Leak::Memory);
}
