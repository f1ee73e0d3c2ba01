//! Attacks on the election: latches that nobody knows to hold, deaf electors, contenders misled.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: panicking is how it fails, and threads are what it is about"
)]

mod rigged;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{Backend, Key, Name};
use ha_core::election::{LeaderContender, LossReason, Ran};
use ha_core::retrieval::LeaderView;
use ha_core::{ComponentId, Error, HighAvailabilityServices};
use rigged::{Rigged, holder, services, services_on, store, until, within};
use uuid::Uuid;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[tokio::test]
async fn a_campaign_that_meets_a_resignation_leaves_no_latch_that_nobody_knows_to_hold() {
    let (store, seam) = store();
    let (one, two) = (services(&store, &seam, "one"), services(&store, &seam, "two"));
    let first = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    // The resignation is asked for, not carried out yet, when another component campaigns.
    drop(first);
    let election = one.resource_manager_leader_election().unwrap();
    let second = within(&seam, "campaign returns", election.campaign()).await.unwrap();
    if second.is_valid() {
        let ended = seam.timeout(Duration::from_millis(500), second.lost()).await;
        if ended.is_none() {
            return; // It leads for good, and knows it.
        }
    }
    assert_eq!(second.lost().await, LossReason::Resigned);
    // The owner keeps the value and does not campaign again: nobody of this process leads.
    let other = two.dispatcher_leader_election().unwrap();
    drop(within(&seam, "another process wins", other.campaign()).await.unwrap());
}

#[test]
fn a_leadership_kept_beyond_its_runtime_does_not_keep_the_latch_from_others() {
    let (store, seam) = store();
    let (one, two) = (services(&store, &seam, "one"), services(&store, &seam, "two"));
    let first = runtime();
    let kept = first.block_on(one.dispatcher_leader_election().unwrap().campaign()).unwrap();
    drop(first);
    let second = runtime();
    second.block_on(async {
        let why = within(&seam, "loss is known", kept.lost()).await;
        assert!(!kept.is_valid(), "{why:?}");
        let election = two.dispatcher_leader_election().unwrap();
        drop(within(&seam, "another process wins", election.campaign()).await.unwrap());
    });
    drop(kept);
}

#[test]
fn an_elector_whose_runtime_is_gone_contends_again_on_the_next_one() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let first = runtime();
    drop(first.block_on(election.campaign()).unwrap());
    drop(first);
    runtime().block_on(async {
        let again = within(&seam, "campaign on another runtime", election.campaign()).await.unwrap();
        assert!(again.is_valid());
    });
}

#[tokio::test]
async fn an_elector_survives_a_panic_below_it() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let one = services_on(backend, &seam, "one");
    rig.panic_acquire.store(true, Ordering::SeqCst);
    let election = one.dispatcher_leader_election().unwrap();
    // A campaign that fails would do as well; one that waits for a dead elector does not.
    let campaign = seam.timeout(Duration::from_secs(2), election.campaign()).await;
    if !matches!(campaign, Some(Ok(_))) {
        drop(within(&seam, "the next campaign wins", election.campaign()).await.unwrap());
    }
}

#[tokio::test]
async fn a_latch_whose_release_failed_does_not_stay_held_by_a_session_that_others_use() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let (one, two) = (services_on(backend, &seam, "one"), services(&store, &seam, "two"));
    let shard = Name::new("shard").unwrap();
    let main = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let part = one.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
    let part = within(&seam, "wins the shard", part.campaign()).await.unwrap();
    assert_eq!(store.sessions().len(), 1);
    rig.fail_release.store(true, Ordering::SeqCst);
    within(&seam, "resigns", part.resign()).await.unwrap();
    seam.sleep(Duration::from_millis(100)).await;
    rig.fail_release.store(false, Ordering::SeqCst);
    let other = two.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
    drop(within(&seam, "the shard is free for others", other.campaign()).await.unwrap());
    assert!(main.is_valid(), "the other latch is untouched");
}

