//! What many leaderships leave behind: X-39.

use std::sync::Arc;
use std::time::Duration;

use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha_core::cleanup::{CleanupEnd, CleanupStrategy, OrphanCollector, OrphanOptions, ResourceCleaner};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::state::chunks_of;
use ha_core::{HighAvailabilityServices, JobStatus};

use super::Cluster;
use super::cleanup::put_on_its_way;
use super::cluster::job;
use super::plans::{plan, started};

/// What grows with the number of leaderships shows after a few as it would after a day: keys and files are
/// counted, and one too many for each life is enough.
const LIVES: u64 = 8;
/// The lives that it takes until everything that stands for good is there.
const FIRST: u64 = 2;
const RETAINED: usize = 2;
const CHECKPOINTS: u64 = 5;

/// Runs a job to its end, up to its dirty result.
async fn work(leadership: &Leadership, name: &str) -> JobResult {
    leadership.publish(&format!("{name}:1")).await.unwrap();
    let (plans, _) = started(leadership).await;
    plans.put_execution_plan(&plan(name, name)).await.unwrap();
    leadership.blob_store().put(&job(name), chunks_of(format!("artefact of {name}").into())).await.unwrap();
    let factory = leadership.checkpoint_recovery_factory();
    let counter = factory.create_checkpoint_id_counter(&job(name));
    counter.start().await.unwrap();
    let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
    let store =
        factory.create_recovered_completed_checkpoint_store(&job(name), RETAINED, mode, discarder).await.unwrap();
    for _ in 0..CHECKPOINTS {
        let id = counter.get_and_increment().await.unwrap();
        let checkpoint = CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, id, format!("{name} {id}").into());
        store.add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
    }
    let result = JobResult::new(job(name), JobStatus::Finished);
    leadership.job_result_store().create_dirty_result(&result).await.unwrap();
    result
}

fn cleaner(leadership: &Leadership) -> ResourceCleaner {
    let soon = CleanupStrategy::FixedDelay { delay: Duration::from_millis(1), attempts: None };
    ResourceCleaner::of(leadership, soon).unwrap()
}

/// Finishes what the life before has left.
async fn take_over(c: &Cluster, leadership: &Leadership) {
    let mut left = cleaner(leadership).clean_up_dirty_results().await.unwrap();
    let ends = c.in_time("what was left is cleaned up", left.finished()).await;
    assert!(ends.iter().all(|(_, end)| *end == CleanupEnd::Clean), "{ends:?}");
    let collected = OrphanCollector::of(leadership, OrphanOptions::default()).collect().await.unwrap();
    assert!(!collected.may_be_more, "{collected:?}");
}

pub async fn x_39_nothing_grows_with_the_number_of_leaderships(c: Cluster) {
    let (mut stands, mut crashed) = (None, 0);
    for life in 1..=LIVES {
        let (process, leadership) = c.leader(&format!("life-{life}")).await;
        take_over(&c, &leadership).await;
        // Between two lives nothing but what stands for good: no job is left, and no state.
        let keys: Vec<String> = c.everything().await.0.into_iter().map(|(key, ..)| key).collect();
        c.until_states(0).await;
        match &stands {
            None if life > FIRST => stands = Some(keys),
            None => {}
            Some(stands) => assert_eq!(keys, *stands, "life {life}"),
        }
        let result = work(&leadership, &format!("job-{life}")).await;
        if life % 2 == 0 {
            crashed += 1;
            // With a state whose pointer is never written, and the result still dirty.
            let put = put_on_its_way(&c, &process, &leadership).await;
            process.kill().await;
            drop(put);
            c.in_time("the leadership is over", leadership.lost()).await;
        } else {
            assert_eq!(
                c.in_time("the job is cleaned up", cleaner(&leadership).clean_up(&result)).await,
                CleanupEnd::Clean
            );
            process.services.close().await.unwrap();
        }
    }
    assert!(stands.is_some() && crashed > 1);
}
