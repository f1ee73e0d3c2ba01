//! A leader that is none any more writes nothing.

use std::collections::BTreeSet;

use ha_core::{ErrorKind, HighAvailabilityServices};
use ha_testkit::process::Event;
use ha_testkit::proxy::{Fault, Matching, Proxy, Treatment};

use crate::member::{acknowledged, checkpoint, checkpoints, spawn, terms, writes};
use crate::world::{World, epoch, found, measured, run, told_after};

#[test]
fn a_killed_leader_is_followed_and_nothing_acknowledged_is_lost() {
    run(async {
        // Fails if an acknowledgement comes before the write, or a dead process keeps the latch.
        let w = World::shared().await?;
        let mut leader = w.spawn("killed");
        writes(&leader, 20).await;
        let standby = w.services("standby").await;

        let killed = leader.kill();
        leader.exited().await;
        let leadership = w.leadership(&standby).await;
        measured("leader killed, standby leads", killed, w.seam.now());
        assert!(epoch(&leadership) > *terms(&leader.events()).last().unwrap(), "the token must grow");
        let store = checkpoints(&leadership).await.unwrap();
        let (found, acknowledged) = (found(&store).await, acknowledged(&leader.events()));
        assert!(acknowledged.is_subset(&found), "lost: {:?}", acknowledged.difference(&found));
        assert!(found.len() <= acknowledged.len() + 1, "at most the last one was not acknowledged any more");
        standby.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn a_leader_that_was_stopped_past_everything_writes_nothing_and_steps_down() {
    run(async {
        // Fails if any write of a leader that slept through its deadline is applied, or it goes on leading.
        let w = World::shared().await?;
        let mut leader = w.spawn("stopped");
        writes(&leader, 20).await;
        let standby = w.services("standby").await;

        let stopped = leader.stop().await;
        let leadership = w.leadership(&standby).await;
        measured("leader stopped, standby leads", stopped, w.seam.now());
        let store = checkpoints(&leadership).await.unwrap();
        leadership.publish("successor").await.unwrap();
        let latest = store.get_latest_checkpoint_id().await.unwrap();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(latest + 1_000)).await.unwrap();
        let before = w.everything().await;

        let resumed = leader.cont();
        let deposed = [ErrorKind::NotLeader, ErrorKind::Fenced].map(|kind| format!("{kind:?}"));
        let refused = |events: &[Event]| {
            let mut refused = events.iter().filter(|event| event.name == "refused" && event.at >= resumed);
            refused.any(|event| deposed.iter().any(|kind| event.value["kind"] == **kind)).then_some(())
        };
        leader.until("its write is refused because it leads no more", refused).await;
        told_after(&leader, "lost", resumed).await;
        let found = found(&store).await;
        let late: BTreeSet<u64> = acknowledged(&leader.events()).difference(&found).copied().collect();
        assert!(late.is_empty(), "acknowledged, and not there: {late:?}");
        assert_eq!(w.everything().await, before, "a deposed leader has changed what its successor wrote");
        standby.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn a_write_of_a_deposed_leader_that_arrives_late_is_refused() {
    run(async {
        // Fails if a request that the network held back is applied after the successor began to write.
        let w = World::shared().await?;
        let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
        let mut leader = spawn(&w.seam, &w.place.member("late", &[proxy.address().to_owned()]));
        writes(&leader, 10).await;
        let held = proxy.treat(Matching::path("/v1/txn").body("check-session"), Treatment::Hold);
        w.in_time("a write is held back", held.matched(1)).await;
        leader.stop().await;

        let standby = w.services("standby").await;
        let leadership = w.leadership(&standby).await;
        let store = checkpoints(&leadership).await.unwrap();
        // Its sender is gone before it arrives.
        leader.kill();
        leader.exited().await;
        let latest = store.get_latest_checkpoint_id().await.unwrap();
        let mut next = latest + 1_000;
        let mut write_some = async || {
            for _ in 0..20 {
                store.add_checkpoint_and_subsume_oldest_one(checkpoint(next)).await.unwrap();
                next += 1;
            }
        };
        write_some().await;
        let before = w.everything().await;

        // It arrives now; what the successor writes meanwhile gives it time to.
        drop(held);
        write_some().await;
        assert!(!found(&store).await.contains(&(latest + 1)), "a late write of the deposed leader has landed");
        let after = w.everything().await;
        let changed: Vec<_> = before.iter().filter(|entry| !after.contains(entry)).collect();
        assert!(changed.is_empty(), "a late write has changed something: {changed:?}");
        assert_eq!(after.len(), before.len() + 20, "nothing but the successor's own has been added");
        standby.close().await.unwrap();
        Ok(())
    });
}

/// Its connections fail that way; the leader steps down by its own deadline, another leads, and when the way is free
/// again nothing of the old leader lands.
async fn cut_off(label: &str, fault: Fault) -> Result<(), ha_testkit::Missing> {
    let w = World::shared().await?;
    let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
    let leader = spawn(&w.seam, &w.place.member(label, &[proxy.address().to_owned()]));
    writes(&leader, 10).await;
    let standby = w.services("standby").await;

    let cut = w.seam.now();
    proxy.fault(fault);
    let leadership = w.leadership(&standby).await;
    measured(&format!("{label}, standby leads"), cut, w.seam.now());
    let lost = told_after(&leader, "lost", cut).await;
    measured(&format!("{label}, leader has stepped down"), cut, lost.at);
    let store = checkpoints(&leadership).await.unwrap();
    let before = found(&store).await;
    let expected = acknowledged(&leader.events());
    assert!(expected.is_subset(&before), "lost: {:?}", expected.difference(&before));

    // It comes back, campaigns, and leads when it is let.
    proxy.fault(Fault::None);
    let latest = store.get_latest_checkpoint_id().await.unwrap();
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(latest + 1_000)).await.unwrap();
    let handed = w.seam.now();
    standby.close().await.unwrap();
    told_after(&leader, "leading", handed).await;
    writes(&leader, 5).await;
    w.place.assert_nothing_is_lost(vec![leader], &w.addresses()).await;
    Ok(())
}

#[test]
fn a_leader_whose_connections_are_cut_is_followed_and_comes_back() {
    run(cut_off("connections cut", Fault::Cut));
}

#[test]
fn a_leader_whose_connections_stall_is_followed_and_comes_back() {
    run(cut_off("connections stalled", Fault::Stall));
}

#[test]
fn a_leader_that_is_heard_and_hears_nothing_steps_down() {
    run(async {
        // Its renewals arrive, so Consul keeps its session: it must give up by itself, for it cannot know.
        let w = World::shared().await?;
        let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
        let leader = spawn(&w.seam, &w.place.member("answers stalled", &[proxy.address().to_owned()]));
        writes(&leader, 10).await;
        let cut = w.seam.now();
        proxy.fault(Fault::StallAnswers);
        let lost = told_after(&leader, "lost", cut).await;
        measured("answers stalled, leader has stepped down", cut, lost.at);
        proxy.fault(Fault::None);
        told_after(&leader, "leading", lost.at).await;
        writes(&leader, 5).await;
        w.place.assert_nothing_is_lost(vec![leader], &w.addresses()).await;
        Ok(())
    });
}

#[test]
fn a_leader_whose_connections_are_half_open_goes_on_or_is_followed() {
    run(async {
        // Fails if connections that are dead on one side are used for ever.
        let w = World::shared().await?;
        let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
        let leader = spawn(&w.seam, &w.place.member("half open", &[proxy.address().to_owned()]));
        writes(&leader, 10).await;
        let cut = w.seam.now();
        proxy.fault(Fault::HalfOpen);
        w.seam.sleep(std::time::Duration::from_millis(100)).await;
        proxy.fault(Fault::None);
        told_after(&leader, "acknowledged", cut + std::time::Duration::from_millis(150)).await;
        measured("connections half open for 100 ms, writes again", cut, w.seam.now());
        writes(&leader, 5).await;
        w.place.assert_nothing_is_lost(vec![leader], &w.addresses()).await;
        Ok(())
    });
}
