//! The election as it looks from other processes: LD.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use ha_core::backend::Name;
use ha_core::election::FencingToken;
use ha_core::retrieval::LeaderView;
use ha_core::{ComponentId, ErrorKind, HighAvailabilityServices};

use super::Cluster;
use super::cluster::{assert_deposed, assert_kind};
use super::contender::{Heard, Recorder, Told};
use crate::faults::{Call, Fault};

pub async fn ld_01_what_is_published_is_seen_by_others(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    let seen = c.sees(&mut c.process("observer").await.watch(), "here:1").await;
    assert_eq!((seen.session_id, seen.token), (leadership.session_id(), leadership.token()));
}

/// Lets that many contend; each leader is killed until all have led once. Returns the tokens.
async fn each_leads_once(c: &Cluster, count: usize) -> Vec<FencingToken> {
    let (sender, mut won) = tokio::sync::mpsc::unbounded_channel();
    let mut going = Vec::new();
    for number in 0..count {
        let process = c.process(&format!("contender-{number}")).await;
        let (sender, election) = (sender.clone(), process.election());
        going.push(c.go(async move {
            let leadership = election.campaign().await.expect("a leadership");
            // The receiver outlives all campaigns.
            let _ = sender.send((process, leadership));
        }));
    }
    let mut tokens = Vec::new();
    for _ in 0..count {
        let (process, leadership) = c.in_time("the next one leads", won.recv()).await.expect("a leader");
        leadership.publish(&format!("here:{}", tokens.len())).await.unwrap();
        tokens.push(leadership.token());
        process.kill().await;
        c.in_time("the killed leader knows", leadership.lost()).await;
    }
    join_all(going).await;
    tokens
}

pub async fn ld_02_of_ten_each_leads_once(c: Cluster) {
    let tokens = each_leads_once(&c, 10).await;
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "tokens grow: {tokens:?}");
}

pub async fn ld_03_killed_leaders_are_replaced_round_after_round(c: Cluster) {
    let mut token = FencingToken::new(0);
    for _ in 0..10 {
        for next in each_leads_once(&c, 3).await {
            assert!(next > token, "{next} after {token}");
            token = next;
        }
    }
}

pub async fn ld_04_one_publication_is_one_change(c: Cluster) {
    let observer = c.process("observer").await;
    let heard = Recorder::<Heard>::new();
    let retrieval = observer.services.dispatcher_leader_retriever().unwrap();
    retrieval.start(Arc::<Recorder<Heard>>::clone(&heard)).unwrap();
    let (_leader, leadership) = c.leader("leader").await;
    for round in 1..=3 {
        let address = format!("here:{round}");
        leadership.publish(&address).await.unwrap();
        let told = heard.until(&c, round).await;
        assert_eq!(told.len(), round, "one publication, one call: {told:?}");
        let told = told[round - 1].clone().unwrap().unwrap();
        assert_eq!(told.address, address);
    }
}

pub async fn ld_05_a_failed_publication_is_told_to_who_publishes(c: Cluster) {
    let (leader, leadership) = c.leader("leader").await;
    leader.plan.next(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, leadership.publish("here:1").await);
    assert!(leadership.is_valid(), "the leadership goes on");
    leadership.publish("here:1").await.unwrap();
    c.sees(&mut leader.watch(), "here:1").await;
}

pub async fn ld_06_a_leader_that_ends_is_not_shown(c: Cluster) {
    let observer = c.process("observer").await;
    let mut watch = observer.watch();
    let (leader, leadership) = c.leader("leader").await;
    leadership.publish("here:1").await.unwrap();
    c.sees(&mut watch, "here:1").await;
    leader.kill().await;
    c.shows(&mut watch, &LeaderView::Vacant).await;
}

pub async fn ld_07_who_does_not_lead_removes_nothing(c: Cluster) {
    let (old, leadership) = c.leader("old").await;
    leadership.publish("old:1").await.unwrap();
    old.line.make_unaware();
    let (new, leads) = c.take_over("new").await;
    leads.publish("new:1").await.unwrap();
    let before = c.everything().await;
    c.in_time("resigning returns", leadership.resign()).await.unwrap();
    c.in_time("closing returns", old.services.close()).await.unwrap();
    assert_eq!(c.everything().await, before, "the successor's information stands as it was");
    c.sees(&mut new.watch(), "new:1").await;
}

pub async fn ld_08_an_error_that_lasts_ends_a_campaign(c: Cluster) {
    let process = c.process("one").await;
    process.line.refuse(true);
    let election = process.election();
    assert_kind(ErrorKind::Denied, c.in_time("the campaign ends", election.campaign()).await);
    process.line.refuse(false);
    let _leadership = c.in_time("it can be begun again", election.campaign()).await.unwrap();
}