#[tokio::test]
async fn registrations_do_not_keep_a_slow_election_from_being_won() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let one = services_on(backend, &seam, "one");
    rig.open_delay_ms.store(60, Ordering::SeqCst);
    let election = one.dispatcher_leader_election().unwrap();
    let newcomers = async {
        let mut kept = Vec::new();
        for number in 0..1000 {
            let component = ComponentId::new(format!("c{number}")).unwrap();
            let newcomer = one.leader_election(component).unwrap();
            newcomer.start_leader_election(Arc::new(Recorder::default())).await.unwrap();
            kept.push(newcomer);
            seam.sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        won = within(&seam, "wins while others register", election.campaign()) => drop(won.unwrap()),
        () = newcomers => {}
    }
}

#[derive(Default)]
struct Recorder {
    log: Mutex<Vec<String>>,
}

impl Recorder {
    fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

#[async_trait]
impl LeaderContender for Recorder {
    async fn grant_leadership(&self, session_id: Uuid) {
        self.log.lock().unwrap().push(format!("grant {session_id}"));
    }
    async fn revoke_leadership(&self) {
        self.log.lock().unwrap().push("revoke".into());
    }
    async fn handle_error(&self, error: Error) {
        self.log.lock().unwrap().push(format!("error {error}"));
    }
    fn description(&self) -> String {
        "recorder".into()
    }
}

#[tokio::test]
async fn a_contender_is_revoked_when_its_election_is_dropped_without_being_closed() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let recorder = Arc::new(Recorder::default());
    election.start_leader_election(Arc::<Recorder>::clone(&recorder)).await.unwrap();
    until(&seam, "granted", || recorder.lines().len() == 1).await;
    drop(election);
    until(&seam, "the latch is given up", || store.sessions().is_empty()).await;
    until(&seam, "revoked", || recorder.lines().len() == 2).await;
    assert_eq!(recorder.lines()[1], "revoke");
}

/// Blocks its thread in the grant until it is let go.
#[derive(Default)]
struct Blocking {
    granted: AtomicBool,
    go: AtomicBool,
    revoked: AtomicBool,
}

#[async_trait]
impl LeaderContender for Blocking {
    async fn grant_leadership(&self, _: Uuid) {
        self.granted.store(true, Ordering::SeqCst);
        while !self.go.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
    async fn revoke_leadership(&self) {
        self.revoked.store(true, Ordering::SeqCst);
    }
    async fn handle_error(&self, _: Error) {}
    fn description(&self) -> String {
        "blocking".into()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_reaches_a_contender_after_close_returned_even_if_it_blocked() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let contender = Arc::new(Blocking::default());
    election.start_leader_election(Arc::<Blocking>::clone(&contender)).await.unwrap();
    until(&seam, "granted", || contender.granted.load(Ordering::SeqCst)).await;
    seam.timeout(Duration::from_secs(20), election.close()).await.expect("close returns").unwrap();
    contender.go.store(true, Ordering::SeqCst);
    seam.sleep(Duration::from_millis(300)).await;
    assert!(!contender.revoked.load(Ordering::SeqCst), "called after close");
}

#[test]
fn a_contender_started_outside_of_a_runtime_cannot_starve_the_renewals_by_blocking() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let contender = Arc::new(Blocking::default());
    let starting = election.start_leader_election(Arc::<Blocking>::clone(&contender));
    futures_util::FutureExt::now_or_never(starting).expect("starting does not wait").unwrap();
    runtime().block_on(async {
        until(&seam, "granted", || contender.granted.load(Ordering::SeqCst)).await;
        let session = holder(&store);
        // Twice the silence: without renewals the session is over long before.
        seam.sleep(rigged::SILENCE * 2).await;
        let alive = store.sessions().into_iter().any(|s| s.id == session);
        contender.go.store(true, Ordering::SeqCst);
        assert!(alive, "the session expired because a contender blocked");
    });
}

#[tokio::test]
async fn work_does_not_go_on_past_the_deadline_at_its_next_await() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let leadership = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    store.freeze(&holder(&store)).unwrap();
    let went_on = AtomicBool::new(false);
    let work = async {
        // The application blocks its only thread beyond the deadline.
        while leadership.is_valid() {
            std::thread::yield_now();
        }
        tokio::task::yield_now().await;
        went_on.store(true, Ordering::SeqCst);
        std::future::pending::<()>().await
    };
    let ran = within(&seam, "dropped", leadership.run(work)).await;
    assert!(matches!(ran, Ran::Lost(_)), "{ran:?}");
    assert!(!went_on.load(Ordering::SeqCst), "the work went on after the deadline and an await");
}

