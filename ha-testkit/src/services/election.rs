//! The election as its contenders see it: LE.

use ha_core::election::Leadership;
use ha_core::retrieval::LeaderView;
use ha_core::{ComponentId, ErrorKind, HighAvailabilityServices};
use uuid::Uuid;

use super::cluster::assert_kind;
use super::contender::{Contending, Recorder, Told};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};

const INFO: &str = "leader/dispatcher/connection_info";

/// A process with two contenders, both granted under one session id.
pub(super) async fn two_contenders(c: &Cluster) -> (Process, Contending, Contending, Uuid) {
    let process = c.process("both").await;
    let one = process.contend().await;
    let other = process.contend_as(ComponentId::resource_manager()).await;
    let (id, same) = (one.granted(c, 1).await, other.granted(c, 1).await);
    assert_eq!(id, same, "components of one process lead together, under one session id");
    (process, one, other, id)
}

pub async fn le_01_grant_and_revoke_reach_every_contender(c: Cluster) {
    let (_process, one, other, id) = two_contenders(&c).await;
    one.election.confirm_leadership(id, "here:1").await.unwrap();
    let stored = c.entry(INFO).await.unwrap();
    let (_two, leadership) = c.take_over_from(&[&one, &other]).await;
    assert_eq!((one.recorder.told()[1], other.recorder.told()[1]), (Told::Revoke, Told::Revoke));
    let left = c.entry(INFO).await.unwrap();
    assert_eq!((left.value, left.revision), (stored.value, stored.revision), "who is revoked touches nothing");
    drop(leadership);
}

pub async fn le_02_a_component_takes_part_once(c: Cluster) {
    let process = c.process("one").await;
    let (first, early) =
        (process.contend().await, process.services.leader_election(ComponentId::rest_server()).unwrap());
    assert_kind(ErrorKind::IllegalState, process.services.dispatcher_leader_election());
    early.start_leader_election(Recorder::new()).await.unwrap();
    assert_kind(ErrorKind::IllegalState, early.start_leader_election(Recorder::new()).await);
    assert_kind(ErrorKind::IllegalState, early.campaign().await);
    first.close(&c).await;
    process.contend().await.granted(&c, 1).await;
}

pub async fn le_03_closing_while_granted_does_not_hang(c: Cluster) {
    for round in 0..12 {
        let process = c.process("one").await;
        let contending = process.contend().await;
        for _ in 0..round {
            // Somewhere between opening a session and the grant.
            tokio::task::yield_now().await;
        }
        contending.close(&c).await;
        let told = contending.recorder.told();
        assert!(matches!(told[..], [] | [Told::Grant(_), Told::Revoke]), "{told:?}");
        process.services.close().await.unwrap();
    }
}

pub async fn le_04_the_store_is_contacted_by_the_first_contender(c: Cluster) {
    let process = c.process("one").await;
    let election = process.election();
    let _retrieval = process.services.dispatcher_leader_retriever().unwrap();
    let _plans = process.services.execution_plan_store().unwrap();
    assert_eq!(process.line.calls(), 0, "getting services does no input or output");
    let _leadership = c.in_time("wins", election.campaign()).await.unwrap();
    assert!(process.line.calls() > 0);
}

pub async fn le_05_a_closed_service_refuses_new_elections(c: Cluster) {
    let process = c.process("one").await;
    let service = process.services.leader_election_service().unwrap();
    let early = process.election();
    service.close().unwrap();
    service.close().unwrap();
    assert_kind(ErrorKind::Closed, process.services.dispatcher_leader_election());
    assert_kind(ErrorKind::Closed, early.campaign().await);
    assert_kind(ErrorKind::Closed, early.start_leader_election(Recorder::new()).await);
}

pub async fn le_06_each_time_the_last_leaves_the_session_ends(c: Cluster) {
    let process = c.process("one").await;
    for round in 1..=2 {
        let contending = process.contend().await;
        contending.granted(&c, 1).await;
        assert_eq!(process.line.sessions().len(), round, "one session each time");
        contending.close(&c).await;
        let left = || async { process.line.open_sessions() == 0 };
        c.eventually("the session is given up with the last contender", left).await;
    }
}

pub async fn le_07_a_grant_whose_answer_is_lost_is_not_lost(c: Cluster) {
    let process = c.process("one").await;
    process.plan.next(Call::Acquire, Fault::FailAfter);
    process.plan.next(Call::OpenSession, Fault::FailBefore);
    process.contend().await.granted(&c, 1).await;
}

