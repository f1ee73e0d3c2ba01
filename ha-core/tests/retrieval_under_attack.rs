//! Attacks on retrieval, state storage and the in-process backend.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: panicking is how it fails, and threads are what it is about"
)]

mod rigged;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ha_core::backend::{Backend, SessionOptions};
use ha_core::retrieval::{Leader, LeaderRetrievalListener, LeaderView};
use ha_core::seam::Seam;
use ha_core::state::{StateHandle, StateStorage};
use ha_core::{Error, HighAvailabilityServices};
use rigged::{Rigged, services, services_on, store, until, within};

#[test]
fn a_retrieval_whose_runtime_is_gone_does_not_show_the_last_leader_for_ever() {
    let (store, seam) = store();
    let (one, two) = (services(&store, &seam, "one"), services(&store, &seam, "two"));
    let leader = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let follower = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let leadership = leader.block_on(async {
        let leadership = one.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        leadership.publish("one:1").await.unwrap();
        leadership
    });
    let retrieval = two.dispatcher_leader_retriever().unwrap();
    let mut watch = follower.block_on(async {
        let mut watch = retrieval.watch();
        within(&seam, "shown", watch.leader()).await;
        watch
    });
    drop(follower);
    leader.block_on(async {
        leadership.resign().await.unwrap();
        let gone = async {
            while matches!(watch.view(), LeaderView::Leader(_)) {
                watch.changed().await;
            }
        };
        within(&seam, "the old watch stops showing a leader that is gone", gone).await;
        let again = one.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        again.publish("one:2").await.unwrap();
        let mut fresh = two.dispatcher_leader_retriever().unwrap().watch();
        assert_eq!(within(&seam, "a new watch sees", fresh.leader()).await.address, "one:2");
    });
}

#[tokio::test]
async fn a_read_that_never_returns_does_not_make_the_retrieval_deaf() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let (one, two) = (services(&store, &seam, "one"), services_on(backend, &seam, "two"));
    let leadership = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    leadership.publish("one:1").await.unwrap();
    let mut watch = two.dispatcher_leader_retriever().unwrap().watch();
    within(&seam, "shown", watch.leader()).await;
    rig.mute_watch.store(true, Ordering::SeqCst);
    rig.hang_list.store(true, Ordering::SeqCst);
    let gone = async {
        while matches!(watch.view(), LeaderView::Leader(_)) {
            watch.changed().await;
        }
    };
    within(&seam, "unreachable is noticed", gone).await;
    rig.hang_list.store(false, Ordering::SeqCst);
    rig.mute_watch.store(false, Ordering::SeqCst);
    within(&seam, "seen again", watch.leader()).await;
}

/// Panics before it has made a future at all.
struct PanicsAtOnce(AtomicUsize);

impl LeaderRetrievalListener for PanicsAtOnce {
    fn notify_leader<'a, 'b>(&'a self, _: Option<Leader>) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            panic!("the rigged backend panics");
        }
        Box::pin(async {})
    }
    fn handle_error<'a, 'b>(&'a self, _: Error) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_listener_that_panics_before_its_first_await_is_told_of_the_next_leader() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let leadership = within(&seam, "wins", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    leadership.publish("one:1").await.unwrap();
    let retrieval = one.dispatcher_leader_retriever().unwrap();
    let listener = Arc::new(PanicsAtOnce(AtomicUsize::new(0)));
    retrieval.start(Arc::<PanicsAtOnce>::clone(&listener) as Arc<dyn LeaderRetrievalListener>).unwrap();
    until(&seam, "told once", || listener.0.load(Ordering::SeqCst) == 1).await;
    leadership.publish("one:2").await.unwrap();
    until(&seam, "told again", || listener.0.load(Ordering::SeqCst) == 2).await;
    retrieval.stop().await;
}

#[tokio::test]
async fn nothing_is_left_behind_by_cycles_of_campaigns_watches_and_resignations() {
    let (store, seam) = store();
    let one = services(&store, &seam, "one");
    let two = services(&store, &seam, "two");
    for _ in 0..100 {
        let election = one.dispatcher_leader_election().unwrap();
        let rival = two.dispatcher_leader_election().unwrap();
        let leadership = within(&seam, "wins", election.campaign()).await.unwrap();
        leadership.publish("x").await.unwrap();
        let mut watch = two.dispatcher_leader_retriever().unwrap().watch();
        within(&seam, "seen", watch.leader()).await;
        assert!(seam.timeout(Duration::from_millis(1), rival.campaign()).await.is_none());
        drop(leadership);
    }
    until(&seam, "all sessions end", || store.sessions().is_empty()).await;
    drop((one, two));
    until(&seam, "all waiters end", || store.waiting() == 0).await;
}

#[test]
fn no_session_is_opened_on_a_handle_that_was_closed() {
    for _ in 0..20_000 {
        let seam = Seam::system();
        let store = ha_embedded::Embedded::new(seam);
        let handle = Arc::new(store.connect());
        let other = Arc::clone(&handle);
        let go = Arc::new(std::sync::Barrier::new(2));
        let gone = Arc::clone(&go);
        let closing = std::thread::Builder::new()
            .spawn(move || {
                gone.wait();
                other.crash();
            })
            .unwrap();
        go.wait();
        let options = SessionOptions::default();
        let opening = handle.open_session(&options);
        let session = futures_util::FutureExt::now_or_never(opening).expect("does not wait");
        closing.join().unwrap();
        assert!(store.sessions().is_empty(), "a session on a closed handle: {session:?}");
    }
}

#[tokio::test]
async fn errors_about_the_state_storage_do_not_tell_the_credentials_in_its_url() {
    for url in ["s3://AKIA:hunter2@bucket/x", "file://me:hunter2@host/x", "s3://AKIA:hunter2@bu cket:x/"] {
        let error = StateStorage::open(url, Seam::system()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn an_encoded_or_odd_path_does_not_lead_out_of_the_state_storage() {
    let outer = tempfile::tempdir().unwrap();
    std::fs::write(outer.path().join("secret"), b"secret").unwrap();
    let inner = outer.path().join("in side");
    std::fs::create_dir(&inner).unwrap();
    let url = url::Url::from_directory_path(&inner).unwrap();
    let storage = StateStorage::open(url.as_str(), Seam::system()).unwrap();
    let good = storage.write(&[], "secret".into()).await.unwrap();
    assert_eq!(storage.read(&good).await.unwrap(), "secret");
    for path in ["%2e%2e/secret", "..%2fsecret", "%2E%2E%2Fsecret", "a/%2e%2e/%2e%2e/secret", "..\\secret", "\0", "a\n"]
    {
        let handle = StateHandle { uri: format!("{}{path}", storage.base()), ..good.clone() };
        assert!(storage.read(&handle).await.is_err(), "{path}");
        let _ = storage.discard(&handle).await;
    }
    assert_eq!(std::fs::read(outer.path().join("secret")).unwrap(), b"secret");
}
