//! Those who only follow.

use ha_core::HighAvailabilityServices;
use ha_core::retrieval::LeaderView;
use ha_testkit::process::{Event, Process, Stage, role};

use crate::member::Member;
use crate::world::{World, epoch, measured, run};

async fn follow(member: Member, stage: Stage) {
    let services = member.services(stage.seam()).await;
    let mut watch = services.dispatcher_leader_retriever().unwrap().watch();
    loop {
        if let LeaderView::Leader(leader) = watch.view() {
            stage.tell("leader", (leader.token.to_string(), leader.address));
        }
        watch.changed().await;
    }
}

#[test]
fn retriever() {
    role("retrievers::retriever", follow);
}

/// The terms of the leaders that a retriever was shown, in their order.
pub(crate) fn seen(events: &[Event]) -> Vec<u64> {
    let leaders = events.iter().filter(|event| event.name == "leader");
    leaders.map(|event| event.value[0].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_retriever_that_was_stopped_while_leaders_came_and_went_sees_the_last_and_no_older_after_it() {
    run(async {
        // Fails if a retriever is deaf after a long sleep, or is told what was answered to it before.
        let w = World::shared().await?;
        let mut retriever = Process::spawn(w.seam.clone(), "retrievers::retriever", &w.member("retriever"));
        let services = w.services("leader").await;
        let mut epochs = Vec::new();
        for turn in 0..8 {
            let leadership = w.leadership(&services).await;
            leadership.publish(&format!("address {turn}")).await.unwrap();
            epochs.push(epoch(&leadership));
            match turn {
                0 => retriever.until("the first leader", |events| (!seen(events).is_empty()).then_some(())).await,
                1 => drop(retriever.stop().await),
                _ => {}
            }
            if turn < 7 {
                leadership.resign().await.unwrap();
                continue;
            }
            let resumed = retriever.cont();
            let last = *epochs.last().unwrap();
            retriever.until("the last leader", |events| (seen(events).last() == Some(&last)).then_some(())).await;
            measured("retriever resumed, sees the last leader", resumed, w.seam.now());
            let seen = seen(&retriever.events());
            assert!(seen.is_sorted(), "an older leader after a newer one: {seen:?}");
        }
        services.close().await.unwrap();
        Ok(())
    });
}