#[tokio::test]
async fn leaving_does_not_wait_for_a_runner_that_is_gone() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let one = services_on(backend, &seam, "one");
    let leadership = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    rig.hang_release.store(true, Ordering::SeqCst);
    let resigning = leadership.resign();
    tokio::pin!(resigning);
    assert!(seam.timeout(Duration::from_millis(50), &mut resigning).await.is_none());
    drop(one);
    let prompt = seam.timeout(Duration::from_millis(3000), resigning).await;
    assert!(prompt.is_some(), "the service is gone, and resigning still waits");
}

#[tokio::test]
async fn closing_many_latches_that_cannot_be_released_takes_no_longer_than_closing_one() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let one = services_on(backend, &seam, "one");
    let mut kept = Vec::new();
    for number in 0..6 {
        let latch = Name::new(format!("shard-{number}")).unwrap();
        let election = one.leader_election_on(&latch, ComponentId::dispatcher()).unwrap();
        kept.push(within(&seam, "wins", election.campaign()).await.unwrap());
    }
    rig.hang_release.store(true, Ordering::SeqCst);
    assert!(seam.timeout(Duration::from_secs(15), one.close()).await.is_some(), "six latches one after the other");
}

#[tokio::test]
async fn a_close_that_was_dropped_goes_on_when_called_again() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let one = services_on(backend, &seam, "one");
    let service = one.leader_election_service().unwrap();
    let recorder = Arc::new(Recorder::default());
    let election = one.dispatcher_leader_election().unwrap();
    election.start_leader_election(Arc::<Recorder>::clone(&recorder)).await.unwrap();
    until(&seam, "granted", || recorder.lines().len() == 1).await;
    rig.hang_release.store(true, Ordering::SeqCst);
    assert!(seam.timeout(Duration::from_millis(50), one.close()).await.is_none());
    rig.hang_release.store(false, Ordering::SeqCst);
    within(&seam, "closes", one.close()).await.unwrap();
    let refused = service.create_leader_election(ComponentId::rest_server()).is_err();
    assert!(refused && service.current().borrow().is_none());
    until(&seam, "revoked", || recorder.lines().len() > 1).await;
    seam.sleep(Duration::from_millis(300)).await;
    assert_eq!(recorder.lines().len(), 2, "{:?}", recorder.lines());
}

#[tokio::test]
async fn a_dropped_leadership_is_not_shown_any_more_while_other_components_keep_the_latch() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let dispatcher = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let manager = within(&seam, "wins", one.resource_manager_leader_election().unwrap().campaign()).await.unwrap();
    dispatcher.publish("one:1").await.unwrap();
    let mut watch = one.dispatcher_leader_retriever().unwrap().watch();
    within(&seam, "shown", watch.leader()).await;
    drop(dispatcher);
    let vacant = async {
        while watch.view() != LeaderView::Vacant {
            watch.changed().await;
        }
    };
    within(&seam, "the dropped leader is not shown", vacant).await;
    assert!(manager.is_valid());
}

#[tokio::test]
async fn a_component_that_leads_again_at_once_stays_published() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let manager = within(&seam, "wins", one.resource_manager_leader_election().unwrap().campaign()).await.unwrap();
    let election = one.dispatcher_leader_election().unwrap();
    for round in 0..50 {
        let dispatcher = within(&seam, "wins", election.campaign()).await.unwrap();
        let address = format!("one:{round}");
        dispatcher.publish(&address).await.unwrap();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let key = Key::new("flink/default/leader/dispatcher/connection_info").unwrap();
        let found = store.connect().read(&key).await.unwrap().expect("published");
        assert!(String::from_utf8_lossy(&found.value).contains(&address));
        drop(dispatcher);
    }
    assert!(manager.is_valid());
}

