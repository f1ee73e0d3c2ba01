//! What a leader publishes of itself, and what becomes of it: LE-13 and its kin.

use ha_core::{ComponentId, ErrorKind};

use super::contender::{Contending, Recorder};
use super::election::two_contenders;
use super::{Cluster, Process};

const INFO: &str = "leader/dispatcher/connection_info";
const OTHER_INFO: &str = "leader/resource_manager/connection_info";

/// Two contenders with published addresses.
async fn two_published(c: &Cluster) -> (Process, Contending, Contending) {
    let (process, one, other, id) = two_contenders(c).await;
    one.election.confirm_leadership(id, "here:1").await.unwrap();
    other.election.confirm_leadership(id, "here:2").await.unwrap();
    (process, one, other)
}

async fn restored(c: &Cluster, at: &str, address: &str) {
    let there =
        || async { c.entry(at).await.is_some_and(|entry| String::from_utf8_lossy(&entry.value).contains(address)) };
    c.eventually(&format!("{at} is restored"), there).await;
}

pub async fn le_13_overwritten_and_removed_information_is_restored(c: Cluster) {
    let (_process, one, _other) = two_published(&c).await;
    for vandalism in [Some("\"mine\""), None, Some("\u{0}")] {
        c.tamper(INFO, vandalism).await;
        restored(&c, INFO, "here:1").await;
    }
    assert_eq!(one.recorder.told().len(), 1, "no leadership was lost by it");
}

pub async fn le_14_only_what_is_wrong_is_restored(c: Cluster) {
    let _alive = two_published(&c).await;
    let untouched = c.entry(OTHER_INFO).await.unwrap().revision;
    c.tamper(INFO, None).await;
    restored(&c, INFO, "here:1").await;
    assert_eq!(c.entry(OTHER_INFO).await.unwrap().revision, untouched);
}

pub async fn le_15_components_of_others_are_not_touched(c: Cluster) {
    let _alive = two_published(&c).await;
    c.tamper("leader/stranger/connection_info", Some("strange")).await;
    c.tamper(INFO, None).await;
    restored(&c, INFO, "here:1").await;
    assert_eq!(c.entry("leader/stranger/connection_info").await.unwrap().value, "strange");
}

pub async fn le_21_who_does_not_lead_restores_nothing(c: Cluster) {
    let (old, leadership) = c.leader("old").await;
    leadership.publish("old:1").await.unwrap();
    let (new, _leads) = c.take_over("new").await;
    c.in_time("the loss is known", leadership.lost()).await;
    let mut watches = [old.watch(), new.watch()];
    c.tamper(INFO, Some("foreign")).await;
    for watch in &mut watches {
        // Each process has seen it, and so has what restores leader information in it.
        c.eventually("the foreign value is seen", || {
            watch.view();
            let seen = watch.error().is_some_and(|error| error.kind() == ErrorKind::Corrupt);
            async move { seen }
        })
        .await;
    }
    assert_eq!(c.entry(INFO).await.unwrap().value, "foreign", "neither the old leader nor one without an address");
}

pub async fn le_23_what_is_closed_is_not_restored_and_the_rest_is(c: Cluster) {
    let (_process, one, _other) = two_published(&c).await;
    one.close(&c).await;
    c.tamper(INFO, Some("foreign")).await;
    c.tamper(OTHER_INFO, None).await;
    restored(&c, OTHER_INFO, "here:2").await;
    assert_eq!(c.entry(INFO).await.unwrap().value, "foreign");
}

pub async fn le_30_a_blocked_contender_does_not_hold_up_restorations(c: Cluster) {
    let process = c.process("one").await;
    let recorder = Recorder::new();
    recorder.block();
    let blocked = Contending::start(process.election(), recorder).await;
    let id = blocked.granted(&c, 1).await;
    let other = process.contend_as(ComponentId::resource_manager()).await;
    other.granted(&c, 1).await;
    blocked.election.confirm_leadership(id, "here:1").await.unwrap();
    other.election.confirm_leadership(id, "here:2").await.unwrap();
    for (at, address) in [(INFO, "here:1"), (OTHER_INFO, "here:2")] {
        c.tamper(at, None).await;
        restored(&c, at, address).await;
    }
    blocked.recorder.unblock();
}
