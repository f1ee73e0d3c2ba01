//! What a deposed leader can still change that was stopped by SIGSTOP, and goes on when its successor has begun.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ha_core::HighAvailabilityServices;
use ha_core::backend::{Backend, Prefix};
use ha_testkit::process::{Event, Process, role};
use ha_testkit::run::block_on;
use ha_testkit::trials::{Late, Work, assert_all_was_refused, files_below, work_late};

use crate::member::{Member, acknowledged, checkpoint, checkpoints, told_after, writes};
use crate::world::{World, found, measured};

fn states(w: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    files_below(&w.path("states"))
}

#[test]
fn late_worker() {
    role("stopped::late_worker", work_late::<Member>);
}

///
#[test]
fn a_stopped_leader_changes_nothing_of_any_kind_in_the_directory_once_its_successor_has_begun() {
    block_on(async {
        // Fails if any kind of write has a way around the deadline and the fence.
        let w = World::on_disk();
        let late = Late { member: w.member("stopped"), go: w.path("go") };
        let mut leader = Process::spawn(w.seam.clone(), "stopped::late_worker", &late);
        leader.told("working").await;
        let stopped = leader.stop().await;
        let backend = w.member("standby").backend(&w.seam).await.unwrap();
        let standby = w.member("standby").services_on(Arc::clone(&backend), &w.seam);
        let successor = w.in_time("a successor leads", Work::begun(&standby, "standby")).await;
        measured("leader stopped, its successor has begun", stopped, w.seam.now());
        w.give("go");
        let (entries, before) = (backend.list(&Prefix::root()).await.unwrap().entries, states(&w));

        leader.cont();
        leader.told("done").await;
        assert_all_was_refused(&leader);
        let after = backend.list(&Prefix::root()).await.unwrap().entries;
        assert_eq!(after, entries, "a deposed leader has changed what its successor wrote");
        // What it wrote in vain is deleted again; what its successor has is not.
        w.until("only the successor's states are left", || (states(&w) == before).then_some(())).await;
        assert!(successor.leadership.is_valid(), "and its successor was not disturbed");
    });
}

#[test]
fn a_leader_that_is_stopped_in_the_middle_of_its_writes_lands_none_of_them_later() {
    block_on(async {
        // Fails if a write that was staged, or linked and not answered, before the pause counts for more after it than
        // the successor read when it began.
        let w = World::on_disk();
        let mut leader = w.member("stopped").spawn(&w.seam);
        for round in 1..=3 {
            writes(&leader, 20).await;
            leader.stop().await;
            let backend = w.member("standby").backend(&w.seam).await.unwrap();
            let standby = w.member("standby").services_on(Arc::clone(&backend), &w.seam);
            let leadership = w.leadership(&standby).await;
            let store = checkpoints(&leadership).await.unwrap();
            leadership.publish("successor").await.unwrap();
            let latest = store.get_latest_checkpoint_id().await.unwrap();
            store.add_checkpoint_and_subsume_oldest_one(checkpoint(latest + 1_000)).await.unwrap();
            let before = backend.list(&Prefix::root()).await.unwrap().entries;

            let resumed = leader.cont();
            let deposed = |event: &Event| event.value["kind"] == "NotLeader" || event.value["kind"] == "Fenced";
            let refused = |events: &[Event]| {
                let mut refused = events.iter().filter(|event| event.name == "refused" && event.at >= resumed);
                refused.any(deposed).then_some(())
            };
            leader.until("its write is refused because it leads no more", refused).await;
            told_after(&leader, "lost", resumed).await;
            let found = found(&store).await;
            let late: Vec<_> = acknowledged(&leader.events()).difference(&found).copied().collect();
            assert!(late.is_empty(), "round {round}: acknowledged, and not there: {late:?}");
            let after = backend.list(&Prefix::root()).await.unwrap().entries;
            assert_eq!(after, before, "round {round}: a deposed leader has changed what its successor wrote");
            standby.close().await.unwrap();
            told_after(&leader, "leading", resumed).await;
        }
        w.assert_nothing_is_lost(vec![leader]).await;
    });
}
