//! Who leads, for those who follow: LR.

use std::sync::Arc;
use std::time::Duration;

use ha_core::retrieval::{LeaderRetrieval, LeaderView};
use ha_core::{ErrorKind, HighAvailabilityServices};

use super::cluster::assert_kind;
use super::contender::{Heard, Recorder};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};

type Listener = Arc<Recorder<Heard>>;

fn listen(process: &Process) -> (Arc<dyn LeaderRetrieval>, Listener) {
    let (retrieval, listener) = (process.services.dispatcher_leader_retriever().unwrap(), Recorder::new());
    retrieval.start(Arc::<Recorder<Heard>>::clone(&listener)).unwrap();
    (retrieval, listener)
}

fn address(heard: &Heard) -> Option<String> {
    heard.clone().expect("no error").map(|leader| leader.address)
}

async fn heard(c: &Cluster, listener: &Listener, count: usize) -> Vec<Option<String>> {
    listener.until(c, count).await.iter().map(address).collect()
}

fn some(address: &str) -> Option<String> {
    Some(address.into())
}

/// The store cannot be reached any more.
fn cut(process: &Process) {
    for call in [Call::Read, Call::List, Call::Changed] {
        process.plan.always(call, Fault::FailBefore);
    }
}

pub async fn lr_01_a_listener_hears_who_leads(c: Cluster) {
    let (_retrieval, listener) = listen(&c.process("observer").await);
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    let leader = listener.until(&c, 1).await[0].clone().unwrap().unwrap();
    assert_eq!((leader.address.as_str(), leader.session_id), ("here:1", leadership.session_id()));
}

pub async fn lr_02_a_listener_hears_that_nobody_leads(c: Cluster) {
    let (_retrieval, listener) = listen(&c.process("observer").await);
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    heard(&c, &listener, 1).await;
    leadership.resign().await.unwrap();
    assert_eq!(heard(&c, &listener, 2).await, [some("here:1"), None]);
}

pub async fn lr_03_unreadable_information_is_an_error_once(c: Cluster) {
    let observer = c.process("observer").await;
    let (_retrieval, listener) = listen(&observer);
    let (_leader, leadership) = c.leader("leader").await;
    // Not published: nobody restores it, so the error lasts.
    c.tamper("leader/dispatcher/connection_info", Some("garbage")).await;
    assert_eq!(listener.until(&c, 1).await[0], Err(ErrorKind::Corrupt));
    leadership.publish("here:1").await.unwrap();
    let told = listener.until(&c, 2).await;
    assert_eq!(told.len(), 2, "told once per reason: {told:?}");
    assert_eq!(address(&told[1]), some("here:1"), "the retrieval goes on");
}

pub async fn lr_04_nothing_is_heard_after_stop(c: Cluster) {
    let observer = c.process("observer").await;
    let ((stopped, silent), (_retrieval, listener)) = (listen(&observer), listen(&observer));
    c.in_time("stop returns", stopped.stop()).await;
    stopped.stop().await;
    assert_kind(ErrorKind::IllegalState, stopped.start(Arc::<Recorder<Heard>>::clone(&silent)));
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    heard(&c, &listener, 1).await;
    assert_eq!(silent.told(), []);
}

pub async fn lr_05_only_true_changes_are_heard(c: Cluster) {
    let (_retrieval, listener) = listen(&c.process("observer").await);
    let (_one, first) = c.leader("one").await;
    first.publish("same:1").await.unwrap();
    heard(&c, &listener, 1).await;
    first.publish("same:1").await.unwrap();
    first.publish("other:1").await.unwrap();
    assert_eq!(heard(&c, &listener, 2).await, [some("same:1"), some("other:1")], "the same again is no change");
    let (_two, second) = c.take_over("two").await;
    second.publish("other:1").await.unwrap();
    let same_address = || async { listener.told().iter().filter(|told| address(told) == some("other:1")).count() == 2 };
    c.eventually("a new session id at the same address is a change", same_address).await;
}

pub async fn lr_06_nothing_is_heard_before_anybody_led(c: Cluster) {
    let observer = c.process("observer").await;
    cut(&observer);
    let ((_retrieval, listener), mut watch) = (listen(&observer), observer.watch());
    c.eventually("the outage is seen", || {
        watch.view();
        let seen = watch.error().is_some();
        async move { seen }
    })
    .await;
    assert_eq!(watch.view(), LeaderView::Unknown);
    observer.plan.clear();
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    assert_eq!(heard(&c, &listener, 1).await, [some("here:1")], "neither `None` nor an error before");
}

pub async fn lr_07_a_long_outage_makes_the_leader_unknown(c: Cluster) {
    let observer = c.process("observer").await;
    let (_retrieval, listener) = listen(&observer);
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    heard(&c, &listener, 1).await;
    cut(&observer);
    assert_eq!(heard(&c, &listener, 2).await, [some("here:1"), None]);
    // LR-09: the same leader is heard of again.
    observer.plan.clear();
    assert_eq!(heard(&c, &listener, 3).await[2], some("here:1"));
}

