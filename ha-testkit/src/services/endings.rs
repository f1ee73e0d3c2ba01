//! Callbacks that misbehave, and calls and services that end early.

use std::sync::Arc;
use std::time::Duration;

use ha_core::election::{LossReason, StepDown};
use ha_core::{ComponentId, ErrorKind, HighAvailabilityServices};

use super::checkpoints::{add, checkpoint, ids, recovered};
use super::cluster::{assert_deposed, assert_kind};
use super::contender::{Contending, Recorder, Told};
use super::plans::{content, plan, started};
use super::trouble::counter;
use super::{Cluster, Line};

pub async fn x_08_a_callback_that_never_returns_does_not_weaken_the_fence(c: Cluster) {
    let process = c.process("one").await;
    let recorder = Recorder::new();
    let contending = Contending::start(process.election(), recorder).await;
    contending.granted(&c, 1).await;
    let beside = process.lead_as(ComponentId::rest_server()).await;
    let (plans, _) = started(&beside).await;
    plans.put_execution_plan(&plan("a", "graph")).await.unwrap();
    contending.recorder.block();
    c.depose().await;
    contending.recorder.until(&c, 2).await;
    c.in_time("the loss is known beside it", beside.lost()).await;
    assert_deposed("a write beside it", plans.put_execution_plan(&plan("a", "late")).await);
    c.in_time("closing returns without the callback", contending.election.close()).await.unwrap();
    assert!(matches!(contending.recorder.told()[..], [Told::Grant(_), Told::Revoke]));
    c.in_time("and so does closing everything", process.services.close()).await.unwrap();
}

pub async fn x_09_terms_faster_than_callbacks_are_skipped_not_mixed(c: Cluster) {
    let process = c.process("one").await;
    let recorder = Recorder::new();
    recorder.block();
    let slow = Contending::start(process.election(), recorder).await;
    slow.granted(&c, 1).await;
    let fast = process.contend_as(ComponentId::resource_manager()).await;
    for round in 0..5 {
        fast.granted(&c, 2 * round + 1).await;
        c.depose().await;
    }
    let last = fast.granted(&c, 11).await;
    slow.recorder.unblock();
    let told = || slow.recorder.told();
    c.eventually("the slow one has caught up", || async { told().last() == Some(&Told::Grant(last)) }).await;
    let (told, mut expects_grant) = (told(), true);
    for call in &told {
        assert_eq!(matches!(call, Told::Grant(_)), expects_grant, "grants and revocations alternate: {told:?}");
        expects_grant = !expects_grant;
    }
    let ids: Vec<_> = told.iter().filter(|call| matches!(call, Told::Grant(_))).collect();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
    assert!(slow.election.has_leadership(last));
}

pub async fn x_10_a_contender_that_panics_disturbs_nobody(c: Cluster) {
    let process = c.process("one").await;
    let broken = Contending::start(process.election(), Recorder::panicking()).await;
    let sound = process.contend_as(ComponentId::resource_manager()).await;
    broken.granted(&c, 1).await;
    sound.granted(&c, 1).await;
    c.depose().await;
    sound.granted(&c, 3).await;
    broken.granted(&c, 3).await;
    broken.close(&c).await;
    sound.close(&c).await;
    let _next = c.leader("next").await;
}

/// Everything of a process is let go of.
async fn nothing_left(c: &Cluster, what: &str, line: &Line) {
    let left = || async { line.open_sessions() == 0 && line.watching() == 0 };
    c.eventually(&format!("{what}: no session and no watch is left"), left).await;
}