pub async fn le_08_a_late_contender_is_granted_the_current_term(c: Cluster) {
    let process = c.process("one").await;
    let first = process.contend().await;
    let id = first.granted(&c, 1).await;
    let late = process.contend_as(ComponentId::resource_manager()).await;
    assert_eq!(late.granted(&c, 1).await, id);
    assert!(late.election.has_leadership(id));
}

pub async fn le_09_who_has_left_is_not_granted(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let standby = c.process("standby").await;
    let gone = standby.contend().await;
    let stays = standby.contend_as(ComponentId::resource_manager()).await;
    gone.close(&c).await;
    drop(leadership);
    stays.granted(&c, 1).await;
    assert_eq!(gone.recorder.told(), []);
}

pub async fn le_10_closing_and_losing_at_once_revokes_once(c: Cluster) {
    let process = c.process("one").await;
    let recorder = Recorder::new();
    recorder.block();
    let contending = Contending::start(process.election(), recorder).await;
    let id = contending.granted(&c, 1).await;
    c.depose().await;
    c.eventually("the loss is known", || async { !contending.election.has_leadership(id) }).await;
    let closing = {
        let (c, contending) = (c.clone(), contending.clone());
        c.clone().go(async move { contending.close(&c).await })
    };
    contending.recorder.unblock();
    closing.await;
    assert_eq!(contending.recorder.told(), [Told::Grant(id), Told::Revoke]);
}

pub async fn le_11_a_service_with_contenders_is_not_closed(c: Cluster) {
    let process = c.process("one").await;
    let service = process.services.leader_election_service().unwrap();
    let contending = process.contend().await;
    let id = contending.granted(&c, 1).await;
    assert_kind(ErrorKind::IllegalState, service.close());
    assert!(contending.election.has_leadership(id), "a refused call changes nothing");
    contending.close(&c).await;
    service.close().unwrap();
}

pub async fn le_12_closing_while_leading_withdraws(c: Cluster) {
    let process = c.process("one").await;
    let contending = process.contend().await;
    let id = contending.granted(&c, 1).await;
    contending.election.confirm_leadership(id, "here:1").await.unwrap();
    assert!(c.entry(INFO).await.is_some());
    contending.close(&c).await;
    assert_eq!(contending.recorder.told(), [Told::Grant(id), Told::Revoke]);
    assert_eq!(c.entry(INFO).await, None, "the address is withdrawn before close returns");
    let _next = c.leader("next").await;
}

pub async fn le_16_nobody_leads_before_being_granted(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let standby = c.process("standby").await.contend().await;
    assert!(!standby.election.has_leadership(leadership.session_id()), "another's id is nobody's here");
    assert!(!standby.election.has_leadership(Uuid::nil()));
}

pub async fn le_17_leadership_is_had_under_the_right_id_alone(c: Cluster) {
    let process = c.process("one").await;
    let contending = process.contend().await;
    let id = contending.granted(&c, 1).await;
    assert!(contending.election.has_leadership(id));
    assert!(!contending.election.has_leadership(Uuid::nil()));
    assert!(!contending.election.has_leadership(Uuid::from_u128(7)));
}

pub async fn le_18_a_loss_is_known_before_the_contender_is_told(c: Cluster) {
    let process = c.process("one").await;
    let recorder = Recorder::new();
    recorder.block();
    let contending = Contending::start(process.election(), recorder).await;
    let id = contending.granted(&c, 1).await;
    c.depose().await;
    c.eventually("the loss is known", || async { !contending.election.has_leadership(id) }).await;
    assert_eq!(contending.recorder.told(), [Told::Grant(id)], "the contender is still busy with the grant");
    contending.recorder.unblock();
    assert_eq!(contending.recorder.until(&c, 2).await[1], Told::Revoke);
}

pub async fn le_19_an_old_id_is_worth_nothing_in_a_new_term(c: Cluster) {
    let process = c.process("one").await;
    let contending = process.contend().await;
    let old = contending.granted(&c, 1).await;
    c.depose().await;
    let new = contending.granted(&c, 3).await;
    assert_ne!(old, new);
    assert!(!contending.election.has_leadership(old) && contending.election.has_leadership(new));
}

pub async fn le_20_who_has_closed_does_not_lead(c: Cluster) {
    let (_process, one, other, id) = two_contenders(&c).await;
    one.close(&c).await;
    assert!(!one.election.has_leadership(id));
    assert!(other.election.has_leadership(id), "the other component keeps what it has");
}