pub async fn lr_08_a_short_outage_changes_nothing(c: Cluster) {
    let observer = c.process("observer").await;
    let (_retrieval, listener) = listen(&observer);
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    heard(&c, &listener, 1).await;
    observer.plan.next(Call::Changed, Fault::FailBefore);
    leadership.publish("here:2").await.unwrap();
    assert_eq!(heard(&c, &listener, 2).await, [some("here:1"), some("here:2")]);
}

pub async fn lr_10_a_leader_elected_during_an_outage_is_found(c: Cluster) {
    let observer = c.process("observer").await;
    let mut watch = observer.watch();
    let (_old, first) = c.leader("old").await;
    first.publish("old:1").await.unwrap();
    c.sees(&mut watch, "old:1").await;
    cut(&observer);
    let (_new, second) = c.take_over("new").await;
    second.publish("new:1").await.unwrap();
    observer.plan.clear();
    assert_eq!(c.sees(&mut watch, "new:1").await.token, second.token());
}

pub async fn lr_11_who_comes_late_sees_the_current_leader(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    let observer = c.process("observer").await;
    let (_retrieval, listener) = listen(&observer);
    assert_eq!(heard(&c, &listener, 1).await, [some("here:1")]);
    c.sees(&mut observer.watch(), "here:1").await;
}

pub async fn lr_12_two_retrievals_agree(c: Cluster) {
    let (mut one, mut other) = (c.process("one").await.watch(), c.process("other").await.watch());
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    assert_eq!(c.sees(&mut one, "here:1").await, c.sees(&mut other, "here:1").await);
}

pub async fn lr_13_a_watch_that_is_denied_is_an_error(c: Cluster) {
    let observer = c.process("observer").await;
    observer.line.refuse(true);
    let (_retrieval, listener) = listen(&observer);
    assert_eq!(listener.until(&c, 1).await[0], Err(ErrorKind::Denied));
    observer.line.refuse(false);
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    assert_eq!(address(&listener.until(&c, 2).await[1]), some("here:1"), "it goes on by itself");
}

pub async fn lr_14_everything_removed_is_nobody_and_then_the_next(c: Cluster) {
    let mut watch = c.process("observer").await.watch();
    let (_old, first) = c.leader("old").await;
    first.publish("old:1").await.unwrap();
    c.sees(&mut watch, "old:1").await;
    for at in ["leader/latch", "leader/epoch", "leader/dispatcher/connection_info"] {
        c.tamper(at, None).await;
    }
    c.shows(&mut watch, &LeaderView::Vacant).await;
    drop(first);
    let (_new, second) = c.leader("new").await;
    second.publish("new:1").await.unwrap();
    c.sees(&mut watch, "new:1").await;
}

pub async fn lr_15_a_wait_for_a_leader_can_be_given_up(c: Cluster) {
    let mut watch = c.process("observer").await.watch();
    assert_eq!(c.seam().timeout(Duration::from_millis(20), watch.leader()).await, None);
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    c.sees(&mut watch, "here:1").await;
}

pub async fn lr_16_many_subscribers_share_one_watch(c: Cluster) {
    let observer = c.process("observer").await;
    let (_held, blocked) = {
        let (r, l) = listen(&observer);
        l.block();
        (r, l)
    };
    let listeners: Vec<_> = (0..50).map(|_| listen(&observer)).collect();
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    for (_, listener) in &listeners {
        assert_eq!(heard(&c, listener, 1).await, [some("here:1")]);
    }
    leadership.publish("here:2").await.unwrap();
    for (_, listener) in &listeners {
        heard(&c, listener, 2).await;
    }
    assert_eq!(blocked.until(&c, 1).await.len(), 1, "one that blocks holds up nobody else");
    assert!(observer.line.watching() <= 1, "one watch for all: {}", observer.line.watching());
    blocked.unblock();
}

pub async fn x_40_a_retrieval_never_goes_back(c: Cluster) {
    let observer = c.process("observer").await;
    let mut watch = observer.watch();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let following = c.go(async move {
        let mut tokens = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = stopped.changed() => return tokens,
                view = watch.changed() => tokens.extend(view.leader().map(|leader| leader.token)),
            }
        }
    });
    let mut watch = observer.watch();
    let (mut process, mut leadership) = c.leader("leader-0").await;
    for round in 1..12 {
        leadership.publish(&format!("here:{round}")).await.unwrap();
        if round % 3 == 0 {
            observer.plan.next(Call::Changed, Fault::FailBefore);
            observer.plan.next(Call::Changed, Fault::LoseWakeUp);
        }
        let (next, leads) = c.take_over(&format!("leader-{round}")).await;
        (process, leadership) = (next, leads);
    }
    leadership.publish("last:1").await.unwrap();
    c.sees(&mut watch, "last:1").await;
    stop.send_replace(true);
    let tokens = c.in_time("the follower ends", following).await;
    assert!(tokens.windows(2).all(|pair| pair[0] <= pair[1]), "an older term after a newer one: {tokens:?}");
    drop(process);
}