pub async fn ld_09_leadership_is_lost_and_regained(c: Cluster) {
    let process = c.process("one").await;
    let contending = process.contend().await;
    for round in 0..4 {
        let id = contending.granted(&c, 2 * round + 1).await;
        contending.election.confirm_leadership(id, &format!("here:{round}")).await.unwrap();
        c.sees(&mut process.watch(), &format!("here:{round}")).await;
        c.depose().await;
        assert_eq!(contending.recorder.until(&c, 2 * round + 2).await[2 * round + 1], Told::Revoke);
    }
}

pub async fn ld_10_of_many_one_leads(c: Cluster) {
    let mut contenders = Vec::new();
    for number in 0..10 {
        let process = c.process(&format!("contender-{number}")).await;
        let contending = process.contend().await;
        contenders.push((process, contending));
    }
    let granted = || contenders.iter().filter(|(_, one)| !one.recorder.told().is_empty()).count();
    c.eventually("somebody leads", || async { granted() > 0 }).await;
    let mut watch = c.process("observer").await.watch();
    for (_, one) in &contenders {
        if let Some(Told::Grant(id)) = one.recorder.told().first() {
            one.election.confirm_leadership(*id, "here:1").await.unwrap();
        }
    }
    c.sees(&mut watch, "here:1").await;
    assert_eq!(granted(), 1, "nobody else was granted while the leader leads");
}

pub async fn ld_11_who_does_not_lead_cannot_publish(c: Cluster) {
    let (old, leadership) = c.leader("old").await;
    old.line.make_unaware();
    let (_new, leads) = c.take_over("new").await;
    leads.publish("new:1").await.unwrap();
    let before = c.everything().await;
    assert_deposed("publish", leadership.publish("old:1").await);
    assert_eq!(c.everything().await, before);
    assert!(!leadership.is_valid(), "the refusal has told it");
}

pub async fn ld_12_independent_latches_have_independent_leaders(c: Cluster) {
    let (one, other) = (c.process("one").await, c.process("other").await);
    let shards: Vec<Name> = (0..3).map(|n| Name::new(format!("shard-{n}")).unwrap()).collect();
    let mut held = Vec::new();
    for (number, shard) in shards.iter().enumerate() {
        let process = if number % 2 == 0 { &one } else { &other };
        let election = process.services.leader_election_on(shard, ComponentId::dispatcher()).unwrap();
        let leadership = c.in_time("wins its shard", election.campaign()).await.unwrap();
        leadership.publish(&format!("shard:{number}")).await.unwrap();
        held.push(leadership);
    }
    for (number, shard) in shards.iter().enumerate() {
        let mut watch = other.services.leader_retriever_on(shard, ComponentId::dispatcher()).unwrap().watch();
        c.sees(&mut watch, &format!("shard:{number}")).await;
    }
    assert_eq!(one.line.sessions().len(), 1, "one session serves all latches of a process");
    let ids: BTreeSet<_> = held.iter().map(|leadership| leadership.session_id()).collect();
    assert_eq!(ids.len(), 3);
    held.remove(0).resign().await.unwrap();
    assert!(held.iter().all(|leadership| leadership.is_valid()), "the others keep their latches");
}

pub async fn ld_13_a_silent_leader_is_replaced(c: Cluster) {
    let (old, leadership) = c.leader("old").await;
    leadership.publish("old:1").await.unwrap();
    let mut watch = c.process("observer").await.watch();
    c.sees(&mut watch, "old:1").await;
    c.store().freeze(&old.session_id()).await;
    let standby = c.process("standby").await;
    let leads = standby.lead().await;
    assert!(!leadership.is_valid(), "its own deadline has passed before another could win");
    assert!(leads.token() > leadership.token());
    leads.publish("new:1").await.unwrap();
    assert_eq!(c.sees(&mut watch, "new:1").await.token, leads.token());
}

pub async fn ld_14_a_revoked_session_is_followed_by_another(c: Cluster) {
    let process = c.process("one").await;
    let contending = process.contend().await;
    let id = contending.granted(&c, 1).await;
    c.store().revoke(&process.session_id()).await;
    let next = contending.granted(&c, 3).await;
    assert_ne!(id, next);
    c.store().expire(&process.session_id()).await;
    contending.granted(&c, 5).await;
    assert_eq!(process.line.sessions().len(), 3, "each term has a session of its own");
}
