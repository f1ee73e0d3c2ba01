//! Answers that are lost, and requests that are lost, come late or come twice: for every kind of request.

use std::time::Duration;

use ha_core::election::Leadership;
use ha_core::seam::Moment;
use ha_core::{ErrorKind, HighAvailabilityServices, JobId};
use ha_testkit::Missing;
use ha_testkit::proxy::{Matching, Proxy, Treatment};

use crate::member::{SILENCE, checkpoint, checkpoints};
use crate::world::{World, epoch, found, in_time, leadership, run};

/// Longer than a client waits for an answer, which is a second.
const LATE: Duration = Duration::from_millis(1200);
pub(crate) const TREATMENTS: [Treatment; 7] = [
    Treatment::Refuse,
    Treatment::LoseAnswer,
    Treatment::TearAnswer,
    Treatment::Twice,
    Treatment::Swallow,
    Treatment::SlowAnswer(LATE),
    Treatment::SlowRequest(LATE),
];

/// The counter of a job, whose steps are repeated until one is acknowledged, as its user does.
async fn step(w: &World, leadership: &Leadership) -> Option<u64> {
    let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&JobId::new("job").unwrap());
    counter.start().await.ok()?;
    let deadline = w.seam.now() + Duration::from_secs(120);
    while w.seam.now() < deadline {
        match counter.get_and_increment().await {
            Ok(id) => return Some(id),
            Err(error) if matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) => return None,
            Err(_) => w.seam.sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("no step was answered");
}

/// A life of a leader: it is elected, publishes, writes, and gives up. What it had acknowledged, its successor
/// finds, and no id of the counter comes twice.
async fn life(matching: fn() -> Matching, treatment: Treatment) -> Result<(), Missing> {
    let w = World::shared().await?;
    let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
    let services = w.place.member("leader", &[proxy.address().to_owned()]).services(&w.seam).await;
    let rule = proxy.treat(matching().times(2), treatment);

    let (mut ids, mut acknowledged, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=3_u64 {
        // It may lose its leadership by what is done to it, never without learning so.
        let leads = leadership(&w.seam, &services).await;
        epochs.push(epoch(&leads));
        let _ = leads.publish("leader").await;
        ids.extend(step(&w, &leads).await);
        if let Ok(store) = checkpoints(&leads).await
            && store.add_checkpoint_and_subsume_oldest_one(checkpoint(round)).await.is_ok()
        {
            acknowledged.push(round);
        }
        if round == 2 {
            let began: Moment = w.seam.now();
            // Renewals come and go.
            while w.seam.now() < began + SILENCE && leads.is_valid() {
                w.seam.sleep(Duration::from_millis(20)).await;
            }
        }
        // It may be over already.
        let _ = in_time(&w.seam, "it gives up", leads.resign()).await;
    }
    in_time(&w.seam, "its requests were treated", rule.matched(1)).await;
    let _ = in_time(&w.seam, "it is closed", services.close()).await;

    let successor = w.services("successor").await;
    let leads = w.leadership(&successor).await;
    epochs.push(epoch(&leads));
    ids.extend(step(&w, &leads).await);
    let found = found(&checkpoints(&leads).await.unwrap()).await;
    assert!(acknowledged.iter().all(|id| found.contains(id)), "{treatment:?}: {acknowledged:?} of {found:?}");
    assert!(ids.is_sorted_by(|one, next| one < next), "{treatment:?}: ids {ids:?}");
    assert!(epochs.is_sorted_by(|one, next| one < next), "{treatment:?}: epochs {epochs:?}");
    successor.close().await.unwrap();
    Ok(())
}

fn every_treatment(matching: fn() -> Matching) {
    run(async {
        let lives = TREATMENTS.iter().map(|treatment| life(matching, *treatment));
        futures_util::future::join_all(lives).await.into_iter().collect()
    });
}

fn transaction(verb: &str) -> Matching {
    Matching::path("/v1/txn").body(format!("\"Verb\":\"{verb}\""))
}

#[test]
fn every_fault_of_a_write_leaves_it_applied_once_or_not_at_all() {
    every_treatment(|| transaction("check-session"));
}

#[test]
fn every_fault_of_taking_the_latch_leaves_one_leader_and_a_growing_epoch() {
    every_treatment(|| transaction("lock"));
}

#[test]
fn every_fault_of_reading_the_latch_is_got_over() {
    every_treatment(|| transaction("get"));
}

#[test]
fn every_fault_of_letting_the_latch_go_lets_another_lead() {
    every_treatment(|| transaction("unlock"));
}

#[test]
fn every_fault_of_opening_a_session_is_got_over() {
    every_treatment(|| Matching::path("PUT /v1/session/create"));
}

#[test]
fn every_fault_of_ending_a_session_lets_another_lead() {
    every_treatment(|| Matching::path("PUT /v1/session/destroy/"));
}

#[test]
fn every_fault_of_a_renewal_is_got_over() {
    every_treatment(|| Matching::path("PUT /v1/session/renew/"));
}

#[test]
fn every_fault_of_registering_a_check_is_got_over() {
    every_treatment(|| Matching::path("PUT /v1/agent/service/register"));
}

#[test]
fn every_fault_of_a_heartbeat_is_got_over() {
    every_treatment(|| Matching::path("PUT /v1/agent/check/pass/"));
}

#[test]
fn every_fault_of_removing_a_check_lets_another_lead() {
    every_treatment(|| Matching::path("PUT /v1/agent/service/deregister/"));
}

#[test]
fn every_fault_of_following_is_got_over() {
    every_treatment(|| Matching::path("index="));
}

#[test]
fn every_fault_of_a_list_is_got_over() {
    every_treatment(|| Matching::path("recurse&consistent"));
}
