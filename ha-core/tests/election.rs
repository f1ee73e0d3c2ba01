//! The election over the in-process backend: what a new user does first, and what goes wrong first.
//! The clauses are proved by the conformance suites.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{Backend, Key, Mark, Scope, SessionOptions};
use ha_core::election::{LeaderContender, LeaderInformation, LossReason, Ran};
use ha_core::record;
use ha_core::retrieval::LeaderView;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{ComponentId, Error, ErrorKind, HaServices, HighAvailabilityServices, ServicesOptions};
use ha_embedded::Embedded;
use uuid::Uuid;

/// Long enough that a machine that stalls for two seconds takes nobody's leadership away.
const SILENCE: Duration = Duration::from_millis(2500);

fn services(store: &Embedded, seam: &Seam, label: &str) -> HaServices {
    let session = SessionOptions { silence: SILENCE, label: label.into() };
    let options = ServicesOptions { session, ..ServicesOptions::default() };
    let storage = StateStorage::open("memory://", seam.clone()).unwrap();
    HaServices::new(Arc::new(store.connect()), storage, &options, seam.clone()).unwrap()
}

fn store() -> (Embedded, Seam) {
    let seam = Seam::system();
    (Embedded::new(seam.clone()), seam)
}

async fn within<T>(seam: &Seam, what: &str, future: impl Future<Output = T>) -> T {
    match seam.timeout(Duration::from_secs(60), future).await {
        Some(value) => value,
        None => panic!("not within a minute: {what}"),
    }
}

/// The session that holds the latch.
fn holder(store: &Embedded) -> String {
    store.sessions().into_iter().find(|s| !s.holds.is_empty()).expect("somebody leads").id
}

#[tokio::test]
async fn a_standby_takes_over_with_a_greater_token_and_the_old_leader_is_fenced() {
    let (store, seam) = store();
    let (one, two) = (services(&store, &seam, "one"), services(&store, &seam, "two"));
    let first = within(&seam, "first wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    first.publish("one:1").await.unwrap();
    let mut watch = two.dispatcher_leader_retriever().unwrap().watch();
    assert_eq!(within(&seam, "leader seen", watch.leader()).await.address, "one:1");

    store.revoke(&holder(&store)).unwrap();
    let second = within(&seam, "second wins", two.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    assert!(second.token() > first.token());
    let why = within(&seam, "first learns of it", first.lost()).await;
    assert!(matches!(why, LossReason::SessionEnded(_)), "{why:?}");
    assert!(!first.is_valid());
    assert_eq!(first.publish("one:1").await.unwrap_err().kind(), ErrorKind::NotLeader);

    second.publish("two:2").await.unwrap();
    let shown = async {
        while watch.view().leader().is_none_or(|leader| leader.address != "two:2") {
            watch.changed().await;
        }
    };
    within(&seam, "new leader seen", shown).await;
    assert_eq!(watch.view().leader().unwrap().token, second.token());
}

#[tokio::test]
async fn a_kept_value_of_a_lost_leadership_does_not_keep_the_latch_from_others() {
    let (store, seam) = store();
    let (one, two) = (services(&store, &seam, "one"), services(&store, &seam, "two"));
    let first = within(&seam, "first wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    store.freeze(&holder(&store)).unwrap();
    let why = within(&seam, "the deadline passes", first.lost()).await;
    assert!(matches!(why, LossReason::DeadlinePassed | LossReason::SessionEnded(_)), "{why:?}");
    let second = within(&seam, "second wins", two.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    assert!(second.token() > first.token());
}

#[tokio::test]
async fn resigning_hands_over_and_campaigning_again_wins_a_greater_token() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let mut token = ha_core::election::FencingToken::new(0);
    for _ in 0..5 {
        let leadership = within(&seam, "wins", election.campaign()).await.unwrap();
        leadership.publish("one:1").await.unwrap();
        assert!(leadership.token() > token);
        token = leadership.token();
        within(&seam, "resigns", leadership.resign()).await.unwrap();
        assert!(store.sessions().iter().all(|s| s.holds.is_empty()), "the latch is free when resign returns");
    }
}

#[tokio::test]
async fn a_foreign_edit_of_the_latch_evicts_the_leader_who_comes_back_with_a_greater_token() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let first = within(&seam, "wins", election.campaign()).await.unwrap();
    store.tamper(&Key::new("flink/default/leader/latch").unwrap(), Some("vandal".into()));
    assert_eq!(within(&seam, "notices", first.lost()).await, LossReason::Evicted);
    let token = first.token();
    drop(first);
    let again = within(&seam, "wins again", election.campaign()).await.unwrap();
    assert!(again.token() > token);
}

#[tokio::test]
async fn overwritten_and_removed_leader_information_is_restored() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let leadership = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    leadership.publish("one:1").await.unwrap();
    let key = Key::new("flink/default/leader/dispatcher/connection_info").unwrap();
    let handle = store.connect();
    let scope = Scope::Key(key.clone());
    for vandalism in [Some("\"mine now\"".into()), None, Some("\u{0}".into())] {
        store.tamper(&key, vandalism);
        let restored = async {
            let mut mark = Mark::UNSEEN;
            loop {
                mark = handle.changed(&scope, &mark).await.unwrap().mark();
                let found = handle.read(&key).await.unwrap();
                let record = found.and_then(|entry| record::decode::<LeaderInformation>(&entry).ok());
                if record.is_some_and(|record| record.body.address == "one:1") {
                    return;
                }
            }
        };
        within(&seam, "restored", restored).await;
    }
    assert!(leadership.is_valid());
}

#[tokio::test]
async fn work_under_a_leadership_is_dropped_when_it_is_lost() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let leadership = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    assert_eq!(leadership.run(async { 7 }).await, Ran::Done(7));
    let revoke = async {
        store.revoke(&holder(&store)).unwrap();
        std::future::pending::<()>().await
    };
    let ran = within(&seam, "dropped", leadership.run(revoke)).await;
    assert!(matches!(ran, Ran::Lost(LossReason::SessionEnded(_))), "{ran:?}");
}

