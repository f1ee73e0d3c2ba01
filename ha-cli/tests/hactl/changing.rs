//! What the tool does to a cluster: hand-over, and removal.

use ha::HighAvailabilityServices;
use ha::backend::{Backend, Key, Latch, Prefix, SessionOptions};
use ha::election::LossReason;

use crate::world::{On, PATIENCE, World, finish_job, job, leads, run, store_job};

async fn hands_over(on: On) -> Result<(), ha_testkit::Missing> {
    let world = World::new(on).await?;
    world.hactl(&["step-down"]).ended(5).said("nobody holds leader");
    let (one, other) = (world.services("host-1").await, world.services("host-2").await);
    let first = leads(&one).await;
    let waiting = world.seam.spawn({
        let election = other.dispatcher_leader_election().unwrap();
        async move {
            let second = election.campaign().await.unwrap();
            second.publish("host-2:1").await.unwrap();
            second.lost().await;
        }
    });
    let shown = world.hactl(&["step-down"]).ended(0);
    assert!(shown.out.contains("host-2") && shown.out.contains(&first.token().to_string()), "{shown:?}");
    assert_eq!(world.seam.timeout(PATIENCE, first.lost()).await, Some(LossReason::AskedToStepDown));
    let left = world.inside().await.read(&Key::new("leader/step_down").unwrap()).await.unwrap();
    assert_eq!(left, None, "the request was taken back");
    // Now without asking; nobody is left to follow.
    drop(first);
    let forced = world.hactl(&["step-down", "--force", "--wait", "3s", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&forced.out).unwrap()["over"], true, "{forced:?}");
    drop(waiting);
    one.close().await.unwrap();
    other.close().await.unwrap();
    Ok(())
}

#[test]
fn a_leader_in_a_directory_hands_over_to_another() {
    run(hands_over(On::Directory));
}

#[test]
fn a_leader_on_consul_hands_over_to_another() {
    run(hands_over(On::Consul));
}

async fn does_not_answer(on: On) -> Result<(), ha_testkit::Missing> {
    let world = World::new(on).await?;
    let inside = world.inside().await;
    let session = inside.open_session(&SessionOptions::default()).await.unwrap();
    let latch = Latch::below(&Prefix::new("leader").unwrap());
    session.try_acquire(&latch, "{}".into(), None).await.unwrap();
    world.hactl(&["step-down", "--wait", "500ms"]).ended(5).said("the request was taken back");
    assert_eq!(inside.read(&Key::new("leader/step_down").unwrap()).await.unwrap(), None);
    world.hactl(&["step-down", "--force", "--wait", "500ms"]).ended(5);
    let held = inside.read(latch.key()).await.unwrap().and_then(|entry| entry.held);
    assert_eq!(held, None, "the term is over, and the tool holds nothing");
    Ok(())
}

#[test]
fn a_leader_in_a_directory_that_does_not_answer_keeps_no_request_and_can_be_ended() {
    run(does_not_answer(On::Directory));
}

#[test]
fn a_leader_on_consul_that_does_not_answer_keeps_no_request_and_can_be_ended() {
    run(does_not_answer(On::Consul));
}

async fn cleans_up(on: On) -> Result<(), ha_testkit::Missing> {
    let world = World::new(on).await?;
    let services = world.services("host-1").await;
    let leadership = leads(&services).await;
    for name in ["a", "ab", "b"] {
        store_job(&leadership, &job(name), 2).await;
    }
    finish_job(&leadership, &job("a")).await;
    let before = world.inside().await.list(&Prefix::root()).await.unwrap().entries;
    for arguments in [&["cleanup", "a", "--yes"][..], &["cleanup", "--all", "--yes"]] {
        world.hactl(arguments).ended(5).said("leads this cluster");
    }
    let after = world.inside().await.list(&Prefix::root()).await.unwrap().entries;
    assert_eq!(before, after, "nothing was removed beside a leader");
    leadership.resign().await.unwrap();
    world.hactl(&["cleanup", "a"]).ended(5).said("say --yes");
    world.hactl(&["cleanup", "no-such-job", "--yes"]).ended(5).said("nothing is stored of");
    world.hactl(&["cleanup"]).ended(2);

    world.hactl(&["cleanup", "a", "--yes"]).ended(0);
    let jobs = world.hactl(&["jobs", "--json"]).ended(0).json();
    let names: Vec<_> = jobs["jobs"].as_array().unwrap().iter().map(|one| one["job"].as_str().unwrap()).collect();
    assert_eq!(names, ["ab", "b"], "{jobs}");
    assert_eq!(world.state_files("/a/"), [] as [std::path::PathBuf; 0]);
    let cleaned = world.hactl(&["cleanup", "--all", "--yes", "--json"]).ended(0).json();
    assert_eq!(cleaned["jobs"], serde_json::json!(["ab", "b"]));
    assert_eq!(world.state_files(""), [] as [std::path::PathBuf; 0]);
    // The tool has let go of what it led: the next leader comes at once.
    let leadership = world.seam.timeout(PATIENCE, leads(&services)).await.unwrap();
    leadership.resign().await.unwrap();
    services.close().await.unwrap();
    Ok(())
}

#[test]
fn a_job_in_a_directory_is_removed_only_where_nobody_leads_and_if_it_is_meant() {
    run(cleans_up(On::Directory));
}

#[test]
fn a_job_on_consul_is_removed_only_where_nobody_leads_and_if_it_is_meant() {
    run(cleans_up(On::Consul));
}
