//! The counter of checkpoint ids.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Fault, Leader, Rig, assert_deposed, job, poll_and_drop};
use ha_core::checkpoint::{CHECKPOINT_ID_MAX, CheckpointIdCounter, DefaultCheckpointIdCounter};
use ha_core::writer::Writer;
use ha_core::{ErrorKind, JobStatus};

const KEY: &str = "jobs/job/checkpoint_id_counter";

async fn counter_by(writer: Writer) -> DefaultCheckpointIdCounter {
    let counter = DefaultCheckpointIdCounter::new(&job("job"), writer);
    counter.start().await.unwrap();
    counter
}

async fn counter(leader: &Leader) -> DefaultCheckpointIdCounter {
    counter_by(leader.writer.clone()).await
}

/// CC-01, CC-02.
#[tokio::test]
async fn ids_begin_with_one_and_follow_each_other() {
    let rig = Rig::new();
    let counter = counter(&rig.lead().await).await;
    assert_eq!((counter.get().await.unwrap(), counter.get_last().await.unwrap()), (1, 0));
    for id in 1..=5 {
        assert_eq!(counter.get_and_increment().await.unwrap(), id);
        assert_eq!((counter.get().await.unwrap(), counter.get_last().await.unwrap()), (id + 1, id));
    }
    assert_eq!(rig.keys("jobs").await, [KEY]);
}

#[tokio::test]
async fn a_step_is_one_commit_and_reads_nothing_but_the_first_time() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = counter(&leader).await;
    counter.get_and_increment().await.unwrap();
    let before = (leader.backend.reads.load(Ordering::SeqCst), leader.backend.commits.load(Ordering::SeqCst));
    for _ in 0..10 {
        counter.get_and_increment().await.unwrap();
    }
    let after = (leader.backend.reads.load(Ordering::SeqCst), leader.backend.commits.load(Ordering::SeqCst));
    assert_eq!(after, (before.0, before.1 + 10));
}

/// CC-03, with two instances that compete for the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_callers_get_dense_and_unique_ids() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counters = [Arc::new(counter(&leader).await), Arc::new(counter(&leader).await)];
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let counter = Arc::clone(&counters[n % 2]);
            #[expect(clippy::disallowed_methods, reason = "the test awaits the task itself")]
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for _ in 0..128 {
                    ids.push(counter.get_and_increment().await.unwrap());
                }
                ids
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        let ids = task.await.unwrap();
        assert!(ids.is_sorted(), "the ids of one caller grow");
        all.extend(ids);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=8 * 128).collect::<Vec<u64>>());
    assert_eq!(counters[0].get().await.unwrap(), 8 * 128 + 1);
}

