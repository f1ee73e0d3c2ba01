//! The end in order, and within its bound.

use std::time::Duration;

use ha_core::{ErrorKind, HighAvailabilityServices, ShutdownStep, shut_down_after};

use super::rig::World;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn leadership_is_given_up_and_the_services_are_closed() {
    let world = World::new();
    let leader = world.leader().await;
    leader.populate("a").await;
    let (asked, ask) = tokio::sync::oneshot::channel();
    let services = leader.services;
    let seam = world.seam.clone();
    let (done, report) = tokio::sync::oneshot::channel();
    let task = world.seam.spawn(async move {
        let report = shut_down_after(async { ask.await.unwrap() }, &services, &seam, LONG).await;
        drop(done.send((report, services)));
    });
    assert!(leader.leadership.is_valid(), "nothing happens before it is asked for");
    asked.send("an operator").unwrap();
    let (report, services) = report.await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.trigger, "an operator");
    assert!(!leader.leadership.is_valid());
    assert_eq!(services.dispatcher_leader_election().unwrap_err().kind(), ErrorKind::Closed);
    // The next one need not wait, and finds everything.
    let next = world.leader().await;
    assert!(world.keys().await.contains(&"execution-plans/a".into()));
    next.services.close().await.unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains(r#""resigned":"done""#), "{json}");
    drop(task);
}

/// X-35: a backend that does not answer keeps nobody beyond the bound, and the report says what was not done.
#[tokio::test]
async fn a_backend_that_hangs_does_not_keep_it_from_ending() {
    let world = World::new();
    let leader = world.leader().await;
    leader.trap.hang_close();
    let report = shut_down_after(async {}, &leader.services, &world.seam, Duration::from_millis(300)).await;
    assert_eq!(report.closed, ShutdownStep::TimedOut);
    assert!(!report.is_complete() && report.to_string().contains("not done in time"), "{report}");
    assert!(!leader.leadership.is_valid(), "the leadership is over in any case");
    let world = World::new();
    let leader = world.leader().await;
    leader.trap.hang_release();
    let report = shut_down_after(async {}, &leader.services, &world.seam, LONG).await;
    assert!(matches!(report.resigned, ShutdownStep::Failed(_)), "others must wait for silence: {report}");
    assert_eq!(report.closed, ShutdownStep::Done);
}

#[tokio::test]
async fn resigning_ends_leaderships_and_leaves_the_rest() {
    let world = World::new();
    let leader = world.leader().await;
    leader.services.resign().await.unwrap();
    assert!(!leader.leadership.is_valid());
    assert_eq!(
        leader.services.dispatcher_leader_election().unwrap_err().kind(),
        ErrorKind::Closed,
        "new elections are refused"
    );
    let next = world.leader().await;
    let mut watch = leader.services.dispatcher_leader_retriever().unwrap().watch();
    next.leadership.publish("next:1").await.unwrap();
    assert_eq!(watch.leader().await.address, "next:1", "who has resigned still follows");
    leader.services.resign().await.unwrap();
    leader.services.close().await.unwrap();
}
