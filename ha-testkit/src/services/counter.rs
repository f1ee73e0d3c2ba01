//! Ids of checkpoints: CC.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use ha_core::checkpoint::{CHECKPOINT_ID_MAX, CheckpointIdCounter};
use ha_core::election::Leadership;
use ha_core::{ErrorKind, HighAvailabilityServices, JobStatus};

use super::Cluster;
use super::cluster::{assert_deposed, assert_kind, job};
use crate::faults::{Call, Fault};

const KEY: &str = "jobs/job/checkpoint_id_counter";

async fn counter(leadership: &Leadership) -> Arc<dyn CheckpointIdCounter> {
    let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job("job"));
    counter.start().await.unwrap();
    counter
}

pub async fn cc_01_the_first_id_is_one(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let counter = counter(&leadership).await;
    assert_eq!((counter.get().await.unwrap(), counter.get_last().await.unwrap()), (1, 0));
    assert_eq!(counter.get_and_increment().await.unwrap(), 1);
    assert_kind(ErrorKind::Invalid, counter.set_count(0).await);
}

pub async fn cc_02_ids_come_one_after_another(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let counter = counter(&leadership).await;
    for expected in 1..=10 {
        assert_eq!(counter.get_and_increment().await.unwrap(), expected);
    }
    assert_eq!(counter.get().await.unwrap(), 11);
}

pub async fn cc_03_concurrent_callers_get_ids_without_gap_or_double(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let one = counter(&leadership).await;
    let ids = join_all((0..8).map(|_| {
        let counter = Arc::clone(&one);
        c.go(async move {
            let mut ids = Vec::new();
            for _ in 0..16 {
                ids.push(counter.get_and_increment().await.expect("an id"));
            }
            ids
        })
    }))
    .await;
    let all: BTreeSet<u64> = ids.iter().flatten().copied().collect();
    assert_eq!(all, (1..=128).collect(), "dense and unique");
    assert!(ids.iter().all(|ids| ids.windows(2).all(|pair| pair[0] < pair[1])));
    assert_eq!(one.get().await.unwrap(), 129);
}

pub async fn cc_04_the_count_is_set_forward_alone(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let counter = counter(&leadership).await;
    counter.set_count(100).await.unwrap();
    assert_eq!(counter.get_and_increment().await.unwrap(), 100);
    assert_kind(ErrorKind::Invalid, counter.set_count(100).await);
    assert_kind(ErrorKind::Invalid, counter.set_count(CHECKPOINT_ID_MAX + 1).await);
    assert_eq!(counter.get_and_increment().await.unwrap(), 101, "a refused call changes nothing");
    counter.set_count(CHECKPOINT_ID_MAX).await.unwrap();
    assert_kind(ErrorKind::Exhausted, counter.get_and_increment().await);
}

pub async fn cc_05_the_end_of_the_job_removes_the_counter(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    for status in [JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed] {
        let counter = counter(&leadership).await;
        assert_eq!(counter.get_and_increment().await.unwrap(), 1);
        counter.shutdown(status).await.unwrap();
        assert_eq!(c.entry(KEY).await, None, "{status}");
    }
}

pub async fn cc_06_suspension_keeps_the_counter(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let suspended = counter(&leadership).await;
    suspended.get_and_increment().await.unwrap();
    suspended.shutdown(JobStatus::Suspended).await.unwrap();
    assert_kind(ErrorKind::IllegalState, suspended.get_and_increment().await);
    let (_next, leads) = c.take_over("next").await;
    assert_eq!(counter(&leads).await.get_and_increment().await.unwrap(), 2, "another leader counts on");
}

pub async fn cc_07_shutting_down_twice_is_fine(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    let counter = counter(&leadership).await;
    counter.get_and_increment().await.unwrap();
    for _ in 0..2 {
        counter.shutdown(JobStatus::Finished).await.unwrap();
    }
}

pub async fn cc_08_a_failed_shutdown_can_be_repeated(c: Cluster) {
    let (leader, leadership) = c.leader("leader").await;
    let counter = counter(&leadership).await;
    counter.get_and_increment().await.unwrap();
    leader.plan.next(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, counter.shutdown(JobStatus::Finished).await);
    assert!(c.entry(KEY).await.is_some());
    counter.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!(c.entry(KEY).await, None);
}

pub async fn cc_09_after_an_outage_it_counts_on(c: Cluster) {
    let (leader, leadership) = c.leader("leader").await;
    let counter = counter(&leadership).await;
    assert_eq!(counter.get_and_increment().await.unwrap(), 1);
    leader.plan.always(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, counter.get_and_increment().await);
    leader.plan.clear();
    assert_eq!(counter.get_and_increment().await.unwrap(), 2, "nothing was applied, and nothing is remembered");
}

pub async fn cc_15_a_deposed_leader_gets_no_id(c: Cluster) {
    let (leader, leadership) = c.leader("leader").await;
    let old = counter(&leadership).await;
    assert_eq!(old.get_and_increment().await.unwrap(), 1);
    leader.line.make_unaware();
    let (_next, leads) = c.take_over("next").await;
    assert_eq!(counter(&leads).await.get_and_increment().await.unwrap(), 2);
    let before = c.everything().await;
    assert_deposed("an id", old.get_and_increment().await);
    assert_deposed("setting the count", old.set_count(1000).await);
    assert_deposed("removing the counter", old.shutdown(JobStatus::Finished).await);
    assert_eq!(c.everything().await, before);
}

pub async fn cc_16_the_count_is_never_answered_from_memory(c: Cluster) {
    let (leader, leadership) = c.leader("leader").await;
    let counter = counter(&leadership).await;
    counter.get_and_increment().await.unwrap();
    leader.plan.next_below(Call::Read, "flink/default/jobs", Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, counter.get().await);
    assert_eq!(counter.get().await.unwrap(), 2);
}

pub async fn cc_17_without_leadership_nothing_is_counted(c: Cluster) {
    let (_leader, leadership) = c.leader("leader").await;
    counter(&leadership).await.get_and_increment().await.unwrap();
    let other = c.process("other").await;
    let counter = other.services.checkpoint_recovery_factory().unwrap().create_checkpoint_id_counter(&job("job"));
    counter.start().await.unwrap();
    assert_eq!(counter.get().await.unwrap(), 2, "reading needs no leadership");
    assert_kind(ErrorKind::NotLeader, counter.get_and_increment().await);
    assert_kind(ErrorKind::NotLeader, counter.set_count(1000).await);
    assert_eq!(counter.get().await.unwrap(), 2);
}