#[derive(Default)]
struct Recorder {
    log: Mutex<Vec<String>>,
    told: tokio::sync::Notify,
}

impl Recorder {
    fn note(&self, line: impl Into<String>) {
        self.log.lock().unwrap().push(line.into());
        self.told.notify_waiters();
    }

    async fn until(&self, count: usize) -> Vec<String> {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let log = self.log.lock().unwrap().clone();
            if log.len() >= count {
                return log;
            }
            told.await;
        }
    }
}

#[async_trait]
impl LeaderContender for Recorder {
    async fn grant_leadership(&self, session_id: Uuid) {
        self.note(format!("grant {session_id}"));
    }
    async fn revoke_leadership(&self) {
        self.note("revoke");
    }
    async fn handle_error(&self, error: Error) {
        self.note(format!("error {error}"));
    }
    fn description(&self) -> String {
        "recorder".into()
    }
}

#[tokio::test]
async fn a_contender_is_granted_confirmed_revoked_and_granted_again_in_this_order() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let recorder = Arc::new(Recorder::default());
    election.start_leader_election(Arc::<Recorder>::clone(&recorder)).await.unwrap();
    let log = within(&seam, "granted", recorder.until(1)).await;
    let id: Uuid = log[0].strip_prefix("grant ").unwrap().parse().unwrap();
    assert!(election.has_leadership(id));
    assert!(!election.has_leadership(Uuid::nil()));
    assert_eq!(election.confirm_leadership(Uuid::nil(), "x").await.unwrap_err().kind(), ErrorKind::NotLeader);
    election.confirm_leadership(id, "one:1").await.unwrap();
    assert_eq!(election.confirm_leadership(id, "one:1").await.unwrap_err().kind(), ErrorKind::IllegalState);

    store.revoke(&holder(&store)).unwrap();
    assert!(!election.has_leadership(id), "known to be lost before the contender is told");
    let log = within(&seam, "granted again", recorder.until(3)).await;
    assert_eq!(log[1], "revoke");
    assert!(log[2].starts_with("grant ") && log[2] != log[0], "{log:?}");

    within(&seam, "closed", election.close()).await.unwrap();
    let log = within(&seam, "revoked by close", recorder.until(4)).await;
    assert_eq!((log.len(), log[3].as_str()), (4, "revoke"));
    let mut watch = one.dispatcher_leader_retriever().unwrap().watch();
    let vacant = async {
        while watch.view() != LeaderView::Vacant {
            watch.changed().await;
        }
    };
    within(&seam, "nobody leads", vacant).await;
}

#[tokio::test]
async fn components_of_one_process_share_latch_session_and_fate() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let dispatcher = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let manager = within(&seam, "shares", one.resource_manager_leader_election().unwrap().campaign()).await.unwrap();
    let shard = ha_core::backend::Name::new("shard-1").unwrap();
    let shard = one.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
    let shard = within(&seam, "wins the shard", shard.campaign()).await.unwrap();
    assert_eq!(dispatcher.token(), manager.token());
    assert_eq!(store.sessions().len(), 1, "one session for all latches");
    dispatcher.resign().await.unwrap();
    assert!(manager.is_valid() && shard.is_valid(), "the others keep what they have");
    store.revoke(&holder(&store)).unwrap();
    within(&seam, "both are lost", async { (manager.lost().await, shard.lost().await) }).await;
}

#[tokio::test]
async fn closed_services_end_leadership_and_refuse_everything_after() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let election = one.dispatcher_leader_election().unwrap();
    let leadership = within(&seam, "wins", election.campaign()).await.unwrap();
    within(&seam, "closes", one.close()).await.unwrap();
    assert!(!leadership.is_valid());
    assert!(store.sessions().is_empty());
    drop(leadership);
    assert_eq!(within(&seam, "refuses", election.campaign()).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(one.dispatcher_leader_election().unwrap_err().kind(), ErrorKind::Closed);
    one.close().await.unwrap();
}

#[tokio::test]
async fn a_leader_is_shown_with_its_age_while_the_store_is_away_and_not_for_longer_than_it_could_last() {
    // Fails if an unreachable store leaves a leader on show for ever, or takes it away at once.
    let (store, seam) = store();
    let leading = services(&store, &seam, "leading");
    let leadership = within(&seam, "wins", leading.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    leadership.publish("one:1").await.unwrap();
    let observing = services(&store, &seam, "observing");
    let mut watch = observing.dispatcher_leader_retriever().unwrap().watch();
    within(&seam, "leader seen", watch.leader()).await;
    assert_eq!(watch.age(), Duration::ZERO);

    observing.close().await.unwrap();
    let aged = async {
        while watch.age().is_zero() {
            tokio::task::yield_now().await;
        }
    };
    within(&seam, "the view ages", aged).await;
    let unknown = async { while watch.changed().await != LeaderView::Unknown {} };
    within(&seam, "the view is unknown in the end", unknown).await;
    assert!(watch.age() >= SILENCE, "not before one silence: {:?}", watch.age());
    assert!(leadership.is_valid(), "the leader itself is not concerned");
}
