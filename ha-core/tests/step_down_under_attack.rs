//! A planned hand-over while the store fails, answers get lost, and other operators give up.
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

mod rigged;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ha_core::backend::{Backend, Entry, Key, Latch, Prefix, Session, SessionOptions};
use ha_core::election::{LossReason, StepDown};
use ha_core::seam::Seam;
use ha_core::wrap::Chroot;
use ha_core::{ErrorKind, HighAvailabilityServices};
use ha_embedded::Embedded;
use rigged::{Fate, Rig, Rigged, options, services, store, within};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

struct World {
    seam: Seam,
    store: Embedded,
}

impl World {
    fn new() -> Self {
        let (store, seam) = store();
        Self { seam, store }
    }

    fn operator(&self) -> StepDown {
        StepDown::new(Arc::new(self.store.connect()), &options("operator"), self.seam.clone()).unwrap()
    }

    /// An operator whose store fails on command.
    fn unlucky(&self) -> (StepDown, Arc<Rigged>, Arc<Rig>) {
        let (backend, rig) = Rigged::new(&self.store, &self.seam);
        let inner: Arc<dyn Backend> = Arc::<Rigged>::clone(&backend);
        (StepDown::new(inner, &options("unlucky"), self.seam.clone()).unwrap(), backend, rig)
    }

    fn inside(&self) -> Chroot {
        Chroot::new(Arc::new(self.store.connect()), Prefix::new("flink/default").unwrap())
    }

    async fn request(&self) -> Option<Entry> {
        self.inside().read(&Key::new("leader/step_down").unwrap()).await.unwrap()
    }

    async fn until_request_stands(&self) {
        let stands = async {
            while self.request().await.is_none() {
                self.seam.sleep(Duration::from_millis(5)).await;
            }
        };
        within(&self.seam, "a request stands", stands).await;
    }

    /// Somebody who holds the latch and looks for no requests, as an older version does.
    async fn deaf_leader(&self) -> (Box<dyn Session>, Latch) {
        let session = self.inside().open_session(&SessionOptions::default()).await.unwrap();
        let latch = Latch::below(&Prefix::new("leader").unwrap());
        session.try_acquire(&latch, "{}".into(), None).await.unwrap();
        (session, latch)
    }
}

#[tokio::test]
async fn an_operator_who_gives_up_takes_nothing_back_that_another_waits_with() {
    // Fails if the request is written once, by the first, who removes it at his end.
    let world = World::new();
    let (session, latch) = world.deaf_leader().await;
    let (first, second) = (world.operator(), world.operator());
    let hasty = async {
        let asked = first.ask(None, SHORT, SHORT).await.unwrap();
        assert!(!asked.over, "{asked:?}");
        world.until_request_stands().await;
        // One more, by Ctrl-C.
        first.withdraw(None).await.unwrap();
        world.until_request_stands().await;
        session.release(&latch).await.unwrap();
    };
    let next = services(&world.store, &world.seam, "next");
    let follower = async { next.dispatcher_leader_election().unwrap().campaign().await.unwrap() };
    let both = async { tokio::join!(second.ask(None, SHORT, LONG), hasty, follower) };
    let (asked, (), _leads) = within(&world.seam, "the patient one is served", both).await;
    assert!(asked.unwrap().over);
    assert_eq!(world.request().await, None, "the last one takes it back");
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_costs_time_and_no_hand_over() {
    // Fails if the first look that is not answered ends the asking.
    let world = World::new();
    let (session, latch) = world.deaf_leader().await;
    let (operator, _, rig) = world.unlucky();
    let failing = async {
        world.until_request_stands().await;
        rig.fail_list.store(true, Ordering::SeqCst);
        session.release(&latch).await.unwrap();
        world.seam.sleep(SHORT).await;
        rig.fail_list.store(false, Ordering::SeqCst);
    };
    let next = services(&world.store, &world.seam, "next");
    let follower = async { next.dispatcher_leader_election().unwrap().campaign().await.unwrap() };
    let both = async { tokio::join!(operator.ask(None, SHORT, LONG), failing, follower) };
    let (asked, (), leads) = within(&world.seam, "it is over", both).await;
    let asked = asked.unwrap();
    assert!(asked.over && !asked.request_left, "{asked:?}");
    assert_eq!(asked.now, Some(leads.token().epoch()));
}

#[tokio::test]
async fn a_store_that_fails_to_the_end_is_told_and_leaves_no_request_behind() {
    // Fails if an error on the way skips the taking back.
    let world = World::new();
    let _leader = world.deaf_leader().await;
    let (operator, _, rig) = world.unlucky();
    let failing = async {
        world.until_request_stands().await;
        rig.fail_list.store(true, Ordering::SeqCst);
    };
    let (asked, ()) = within(&world.seam, "it ends", async {
        tokio::join!(operator.ask(None, SHORT, Duration::from_secs(1)), failing)
    })
    .await;
    let error = asked.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!error.to_string().contains("may stand"), "it was taken back: {error}");
    assert_eq!(world.request().await, None);
}

#[tokio::test]
async fn a_store_that_hangs_is_given_up() {
    // Fails if a call that never answers is waited for: an operator's tool that hangs.
    let world = World::new();
    let _leader = world.deaf_leader().await;
    let (operator, _, rig) = world.unlucky();
    rig.hang_list.store(true, Ordering::SeqCst);
    let both = async { tokio::join!(operator.ask(None, SHORT, SHORT), operator.force(None, SHORT)) };
    let (asked, forced) = within(&world.seam, "both end", both).await;
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(forced.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_followed_once_and_taken_back() {
    let world = World::new();
    let leader = services(&world.store, &world.seam, "leader");
    let leads = leader.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let (operator, _, rig) = world.unlucky();
    rig.next([Fate::LoseAnswer]);
    let again = async {
        assert_eq!(leads.lost().await, LossReason::AskedToStepDown);
        drop(leads);
        leader.dispatcher_leader_election().unwrap().campaign().await.unwrap()
    };
    let both = async { tokio::join!(operator.ask(None, SHORT, LONG), again) };
    let (asked, back) = within(&world.seam, "it is over", both).await;
    assert!(asked.unwrap().over);
    assert_eq!(world.request().await, None);
    assert_eq!(world.seam.timeout(SHORT, back.lost()).await, None, "nothing is left over");
}

#[tokio::test]
async fn a_request_that_may_land_late_is_told_to_the_operator() {
    // Fails if what was found absent counts as taken back, while its write is still on its way.
    let world = World::new();
    let _leader = world.deaf_leader().await;
    let (operator, backend, rig) = world.unlucky();
    rig.next([Fate::HoldBack]);
    let asked = within(&world.seam, "it gives up", operator.ask(None, SHORT, SHORT)).await.unwrap();
    assert!(!asked.over && asked.request_left, "{asked:?}");
    assert_eq!(backend.deliver().await.len(), 1);
    assert!(world.request().await.is_some(), "it did land: what was told is true");
    operator.withdraw(None).await.unwrap();
    assert_eq!(world.request().await, None);
}
