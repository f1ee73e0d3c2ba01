//! An application that blocks every thread of its runtime: what of leadership goes on without it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: panicking is how it fails, and threads that are blocked on purpose are what it is about"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::election::{Grant, Leadership};
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{ErrorKind, HaServices, HighAvailabilityServices, ServicesOptions};
use ha_embedded::Embedded;
use tokio::runtime::Runtime;

const SILENCE: Duration = Duration::from_secs(3);
const WORKERS: usize = 2;

/// A process: a runtime of its own, and services whose tasks run there.
struct Process {
    runtime: Runtime,
    services: Arc<HaServices>,
}

impl Process {
    fn new(store: &Embedded, label: &str) -> Self {
        let seam = Seam::system();
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        let session = SessionOptions { silence: SILENCE, label: label.into() };
        let options = ServicesOptions { session, ..ServicesOptions::default() };
        let services = HaServices::new(Arc::new(store.connect()), storage, &options, seam).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
        Self { runtime, services: Arc::new(services) }
    }

    /// Campaigns on a worker, so that everything of the election is spawned on this runtime.
    fn campaign(&self) -> mpsc::Receiver<Leadership> {
        let (won, winner) = mpsc::channel();
        let services = Arc::clone(&self.services);
        self.runtime.spawn(async move {
            let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
            leadership.publish("host:1").await.unwrap();
            // The test may be over.
            let _ = won.send(leadership);
        });
        winner
    }

    /// Blocks every worker until `release` is dropped, and returns when all of them are.
    fn block(&self) -> Blocked {
        let all = Arc::new(Barrier::new(WORKERS + 1));
        let releases = (0..WORKERS).map(|_| {
            let (release, released) = mpsc::channel::<()>();
            let all = Arc::clone(&all);
            self.runtime.spawn(async move {
                // No worker takes a second task while it is blocked in here, so that they are all different.
                all.wait();
                // An error says that the sender was dropped: that is what is waited for.
                let _ = released.recv();
            });
            release
        });
        let releases = releases.collect();
        all.wait();
        Blocked { _releases: releases, started: self.probe() }
    }

    /// Something that runs as soon as a worker is free.
    fn probe(&self) -> Arc<AtomicBool> {
        let ran = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ran);
        self.runtime.spawn(async move { flag.store(true, Ordering::SeqCst) });
        ran
    }
}

/// Workers that are blocked; dropping it lets them go.
struct Blocked {
    _releases: Vec<mpsc::Sender<()>>,
    started: Arc<AtomicBool>,
}

impl Blocked {
    fn assert_blocked(&self) {
        assert!(!self.started.load(Ordering::SeqCst), "a worker was free: the test shows nothing");
    }
}

/// A standby that notes, at the moment at which it wins, whether the other one believed to lead.
fn standby(process: &Process, old: Grant) -> mpsc::Receiver<(bool, Leadership)> {
    let (won, winner) = mpsc::channel();
    let services = Arc::clone(&process.services);
    process.runtime.spawn(async move {
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        // The test may be over.
        let _ = won.send((old.is_valid(), leadership));
    });
    winner
}

fn holder(store: &Embedded) -> String {
    store.sessions().into_iter().find(|session| !session.holds.is_empty()).expect("somebody leads").id
}

#[test]
fn an_application_that_blocks_its_whole_runtime_for_many_silences_keeps_its_leadership() {
    // Fails if a renewal, or anything that it waits for, runs on the application's runtime.
    const BLOCKED: Duration = Duration::from_secs(30);
    let seam = Seam::system();
    let store = Embedded::new(seam.clone());
    let (leader, other) = (Process::new(&store, "leader"), Process::new(&store, "standby"));
    let leadership = leader.campaign().recv_timeout(Duration::from_secs(60)).unwrap();
    let standby = standby(&other, leadership.grant().clone());
    let (epoch, until) = (leadership.token(), seam.now() + BLOCKED);
    let blocked = leader.block();
    let first = leadership.valid_until();
    while seam.now() < until {
        assert!(leadership.is_valid(), "asked from a thread without a runtime");
        assert!(standby.try_recv().is_err(), "the standby never wins");
        std::thread::sleep(Duration::from_millis(20));
    }
    blocked.assert_blocked();
    assert!(leadership.valid_until() > first, "it was renewed all the time");
    assert_eq!(leadership.grant().loss(), None);
    drop(blocked);
    // And its runtime finds nothing amiss when it goes on.
    let publish = leader.runtime.block_on(leadership.publish("host:2"));
    publish.unwrap();
    assert_eq!(leadership.token(), epoch);
    assert!(standby.try_recv().is_err());
    leader.runtime.block_on(leadership.resign()).unwrap();
    let (was_valid, leadership) = standby.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(!was_valid && leadership.token() > epoch);
}

#[test]
fn with_its_runtime_blocked_a_leader_without_renewals_is_over_at_its_deadline_and_before_another_leads() {
    // Fails if validity waits for a task that ends the grant.
    let seam = Seam::system();
    let store = Embedded::new(seam.clone());
    let (leader, other) = (Process::new(&store, "leader"), Process::new(&store, "standby"));
    let leadership = leader.campaign().recv_timeout(Duration::from_secs(60)).unwrap();
    let standby = standby(&other, leadership.grant().clone());
    let blocked = leader.block();
    store.freeze(&holder(&store)).unwrap();
    // No renewal gets through any more: this deadline is the last.
    let deadline = leadership.valid_until();
    loop {
        let before = seam.now();
        if !leadership.is_valid() {
            break;
        }
        assert!(!deadline.is_past(before), "valid past its deadline");
    }
    let refused = leadership.writer().draft().map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotLeader, "nor is anything sent under it");
    let (was_valid, next) = standby.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(!was_valid, "at no instant do both hold");
    assert!(next.token() > leadership.token());
    blocked.assert_blocked();
    assert!(!leadership.is_valid());
    drop(blocked);
    // The reason is known as soon as the runtime goes on.
    let lost = leader.runtime.block_on(async { seam.timeout(Duration::from_secs(60), leadership.lost()).await });
    assert!(lost.is_some());
    drop((leadership, next));
}

#[test]
fn with_its_runtime_blocked_a_leader_whose_session_is_revoked_is_over_at_once() {
    // Fails if an early end is heard by a task of the application's runtime alone.
    let seam = Seam::system();
    let store = Embedded::new(seam.clone());
    let (leader, other) = (Process::new(&store, "leader"), Process::new(&store, "standby"));
    let leadership = leader.campaign().recv_timeout(Duration::from_secs(60)).unwrap();
    let standby = standby(&other, leadership.grant().clone());
    let blocked = leader.block();
    store.revoke(&holder(&store)).unwrap();
    assert!(!leadership.is_valid());
    let (was_valid, next) = standby.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(!was_valid && next.token() > leadership.token());
    blocked.assert_blocked();
    drop(blocked);
    drop((leadership, next));
}