pub async fn x_35_closing_or_dropping_at_any_point_leaves_nothing(c: Cluster) {
    for step in 0..16 {
        for closes in [true, false] {
            let process = c.process("one").await;
            let election = process.election();
            let contending = process.contend_as(ComponentId::resource_manager()).await;
            let campaign = c.go(async move { drop(election.campaign().await) });
            let listener = Recorder::<crate::services::contender::Heard>::new();
            let retrieval = process.services.dispatcher_leader_retriever().unwrap();
            retrieval.start(listener).unwrap();
            let mut watch = process.watch();
            for _ in 0..step {
                tokio::task::yield_now().await;
            }
            if closes {
                c.in_time("closing returns", process.services.close()).await.unwrap();
                c.in_time("closing again returns", process.services.close()).await.unwrap();
                assert_kind(ErrorKind::Closed, process.services.dispatcher_leader_election());
                c.in_time("the campaign ends with it", campaign).await;
                c.in_time("and the contender can be closed", contending.election.close()).await.unwrap();
            } else {
                drop(campaign);
            }
            watch.view();
            drop((watch, retrieval, contending));
            nothing_left(&c, &format!("step {step}, closes {closes}"), &process.drop_services()).await;
        }
    }
    let (_next, leadership) = c.leader("next").await;
    assert!(leadership.is_valid(), "nobody holds the latch behind our back");
}

pub async fn x_41_dropped_calls_leave_the_rules_intact(c: Cluster) {
    let (process, leadership) = c.leader("one").await;
    let (plans, _) = started(&leadership).await;
    let (counter, checkpoints) = (counter(&leadership).await, recovered(&leadership, 2).await);
    for step in 1..30_u64 {
        process.line.hold();
        let pending = {
            let (plans, counter, checkpoints) = (Arc::clone(&plans), Arc::clone(&counter), Arc::clone(&checkpoints));
            c.go(async move {
                match step % 3 {
                    0 => drop(plans.put_execution_plan(&plan("a", &format!("step {step}"))).await),
                    1 => drop(counter.get_and_increment().await),
                    _ => drop(add(&checkpoints, checkpoint(step)).await),
                }
            })
        };
        if step % 2 == 0 {
            c.eventually("the commit is on its way", || async { process.line.held() > 0 }).await;
        }
        drop(pending);
        process.line.let_go();
    }
    let id = c.in_time("the counter counts on", counter.get_and_increment()).await.unwrap();
    assert!(id >= 1);
    c.in_time("the plan can be put", plans.put_execution_plan(&plan("a", "last"))).await.unwrap();
    c.in_time("a checkpoint can be added", add(&checkpoints, checkpoint(100))).await.unwrap();
    let (_two, leads) = c.take_over("two").await;
    assert_eq!(content(&started(&leads).await.0, "a").await.unwrap(), "last");
    assert_eq!(ids(&recovered(&leads, 2).await).await.last(), Some(&100));
}

pub async fn x_43_who_is_asked_to_step_down_hands_over_and_does_not_win_again(c: Cluster) {
    const LONG: Duration = Duration::from_secs(60);
    let (one, leads) = c.leader("one").await;
    // It wants to lead again at once, on a session of its own making.
    let eager = one.contend_as(ComponentId::resource_manager()).await;
    eager.granted(&c, 1).await;
    let (plans, _) = started(&leads).await;
    let two = c.process("two").await;
    let waiting = two.contend().await;
    let operator = StepDown::new(c.connect().await, &c.options("operator"), c.seam().clone()).unwrap();
    let asked = c.in_time("hands over", operator.ask(None, LONG, LONG)).await.unwrap();
    assert_eq!((asked.epoch, asked.over), (Some(leads.token().epoch()), true), "{asked:?}");
    assert_eq!(c.in_time("it is told why", leads.lost()).await, LossReason::AskedToStepDown);
    waiting.granted(&c, 1).await;
    assert!(asked.now > asked.epoch, "{asked:?}");
    assert_deposed("a write of who stepped down", plans.put_execution_plan(&plan("a", "late")).await);
    assert_eq!(c.entry("leader/step_down").await, None, "the request was taken back");
    // Nobody is kept from leading for good.
    waiting.close(&c).await;
    eager.granted(&c, 3).await;
    drop((eager, leads));
    c.in_time("one closes", one.services.close()).await.unwrap();
    let asked = c.in_time("nobody is asked", operator.ask(None, LONG, LONG)).await.unwrap();
    assert_eq!((asked.epoch, asked.over), (None, false), "{asked:?}");
}
