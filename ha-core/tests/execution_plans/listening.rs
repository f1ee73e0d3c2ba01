use ha_core::backend::{Backend, Prefix};

use super::*;

/// EP-10 to EP-13, EP-22, EP-25.
#[tokio::test]
async fn the_listener_hears_of_others_and_not_of_its_own_store() {
    for hints in [false, true] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        leader.backend.hints.store(hints, Ordering::SeqCst);
        let (one, heard) = started(&rig, &leader).await;
        let (other, _) = started(&rig, &leader).await;
        one.put_execution_plan(&plan("own", "x")).await.unwrap();
        one.global_cleanup(&job("own")).await.unwrap();
        one.put_execution_plan(&plan("kept", "x")).await.unwrap();
        other.put_execution_plan(&plan("theirs", "x")).await.unwrap();
        eventually("the plan of the other is announced", async || heard.added() == ["theirs"]).await;
        // One that this store does not have may go unnoticed; one that it has may not.
        other.global_cleanup(&job("theirs")).await.unwrap();
        other.global_cleanup(&job("kept")).await.unwrap();
        eventually("the removal of our plan is announced", async || heard.removed() == ["kept"]).await;
        assert_eq!(heard.added(), ["theirs"]);
        // It was forgotten: it is somebody else's if it comes back.
        other.put_execution_plan(&plan("kept", "y")).await.unwrap();
        eventually("it is announced as another's", async || heard.added() == ["theirs", "kept"]).await;
        assert_eq!(one.put_execution_plan(&plan("kept", "z")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    }
}

#[tokio::test]
async fn plans_that_were_there_before_the_start_are_announced() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (other, _) = started(&rig, &leader).await;
    other.put_execution_plan(&plan("a", "x")).await.unwrap();
    let (_one, heard) = started(&rig, &leader).await;
    eventually("it is announced", async || heard.added() == ["a"]).await;
}

/// EP-14, EP-15.
#[tokio::test]
async fn nothing_is_heard_after_the_stop_and_all_again_after_another_start() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (one, heard) = started(&rig, &leader).await;
    let (other, other_heard) = started(&rig, &leader).await;
    one.put_execution_plan(&plan("kept", "x")).await.unwrap();
    one.stop().await.unwrap();
    other.put_execution_plan(&plan("theirs", "x")).await.unwrap();
    other.global_cleanup(&job("kept")).await.unwrap();
    // A third store that is told of both shows that the first would have been.
    let (_third, third_heard) = started(&rig, &leader).await;
    eventually("others hear", async || third_heard.added() == ["theirs"]).await;
    eventually("the watch of the stopped store is gone", async || rig.store.waiting() == 2).await;
    assert_eq!((heard.added().len(), heard.removed().len()), (0, 0));
    assert!(other_heard.removed().is_empty());
    one.start(Arc::clone(&heard) as _).await.unwrap();
    eventually("it hears again", async || heard.added() == ["theirs"]).await;
}

#[tokio::test]
async fn the_watch_is_not_deaf_after_errors_and_panics() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    leader.backend.deaf.store(4, Ordering::SeqCst);
    let store = store_by(&rig, leader.writer.clone());
    let heard = Arc::new(Heard { panics: true, ..Heard::default() });
    store.start(Arc::clone(&heard) as _).await.unwrap();
    let (other, _) = started(&rig, &leader).await;
    for name in ["a", "b"] {
        other.put_execution_plan(&plan(name, "x")).await.unwrap();
        eventually("it is announced", async || heard.added().contains(&name.to_owned())).await;
    }
    assert_eq!(leader.backend.deaf.load(Ordering::SeqCst), 0);
}

///
#[tokio::test]
async fn a_store_that_is_dropped_leaves_no_watch_behind() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, heard) = started(&rig, &leader).await;
    eventually("it watches", async || rig.store.waiting() == 1).await;
    drop(store);
    eventually("the watch is gone", async || rig.store.waiting() == 0).await;
    eventually("the listener is let go", async || Arc::strong_count(&heard) == 1).await;
}

/// A removal that is heard of late must not take away what was put since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_put_anew_is_not_forgotten_by_an_old_removal() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (one, heard) = started(&rig, &leader).await;
    for round in 0..200 {
        one.put_execution_plan(&plan("a", "x")).await.unwrap();
        one.put_execution_plan(&plan("a", "y")).await.unwrap();
        one.global_cleanup(&job("a")).await.unwrap();
        one.put_execution_plan(&plan("a", "z")).await.unwrap();
        one.put_execution_plan(&plan("a", "zz")).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert_eq!((heard.added().len(), heard.removed().len()), (0, 0));
}

/// The same without luck: a look brings what was true once, and both its errors are noticed.
#[tokio::test]
async fn old_news_neither_takes_a_plan_away_nor_announces_one_that_is_gone() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    rig.tamper("execution-plans/gone", Some("x"));
    let old = rig.store.connect().list(&Prefix::new(BELOW).unwrap()).await.unwrap();
    rig.tamper("execution-plans/gone", None);
    let (one, heard) = started(&rig, &leader).await;
    one.put_execution_plan(&plan("kept", "x")).await.unwrap();
    // From here on the watch lists what there is, and is shown the old news once.
    leader.backend.hints.store(true, Ordering::SeqCst);
    leader.backend.stale.lock().unwrap().push_back(old);
    rig.tamper("execution-plans/first", Some("x"));
    eventually("the old news is seen", async || leader.backend.stale.lock().unwrap().is_empty()).await;
    rig.tamper("execution-plans/last", Some("x"));
    eventually("the last is announced", async || heard.added().contains(&"last".to_owned())).await;
    assert_eq!((heard.added(), heard.removed()), (vec!["first".to_owned(), "last".to_owned()], vec![]));
    one.put_execution_plan(&plan("kept", "y")).await.unwrap();
    assert_eq!(recovered(&one, "kept").await, "y");
}
