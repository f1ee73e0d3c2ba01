//! Tasks at the other end of a connection: the output stays right, and nobody takes a word of an older term.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::sync::Arc;

use ha::seam::Seam;
use serde_json::{Value, json};
use stream_processor::term::Term;
use stream_processor::wire::{Frames, send};
use stream_processor::{Engine, ErrorKind, Fence, Link, Placement, Slot, SourceSpec, serve};
use tokio::net::{TcpListener, TcpStream};

/// Both ends of a connection.
async fn ends() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (here, there) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (here.unwrap(), there.unwrap().0)
}

fn link(stream: TcpStream) -> Link {
    Link::new(stream, Seam::system())
}

fn attempt(token: u64) -> u64 {
    Term { token, restart: 0 }.attempt().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_on_links_has_the_output_of_one_pass_also_after_a_worker_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan(directory.path(), SourceSpec::Generator { seed: 11, events: 40_000 });
    let fence = Arc::new(Fence::default());
    let mut restored = None;
    for token in 1..=2 {
        let (mut placement, mut workers) = (Placement::default(), tokio::task::JoinSet::new());
        for _task in 0..plan.parallelism {
            let (here, there) = ends().await;
            placement.slots.push_back(Slot::Elsewhere(link(here)));
            let fence = Arc::clone(&fence);
            workers.spawn(async move { serve(link(there), &fence).await });
        }
        let engine = Engine::start_on(placement, plan.clone(), restored.take(), attempt(token)).await.unwrap();
        engine.progress().first_event().await;
        let first = common::within_deadline("the first barrier", engine.trigger(token * 10)).await.unwrap();
        if token == 1 {
            // Kept, and never committed; then the workers are gone. A fast engine may have come to the end of its
            // input by then, which is no error; but never to another snapshot, for which each of them has to answer.
            restored = Some(first);
            workers.shutdown().await;
            let next = engine.trigger(token * 10 + 1);
            let gone = common::within_deadline("the loss of a worker", next).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::Elsewhere, "{gone}");
            continue;
        }
        engine.commit(&first).await.unwrap();
        common::within_deadline("the end of the input", engine.finished()).await.unwrap();
        let last = engine.trigger(token * 10 + 1).await.unwrap();
        assert!(last.is_final());
        engine.commit(&last).await.unwrap();
        drop(engine);
        while let Some(ended) = workers.join_next().await {
            ended.unwrap().expect("a task whose engine is dropped ends well");
        }
    }
    assert!(common::judge(&plan).is_exact());
}

#[tokio::test]
async fn a_worker_refuses_the_task_of_an_older_leader() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = common::plan(directory.path(), SourceSpec::Generator { seed: 1, events: 50_000_000 });
    plan.parallelism = 1;
    let (here, there) = ends().await;
    let fence = Fence::default();
    assert!(fence.admit(8));
    let placement = Placement { slots: [Slot::Elsewhere(link(here))].into(), ..Placement::default() };
    let engine = Engine::start_on(placement, plan, None, attempt(7)).await.unwrap();
    let refused = common::within_deadline("the refusal", serve(link(there), &fence)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Superseded, "{refused}");
    let told = common::within_deadline("the news of it", engine.finished()).await.unwrap_err();
    assert!(told.to_string().contains("token 7"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_leaves_a_leader_when_it_has_seen_a_newer_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = common::plan(directory.path(), SourceSpec::Generator { seed: 1, events: 50_000_000 });
    plan.parallelism = 1;
    let (here, there) = ends().await;
    let fence = Arc::new(Fence::default());
    let placement = Placement { slots: [Slot::Elsewhere(link(here))].into(), ..Placement::default() };
    let engine = Engine::start_on(placement, plan, None, attempt(7)).await.unwrap();
    let seen = Arc::clone(&fence);
    let worker = async { serve(link(there), &fence).await };
    let newer = async {
        engine.progress().first_event().await;
        assert!(seen.admit(8));
    };
    let (ended, ()) = common::within_deadline("the worker leaves", async { tokio::join!(worker, newer) }).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Superseded);
    common::within_deadline("the engine fails", engine.finished()).await.unwrap_err();
}

/// What an engine makes of a task that answers its order with these bytes or frames.
async fn answered_by(answer: impl AsyncFnOnce(TcpStream, Value)) -> stream_processor::EngineError {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = common::plan(directory.path(), SourceSpec::Generator { seed: 1, events: 50_000_000 });
    plan.parallelism = 1;
    let (here, mut there) = ends().await;
    let placement = Placement { slots: [Slot::Elsewhere(link(here))].into(), ..Placement::default() };
    let engine = Engine::start_on(placement, plan, None, attempt(7)).await.unwrap();
    let order = {
        let mut frames = Frames::new(&mut there, 1 << 20);
        frames.next::<Value>().await.unwrap().unwrap()
    };
    answer(there, order).await;
    common::within_deadline("the engine gives up", engine.finished()).await.unwrap_err()
}

