//! The directory is taken away under a leader and its standby.

use std::fs;
use std::path::Path;

use ha_core::HighAvailabilityServices;
use ha_core::backend::{Backend, Key};
use ha_testkit::process::{Event, Process};
use ha_testkit::run::block_on;
use ha_testkit::trials::nanoseconds;

use crate::member::{Member, acknowledged_since, leads_after, numbers, relied_until, told_after, writes};
use crate::world::{SILENCE, World};

fn refusals(events: &[Event], since: u64) -> Vec<(String, String)> {
    let refused = events.iter().filter(|event| event.name == "refused");
    let since = refused.filter(|event| event.value["asked"].as_u64().unwrap() >= since);
    since.map(|event| (event.value["kind"].to_string(), event.value["text"].to_string())).collect()
}

/// Nobody acknowledges anything into the old place from then on, whoever leads there steps down, and the new place works.
async fn take_away(way: impl FnOnce(&Path, &Path)) {
    let w = World::on_disk();
    let journal = w.path("journal");
    let leader = w.member("leader").spawn(&w.seam);
    writes(&leader, 10).await;
    let standby = w.member("standby").spawn(&w.seam);
    w.has_tried("standby").await;
    let bystander = w.member("bystander").backend(&w.seam).await.unwrap();

    way(&journal, &w.path("elsewhere"));
    let gone = w.seam.now();
    let since = nanoseconds(gone);
    let says = |events: &[Event]| {
        let refusals = refusals(events, since);
        refusals.iter().any(|(_, text)| text.contains("the directory was deleted or replaced")).then_some(())
    };
    leader.until("a write fails and says why", says).await;
    told_after(&leader, "lost", gone).await;
    // A renewal that was acknowledged was sent before; so nothing reaches further than a silence behind that.
    let relied = relied_until(&leader.events());
    let latest = nanoseconds(gone + SILENCE);
    assert!(relied <= latest, "a leadership was prolonged by {} ns in a place that is gone", relied - latest);

    // What answers at all says so, and does not hang.
    let error = w.in_time("a read", bystander.read(&Key::new("a").unwrap())).await.unwrap_err();
    assert!(error.to_string().contains("the directory was deleted or replaced"), "{error}");
    w.in_time("a close", bystander.close()).await.unwrap();

    let fresh = Member { label: "fresh".into(), ..w.member("fresh") }.spawn(&w.seam);
    leads_after(&fresh, 0).await;
    writes(&fresh, 20).await;
    for (process, who) in [(&leader, "the leader"), (&standby, "the standby")] {
        let acknowledged = acknowledged_since(&process.events(), since);
        assert!(acknowledged.is_empty(), "{who} acknowledged {acknowledged:?} into a place that is gone");
    }
    let elected =
        |process: &Process| process.events().iter().filter(|event| event.name == "elected" && event.at >= gone).count();
    assert_eq!(elected(&standby), 0, "a standby leads where nobody is");
    assert_eq!(elected(&leader), 0, "it was elected anew in a place that is gone");
    // The states of the old journal are not those of the new one: only the new one's are looked for.
    drop((leader, standby));
    w.assert_nothing_is_lost(vec![fresh]).await;
}

#[test]
fn a_directory_that_is_deleted_under_a_leader_ends_it_and_a_new_one_serves() {
    // Fails if a handle goes on in files that have no name any more.
    block_on(take_away(|journal, _| {
        // Somebody writes meanwhile: what is made anew is deleted too.
        while journal.exists() {
            let _ = fs::remove_dir_all(journal);
        }
    }));
}

#[test]
fn a_directory_that_is_moved_away_under_a_leader_ends_it_and_a_new_one_serves() {
    // Fails if a handle goes on in a place that nobody else finds.
    block_on(take_away(|journal, elsewhere| fs::rename(journal, elsewhere).unwrap()));
}

#[test]
fn an_empty_directory_in_the_place_of_the_one_under_a_leader_ends_it_and_serves_others() {
    block_on(take_away(|journal, elsewhere| {
        fs::rename(journal, elsewhere).unwrap();
        fs::create_dir(journal).unwrap();
    }));
}

#[test]
fn a_copy_in_the_place_of_the_directory_under_a_leader_ends_it() {
    // Fails if equal bytes are taken for the same file: a leader would write where nobody reads.
    block_on(async {
        let w = World::on_disk();
        let journal = w.path("journal");
        let leader = w.member("leader").spawn(&w.seam);
        writes(&leader, 10).await;
        // As an operator restores one: it is complete before it takes the place, but for what is written meanwhile.
        fs::rename(&journal, w.path("elsewhere")).unwrap();
        let gone = w.seam.now();
        told_after(&leader, "lost", gone).await;
        copy(&w.path("elsewhere"), &journal);
        // The dead session of the old leader stands in the copy; its lock lies elsewhere. Silence decides.
        let standby = w.member("standby").spawn(&w.seam);
        let (_, token) = leads_after(&standby, 0).await;
        assert!(token > numbers(&leader.events(), "elected")[0], "tokens go on in the copy");
        writes(&standby, 10).await;
        let late = acknowledged_since(&leader.events(), nanoseconds(gone));
        assert!(late.is_empty(), "acknowledged {late:?} into a place that is gone");
        w.assert_nothing_is_lost(vec![leader, standby]).await;
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

#[test]
fn a_service_on_a_place_that_is_gone_can_be_closed() {
    block_on(async {
        // Fails if a close waits for an answer that cannot come.
        let w = World::on_disk();
        let services = w.member("leader").services(&w.seam).await;
        let leadership = w.leadership(&services).await;
        fs::remove_dir_all(w.path("journal")).unwrap();
        // It knows of nothing to acknowledge, and its end may fail: it must come to one.
        let published = w.in_time("a write", leadership.publish("late")).await;
        assert!(published.is_err());
        let _ = w.in_time("a close", services.close()).await;
        assert!(!leadership.is_valid());
    });
}