/// CC-04, CC-10.
#[tokio::test]
async fn the_count_can_be_set_forward_and_never_back() {
    let rig = Rig::new();
    let counter = counter(&rig.lead().await).await;
    counter.set_count(100).await.unwrap();
    assert_eq!((counter.get().await.unwrap(), counter.get_and_increment().await.unwrap()), (100, 100));
    counter.set_count(101).await.unwrap();
    let error = counter.set_count(100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("100") && text.contains("101") && text.contains(KEY), "{text}");
    assert_eq!(counter.get().await.unwrap(), 101);
    for impossible in [0, CHECKPOINT_ID_MAX + 1, u64::MAX] {
        assert_eq!(counter.set_count(impossible).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn the_last_id_is_followed_by_an_error_and_not_by_a_wrap() {
    let rig = Rig::new();
    let counter = counter(&rig.lead().await).await;
    counter.set_count(CHECKPOINT_ID_MAX - 1).await.unwrap();
    assert_eq!(counter.get_and_increment().await.unwrap(), CHECKPOINT_ID_MAX - 1);
    for _ in 0..2 {
        assert_eq!(counter.get_and_increment().await.unwrap_err().kind(), ErrorKind::Exhausted);
    }
    assert_eq!(counter.get().await.unwrap(), CHECKPOINT_ID_MAX);
}

/// CC-05 to CC-07, CC-11 to CC-13.
#[tokio::test]
async fn only_a_globally_terminal_shutdown_removes_the_counter_and_any_may_be_repeated() {
    for status in [JobStatus::Suspended, JobStatus::Running] {
        let rig = Rig::new();
        let counter = counter(&rig.lead().await).await;
        counter.get_and_increment().await.unwrap();
        for _ in 0..2 {
            counter.shutdown(status).await.unwrap();
        }
        assert_eq!(rig.keys("jobs").await, [KEY], "{status}");
        counter.start().await.unwrap();
        assert_eq!(counter.get_and_increment().await.unwrap(), 2);
    }
    for status in [JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed] {
        let rig = Rig::new();
        let counter = counter(&rig.lead().await).await;
        counter.get_and_increment().await.unwrap();
        for _ in 0..2 {
            counter.shutdown(status).await.unwrap();
            assert_eq!(rig.keys("jobs").await, [""; 0], "{status}");
        }
    }
}

/// CC-08, CC-14.
#[tokio::test]
async fn a_failed_shutdown_fails_loudly_and_succeeds_when_repeated() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = counter(&leader).await;
    counter.get_and_increment().await.unwrap();
    leader.backend.set_down(true);
    assert_eq!(counter.shutdown(JobStatus::Finished).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(rig.keys("jobs").await, [KEY]);
    leader.backend.set_down(false);
    counter.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!(rig.keys("jobs").await, [""; 0]);
}

/// CC-09.
#[tokio::test]
async fn a_later_leader_goes_on_where_the_former_stopped() {
    let rig = Rig::new();
    let first = rig.lead().await;
    counter(&first).await.get_and_increment().await.unwrap();
    let second = rig.depose(&first).await;
    assert_eq!(counter(&second).await.get_and_increment().await.unwrap(), 2);
}

/// CC-15, CC-17: Flink ignores the second in silence; here it is an error.
#[tokio::test]
async fn every_write_of_a_deposed_leader_is_refused_and_changes_nothing() {
    let rig = Rig::new();
    let first = rig.lead().await;
    // One for each write: the first that is fenced tells the whole process.
    let deposed = counter(&first).await;
    deposed.get_and_increment().await.unwrap();
    let second = rig.depose(&first).await;
    let successor = counter(&second).await;
    successor.set_count(10).await.unwrap();
    let contents = rig.contents("jobs").await;
    assert_eq!(deposed.get_and_increment().await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_deposed(deposed.get_and_increment().await);
    assert_deposed(deposed.set_count(50).await);
    assert_deposed(deposed.shutdown(JobStatus::Finished).await);
    assert_eq!(rig.contents("jobs").await, contents);
    assert_eq!(successor.get_and_increment().await.unwrap(), 10);
}

#[tokio::test]
async fn the_first_write_of_a_deposed_leader_is_fenced_whichever_it_is() {
    for write in 0..2 {
        let rig = Rig::new();
        let first = rig.lead().await;
        let deposed = counter(&first).await;
        deposed.get_and_increment().await.unwrap();
        let second = rig.depose(&first).await;
        counter(&second).await.get_and_increment().await.unwrap();
        let contents = rig.contents("jobs").await;
        let error = match write {
            0 => deposed.set_count(50).await.unwrap_err(),
            _ => deposed.shutdown(JobStatus::Finished).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Fenced);
        assert_eq!(rig.contents("jobs").await, contents);
    }
}

/// CC-16, FLINK-14091: no answer from memory, and a way back.
#[tokio::test]
async fn nothing_is_answered_from_memory_while_the_store_is_away_and_all_works_afterwards() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = counter(&leader).await;
    counter.get_and_increment().await.unwrap();
    leader.backend.set_down(true);
    assert_eq!(counter.get().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(counter.get_last().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(counter.get_and_increment().await.unwrap_err().kind(), ErrorKind::Unavailable);
    leader.backend.set_down(false);
    assert_eq!(counter.get_and_increment().await.unwrap(), 2);
}

#[tokio::test]
async fn a_lost_answer_is_found_out_and_costs_no_id() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = counter(&leader).await;
    for id in 1..=6 {
        leader.backend.next_commit(if id % 2 == 0 { Fault::After } else { Fault::Lost });
        assert_eq!(counter.get_and_increment().await.unwrap(), id);
    }
}

#[tokio::test]
async fn after_an_unknown_outcome_an_id_may_be_skipped_and_none_is_given_twice() {
    for (fault, next) in [(Fault::After, 3), (Fault::Lost, 2), (Fault::Before, 2)] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let counter = counter_by(leader.hasty()).await;
        assert_eq!(counter.get_and_increment().await.unwrap(), 1);
        leader.backend.next_commit(fault);
        let error = counter.get_and_increment().await.unwrap_err();
        assert_eq!(error.may_have_applied(), fault != Fault::Before);
        assert_eq!(counter.get_and_increment().await.unwrap(), next, "{fault:?}");
        assert_eq!(counter.get_and_increment().await.unwrap(), next + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_step_that_was_dropped_after_it_was_sent_never_gives_its_id_twice() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = counter(&leader).await;
    for round in 0..10 {
        let id = counter.get_and_increment().await.unwrap();
        assert_eq!(id, 1 + 2 * round);
        leader.backend.next_commit(Fault::Hang);
        assert!(poll_and_drop(counter.get_and_increment()).is_none());
    }
}

#[tokio::test]
async fn what_is_no_counter_is_an_error_that_names_it_and_is_left_alone() {
    let newer = r#"{"format":99,"shape":"new"}"#;
    let zero = |next: u64| {
        let id = "0".repeat(32);
        let kind = "checkpoint_id_counter";
        format!(r#"{{"format":1,"kind":"{kind}","write_id":"{id}","epoch":1,"body":{{"next":{next}}}}}"#)
    };
    let cases = [
        ("garbage".to_owned(), ErrorKind::Corrupt),
        (String::new(), ErrorKind::Corrupt),
        (newer.to_owned(), ErrorKind::NewerFormat),
        (zero(0), ErrorKind::Corrupt),
        (zero(u64::MAX), ErrorKind::Corrupt),
    ];
    for (value, kind) in cases {
        let rig = Rig::new();
        let counter = counter(&rig.lead().await).await;
        rig.tamper(KEY, Some(&value));
        let errors = [
            counter.get().await.unwrap_err(),
            counter.get_and_increment().await.unwrap_err(),
            counter.set_count(5).await.unwrap_err(),
            counter.shutdown(JobStatus::Finished).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(KEY), "{error}");
        }
        assert_eq!(rig.contents("jobs").await[0].1, value.as_bytes());
    }
}

#[tokio::test]
async fn nothing_works_before_the_start_and_starting_twice_is_fine() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = DefaultCheckpointIdCounter::new(&job("job"), leader.writer.clone());
    assert_eq!(counter.get_and_increment().await.unwrap_err().kind(), ErrorKind::IllegalState);
    assert_eq!(counter.get().await.unwrap_err().kind(), ErrorKind::IllegalState);
    assert_eq!(counter.set_count(3).await.unwrap_err().kind(), ErrorKind::IllegalState);
    counter.start().await.unwrap();
    counter.start().await.unwrap();
    assert_eq!(counter.get_and_increment().await.unwrap(), 1);
}