#[tokio::test]
async fn a_publication_that_was_dropped_half_way_is_withdrawn_by_resigning() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let one = services_on(backend, &seam, "one");
    let dispatcher = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let manager = within(&seam, "wins", one.resource_manager_leader_election().unwrap().campaign()).await.unwrap();
    rig.next([rigged::Fate::Hang]);
    assert!(seam.timeout(Duration::from_millis(50), dispatcher.publish("one:1")).await.is_none());
    within(&seam, "resigns", dispatcher.resign()).await.unwrap();
    let key = Key::new("flink/default/leader/dispatcher/connection_info").unwrap();
    let left = store.connect().read(&key).await.unwrap();
    assert!(left.is_none(), "a leader that resigned is still published: {left:?}");
    assert!(manager.is_valid());
}

async fn restored(
    store: &ha_embedded::Embedded,
    seam: &ha_core::seam::Seam,
    key: &Key,
    address: &str,
    within: Duration,
) -> bool {
    let handle = store.connect();
    let poll = async {
        loop {
            let found = handle.read(key).await.unwrap();
            if found.is_some_and(|entry| String::from_utf8_lossy(&entry.value).contains(address)) {
                return;
            }
            seam.sleep(Duration::from_millis(5)).await;
        }
    };
    seam.timeout(within, poll).await.is_some()
}

#[tokio::test]
async fn leader_information_removed_right_after_the_first_publication_is_restored() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let leadership = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let key = Key::new("flink/default/leader/dispatcher/connection_info").unwrap();
    leadership.publish("one:1").await.unwrap();
    seam.sleep(Duration::from_millis(100)).await;
    store.tamper(&key, None);
    assert!(restored(&store, &seam, &key, "one:1", Duration::from_secs(60)).await, "never restored");
    // And where the follower never saw what was published.
    let two = one.resource_manager_leader_election().unwrap();
    let two = within(&seam, "wins", two.campaign()).await.unwrap();
    let key = Key::new("flink/default/leader/resource_manager/connection_info").unwrap();
    two.publish("one:2").await.unwrap();
    store.tamper(&key, None);
    assert!(restored(&store, &seam, &key, "one:2", Duration::from_secs(60)).await, "never restored, unseen");
}

#[tokio::test]
async fn a_fight_over_one_component_does_not_delay_the_restoration_of_another() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let dispatcher = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let manager = within(&seam, "wins", one.resource_manager_leader_election().unwrap().campaign()).await.unwrap();
    dispatcher.publish("one:1").await.unwrap();
    manager.publish("one:2").await.unwrap();
    let fought = Key::new("flink/default/leader/dispatcher/connection_info").unwrap();
    let calm = Key::new("flink/default/leader/resource_manager/connection_info").unwrap();
    let handle = store.connect();
    // Overwritten whenever it was restored, until the pauses are long.
    for _ in 0..7 {
        store.tamper(&fought, Some("mine".into()));
        let back = async {
            while handle.read(&fought).await.unwrap().is_none_or(|e| e.value == "mine") {
                seam.sleep(Duration::from_millis(2)).await;
            }
        };
        seam.timeout(Duration::from_secs(60), back).await.expect("restored");
    }
    store.tamper(&fought, Some("mine".into()));
    store.tamper(&calm, Some("mine".into()));
    // The other one's pause is longer by now, more than six seconds.
    let in_time = restored(&store, &seam, &calm, "one:2", Duration::from_secs(5)).await;
    assert!(in_time, "restored only after the other one's pause");
}

#[tokio::test]
async fn an_attempt_that_arrives_after_its_campaign_was_dropped_does_not_keep_the_latch() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let (one, two) = (services_on(backend, &seam, "one"), services(&store, &seam, "two"));
    let shard = Name::new("shard").unwrap();
    let main = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    rig.hang_acquire.store(true, Ordering::SeqCst);
    let election = one.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
    {
        let campaign = election.campaign();
        tokio::pin!(campaign);
        let attempted = until(&seam, "attempted", || !rig.late_acquires.lock().unwrap().is_empty());
        tokio::select! {
            biased;
            _ = &mut campaign => panic!("the attempt hangs, and the campaign has won"),
            () = attempted => {}
        }
    }
    let late = std::mem::take(&mut *rig.late_acquires.lock().unwrap());
    assert_eq!(late.len(), 1);
    for (session, latch) in late {
        session.try_acquire(&latch, "late".into(), None).await.unwrap();
    }
    let other = two.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
    drop(within(&seam, "the shard is free for others", other.campaign()).await.unwrap());
    assert!(main.is_valid(), "the other latch is untouched");
}