pub async fn le_22_a_closed_contender_hears_of_no_grant(c: Cluster) {
    let process = c.process("one").await;
    let closed = process.contend().await;
    closed.close(&c).await;
    let told = closed.recorder.told().len();
    let other = process.contend_as(ComponentId::resource_manager()).await;
    other.granted(&c, 1).await;
    c.depose().await;
    other.granted(&c, 3).await;
    assert_eq!(closed.recorder.told().len(), told, "nothing reaches it after close");
}

pub async fn le_25_closing_revokes_before_it_returns(c: Cluster) {
    let (_process, one, _other, id) = two_contenders(&c).await;
    one.close(&c).await;
    assert_eq!(one.recorder.told(), [Told::Grant(id), Told::Revoke]);
    one.close(&c).await;
    assert_eq!(one.recorder.told().len(), 2, "closing again does nothing");
}

pub async fn le_26_a_stale_confirmation_changes_nothing_in_a_newer_term(c: Cluster) {
    let process = c.process("one").await;
    let contending = process.contend().await;
    let old = contending.granted(&c, 1).await;
    c.depose().await;
    let new = contending.granted(&c, 3).await;
    assert_kind(ErrorKind::NotLeader, contending.election.confirm_leadership(old, "old:1").await);
    assert_eq!(c.entry(INFO).await, None);
    contending.election.confirm_leadership(new, "new:1").await.unwrap();
    assert_kind(ErrorKind::NotLeader, contending.election.confirm_leadership(old, "old:1").await);
    assert_kind(ErrorKind::IllegalState, contending.election.confirm_leadership(new, "again:1").await);
    assert_eq!(c.sees(&mut process.watch(), "new:1").await.session_id, new);
}

pub async fn le_27_a_confirmation_after_the_loss_changes_nothing(c: Cluster) {
    let process = c.process("one").await;
    let contending = process.contend().await;
    let id = contending.granted(&c, 1).await;
    let (_new, leadership) = c.take_over_from(&[&contending]).await;
    leadership.publish("new:1").await.unwrap();
    let before = c.everything().await;
    assert_kind(ErrorKind::NotLeader, contending.election.confirm_leadership(id, "old:1").await);
    assert_eq!(c.everything().await, before);
}

pub async fn le_28_an_error_that_lasts_reaches_every_contender(c: Cluster) {
    let process = c.process("one").await;
    process.line.refuse(true);
    let one = process.contend().await;
    let other = process.contend_as(ComponentId::resource_manager()).await;
    for contending in [&one, &other] {
        assert_eq!(contending.recorder.until(&c, 1).await[0], Told::Error(ErrorKind::Denied));
    }
    process.line.refuse(false);
    let granted = |told: &[Told]| matches!(told.last(), Some(Told::Grant(_)));
    c.eventually("it goes on by itself once access is given", || async { granted(&one.recorder.told()) }).await;
}

pub async fn le_29_an_error_after_close_reaches_nobody_who_left(c: Cluster) {
    let (_leader, _leadership) = c.leader("leader").await;
    let process = c.process("one").await;
    let (gone, stays) = (process.contend().await, process.contend_as(ComponentId::resource_manager()).await);
    gone.close(&c).await;
    process.line.refuse(true);
    c.depose().await;
    stays.recorder.until(&c, 1).await;
    assert_eq!(gone.recorder.told(), []);
}

pub async fn le_32_a_blocked_contender_does_not_hold_up_the_others(c: Cluster) {
    let process = c.process("one").await;
    let recorder = Recorder::new();
    recorder.block();
    let blocked = Contending::start(process.election(), recorder).await;
    blocked.granted(&c, 1).await;
    let other = process.contend_as(ComponentId::resource_manager()).await;
    other.granted(&c, 1).await;
    c.depose().await;
    other.granted(&c, 3).await;
    assert_eq!(blocked.recorder.told().len(), 1);
    blocked.recorder.unblock();
    let told = blocked.recorder.until(&c, 3).await;
    assert!(matches!(told[..], [Told::Grant(_), Told::Revoke, Told::Grant(_)]), "{told:?}");
}

pub async fn le_34_elections_that_never_began_end_as_well(c: Cluster) {
    let process = c.process("one").await;
    let election = process.election();
    election.close().await.unwrap();
    assert!(!election.has_leadership(Uuid::nil()));
    assert_kind(ErrorKind::IllegalState, election.confirm_leadership(Uuid::nil(), "x:1").await);
    let leadership: Leadership = c.in_time("wins after all", election.campaign()).await.unwrap();
    assert_kind(ErrorKind::Invalid, leadership.publish("").await);
    leadership.resign().await.unwrap();
    c.shows(&mut process.watch(), &LeaderView::Vacant).await;
}