#[tokio::test]
async fn an_engine_refuses_results_of_an_older_term() {
    let error = answered_by(async |mut stream, order| {
        assert_eq!(order["attempt"], attempt(7));
        let word = json!({"Barrier": {"checkpoint": 1, "windows": {}, "part": null}});
        send(&mut stream, &json!({"attempt": attempt(6), "word": word}), 1 << 20).await.unwrap();
        // Kept open: it must be the answer that ends it.
        std::mem::forget(stream);
    })
    .await;
    assert!(error.to_string().contains(&format!("answers for attempt {}", attempt(6))), "{error}");
}

#[tokio::test]
async fn an_engine_refuses_what_no_task_says() {
    let part = json!({"checkpoint": 1, "task": 5, "attempt": attempt(7), "length": 1, "sha256": "00"});
    let windows = json!({"3": {"key": {"count": 1, "sum": 1, "min": 1, "max": 1}}});
    let words = [
        json!({"Barrier": {"checkpoint": 1, "windows": {}, "part": part}}),
        json!({"Barrier": {"checkpoint": 1, "windows": windows, "part": null}}),
        // Nobody has asked for it.
        json!({"Barrier": {"checkpoint": 1, "windows": {}, "part": null}}),
        json!({"Failed": "the disk is full"}),
        json!("Unheard"),
    ];
    for word in words {
        let error = answered_by(async |mut stream, _| {
            send(&mut stream, &json!({"attempt": attempt(7), "word": word}), 1 << 20).await.unwrap();
            std::mem::forget(stream);
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::Elsewhere, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_refuses_a_second_answer_to_one_barrier() {
    // Fails if answers are counted and not tasks: a snapshot without the windows of one task would be completed.
    let directory = tempfile::tempdir().unwrap();
    let mut plan = common::plan(directory.path(), SourceSpec::Generator { seed: 1, events: 50_000_000 });
    plan.parallelism = 2;
    let (mut placement, mut tasks) = (Placement::default(), Vec::new());
    for _task in 0..plan.parallelism {
        let (here, there) = ends().await;
        placement.slots.push_back(Slot::Elsewhere(link(here)));
        tasks.push(there);
    }
    let engine = Engine::start_on(placement, plan, None, attempt(7)).await.unwrap();
    let [twice, silent] = &mut tasks[..] else { panic!("two tasks") };
    let answers = async {
        let mut frames = Frames::new(&mut *twice, 1 << 20);
        while frames.next::<Value>().await.unwrap().unwrap()["word"]["Message"]["Barrier"].is_null() {}
        let word = json!({"Barrier": {"checkpoint": 1, "windows": {}, "part": null}});
        for _answer in 0..2 {
            send(twice, &json!({"attempt": attempt(7), "word": word}), 1 << 20).await.unwrap();
        }
    };
    // It reads, so that nothing is held up by it, and never answers.
    let mut read = tokio::io::sink();
    let silence = tokio::io::copy(silent, &mut read);
    let snapshot = async {
        tokio::select! {
            biased;
            snapshot = engine.trigger(1) => snapshot,
            _ = silence => unreachable!("the engine keeps the connection"),
        }
    };
    let both = async { tokio::join!(snapshot, answers).0 };
    let error = common::within_deadline("the engine gives up", both).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Elsewhere, "{error}");
}

#[tokio::test]
async fn a_worker_survives_any_bytes() {
    let mut dice = common::Dice::new(5);
    let order = |batch: Value| json!({"attempt": attempt(1), "word": {"Message": {"Batch": batch}}});
    let mut hostile: Vec<Vec<u8>> = (0..50).map(|length| dice.bytes(length)).collect();
    for batch in [
        json!({"keys": "é", "rows": [{"window_start_ms": 0, "value": 1, "key_end": 1}], "watermark_ms": 0}),
        json!({"keys": "a", "rows": [{"window_start_ms": 0, "value": 1, "key_end": 9}], "watermark_ms": 0}),
        json!({"keys": "", "rows": [{"window_start_ms": 0, "value": 1, "key_end": 0}], "watermark_ms": 0}),
    ] {
        let mut bytes = Vec::new();
        send(&mut bytes, &order(batch), 1 << 20).await.unwrap();
        hostile.push(bytes);
    }
    for bytes in hostile {
        let (here, there) = ends().await;
        let (fence, worker) = (Fence::default(), link(there));
        let talk = async {
            let mut here = here;
            // The worker may have closed it after the first bytes.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut here, &bytes).await;
            drop(here);
        };
        let (ended, ()) =
            common::within_deadline("a hostile leader", async { tokio::join!(serve(worker, &fence), talk) }).await;
        assert!(bytes.is_empty() || ended.is_err(), "{bytes:?}");
    }
}
