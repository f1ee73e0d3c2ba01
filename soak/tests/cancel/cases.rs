//! Every public asynchronous function of the services, as something that can be cancelled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::LocalBoxFuture;
use ha_core::backend::{Expect, Mark, Name};
use ha_core::blob::BlobKey;
use ha_core::checkpoint::{DiscardStateOnly, RecoveryClaimMode};
use ha_core::cleanup::{CleanupEnd, CleanupStrategy, OrphanCollector, OrphanOptions, OrphanSweep, ResourceCleaner};
use ha_core::election::{Leadership, StepDown};
use ha_core::inspect::{Depth, Inspector};
use ha_core::record::Body;
use ha_core::retrieval::LeaderView;
use ha_core::seam::Seam;
use ha_core::state::chunks_of;
use ha_core::{
    ClientHaServices, ClientHighAvailabilityServices, Error, HighAvailabilityServices, JobStatus, application_prefix,
    shut_down_after,
};

use super::world::{BLOB, Deaf, OTHER_BLOB, On, World, checkpoint, job, options, plan, result};

pub(crate) type Operation = for<'a> fn(&'a World) -> LocalBoxFuture<'a, Result<(), Error>>;
pub(crate) type Make = fn(On, Seam) -> LocalBoxFuture<'static, World>;

/// What a cancelled operation leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// What was stored stays as it was.
    Nothing,
    /// All that it does, or nothing of it.
    AllOrNothing,
    /// It has several steps, and may stop behind each of them; done again, it is done.
    Steps,
}

/// One operation.
pub(crate) struct Case {
    /// `Type::function`, or `Trait::function`.
    pub(crate) name: &'static str,
    pub(crate) world: Make,
    pub(crate) operation: Operation,
    pub(crate) leaves: Leaves,
    /// Whether it can be called again in the same process.
    pub(crate) again: bool,
}

macro_rules! cases {
    ($($name:literal $world:ident $leaves:ident $again:literal |$w:ident| $body:expr;)*) => {
        vec![$(Case {
            name: $name,
            world: |on, seam| Box::pin(World::$world(on, seam)),
            operation: |$w| Box::pin(async move { $body }),
            leaves: Leaves::$leaves,
            again: $again,
        }),*]
    };
}

const A_WHILE: Duration = Duration::from_secs(2);

fn given(w: &World) -> Leadership {
    w.given.borrow_mut().take().expect("a leadership that nobody has taken")
}

/// A record of the application itself.
#[derive(serde::Serialize, serde::Deserialize)]
struct Own {}

impl Body for Own {
    const KIND: &'static str = "own";
}

fn cleaner(w: &World) -> Result<ResourceCleaner, Error> {
    let soon = CleanupStrategy::FixedDelay { delay: Duration::from_millis(1), attempts: None };
    ResourceCleaner::of(&w.opened().leadership, soon)
}

fn operator(w: &World) -> Result<StepDown, Error> {
    StepDown::new(w.operator(), &options(), w.seam.clone())
}

fn inspector(w: &World) -> Result<Inspector, Error> {
    Inspector::new(w.operator(), w.storage.clone(), &options(), w.seam.clone())
}

pub(crate) fn elections() -> Vec<Case> {
    cases! {
        "LeaderElection::campaign" vacant Nothing true |w| w.election.campaign().await.map(drop);
        "LeaderElection::start_leader_election" vacant Nothing false
            |w| w.election.start_leader_election(Arc::new(Deaf)).await;
        "LeaderElection::confirm_leadership" vacant Nothing false |w| {
            w.election.start_leader_election(Arc::new(Deaf)).await?;
            // Whether it leads yet or not: confirming is refused, and that is an answer.
            drop(w.election.confirm_leadership(uuid::Uuid::from_u128(1), "one:1").await);
            w.election.close().await
        };
        "LeaderElection::close" vacant Nothing true |w| w.election.close().await;
        "Leadership::publish" leading Nothing true |w| w.opened().leadership.publish("two:1").await;
        "Leadership::resign" giving Nothing false |w| given(w).resign().await;
        "Leadership::lost" leading Nothing true |w| {
            w.seam.timeout(A_WHILE, w.opened().leadership.lost()).await;
            Ok(())
        };
        "Grant::lost" leading Nothing true |w| {
            w.seam.timeout(A_WHILE, w.opened().leadership.grant().lost()).await;
            Ok(())
        };
        "Leadership::run" leading Nothing true |w| {
            let counter = Arc::clone(&w.opened().counter);
            w.opened().leadership.run(async move { counter.get().await }).await;
            Ok(())
        };
        "Leadership::raise_format" leading Nothing true |w| w.opened().leadership.raise_format(1).await;
        "Leadership::guarded" leading AllOrNothing true |w| {
            let key = application_prefix().key(&Name::new("shard")?);
            w.opened().leadership.guarded(|draft| draft.put(key, Expect::Absent, &Own {})).await.map(drop)
        };
        "StepDown::ask" giving Nothing true |w| {
            operator(w)?.ask(None, Duration::ZERO, A_WHILE).await.map(drop)
        };
        "StepDown::force" giving Nothing true |w| operator(w)?.force(None, A_WHILE).await.map(drop);
        "StepDown::withdraw" giving Nothing true |w| operator(w)?.withdraw(None).await;
        "LeaderRetrieval::stop" leading Nothing true |w| {
            let retrieval = w.process.services.dispatcher_leader_retriever()?;
            retrieval.start(Arc::new(Deaf))?;
            retrieval.stop().await;
            Ok(())
        };
        "LeaderWatch::changed" leading Nothing true |w| {
            let mut watch = w.process.services.dispatcher_leader_retriever()?.watch();
            while !matches!(watch.view(), LeaderView::Leader(_)) {
                watch.changed().await;
            }
            Ok(())
        };
        "LeaderWatch::leader" leading Nothing true |w| {
            w.process.services.dispatcher_leader_retriever()?.watch().leader().await;
            Ok(())
        };
        "ClientHighAvailabilityServices::close" leading Nothing true |w| {
            let other = w.process().await;
            let client = ClientHaServices::new(Arc::new(other.line.clone()), &options(), w.seam.clone())?;
            let _watch = client.cluster_rest_endpoint_leader_retriever()?.watch();
            client.close().await
        };
        "HighAvailabilityServices::resign" leading Nothing true |w| w.process.services.resign().await;
        "HighAvailabilityServices::close" leading Nothing true |w| w.process.services.close().await;
        "shut_down_after" leading Nothing true |w| {
            let report = shut_down_after(async {}, &w.process.services, &w.seam, Duration::from_secs(10)).await;
            assert!(report.is_complete(), "{report}");
            Ok(())
        };
    }
}

pub(crate) fn stores() -> Vec<Case> {
    cases! {
        "ExecutionPlanStore::start" giving Nothing false |w| {
            let store = w.process.services.execution_plan_store()?;
            store.start(Arc::new(Deaf)).await
        };
        "ExecutionPlanStore::stop" leading Nothing true |w| w.opened().plans.stop().await;
        "ExecutionPlanStore::recover_execution_plan" leading Nothing true
            |w| w.opened().plans.recover_execution_plan(&job()).await.map(|plan| assert!(plan.is_some()));
        "ExecutionPlanStore::put_execution_plan" leading AllOrNothing true
            |w| w.opened().plans.put_execution_plan(&plan("two")).await;
        "ExecutionPlanStore::put_job_resource_requirements" leading AllOrNothing true
            |w| w.opened().plans.put_job_resource_requirements(&job(), serde_json::json!({"slots": 2})).await;
        "ExecutionPlanStore::job_ids" leading Nothing true
            |w| w.opened().plans.job_ids().await.map(|jobs| assert_eq!(jobs, [job()]));
        "ExecutionPlanStore::global_cleanup" leading AllOrNothing true
            |w| w.opened().plans.global_cleanup(&job()).await;
        "ExecutionPlanStore::local_cleanup" leading Nothing true |w| w.opened().plans.local_cleanup(&job()).await;
        "CheckpointIdCounter::start" leading Nothing true |w| {
            w.opened().factory.create_checkpoint_id_counter(&job()).start().await
        };
        "CheckpointIdCounter::shutdown" leading AllOrNothing true
            |w| w.opened().counter.shutdown(JobStatus::Finished).await;
        "CheckpointIdCounter::get_and_increment" leading AllOrNothing true
            |w| w.opened().counter.get_and_increment().await.map(|id| assert!(id >= 2, "{id} was given before"));
        "CheckpointIdCounter::get" leading Nothing true
            |w| w.opened().counter.get().await.map(|next| assert_eq!(next, 2));
        "CheckpointIdCounter::get_last" leading Nothing true
            |w| w.opened().counter.get_last().await.map(|last| assert_eq!(last, 1));
        "CheckpointIdCounter::set_count" leading AllOrNothing true |w| w.opened().counter.set_count(10).await;
        "CompletedCheckpointStore::add_checkpoint_and_subsume_oldest_one" leading AllOrNothing true
            |w| w.opened().checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint(2)).await.map(drop);
        "CompletedCheckpointStore::get_all_checkpoints" leading Nothing true
            |w| w.opened().checkpoints.get_all_checkpoints().await.map(|all| assert_eq!(all.len(), 1));
        "CompletedCheckpointStore::get_latest_checkpoint" leading Nothing true
            |w| w.opened().checkpoints.get_latest_checkpoint().await.map(|latest| assert!(latest.is_some()));
        "CompletedCheckpointStore::get_latest_checkpoint_id" leading Nothing true
            |w| w.opened().checkpoints.get_latest_checkpoint_id().await.map(|id| assert_eq!(id, 1));
        "CompletedCheckpointStore::number_of_retained_checkpoints" leading Nothing true
            |w| w.opened().checkpoints.number_of_retained_checkpoints().await.map(|count| assert_eq!(count, 1));
        "CompletedCheckpointStore::discards_settled" leading Steps true |w| {
            w.opened().checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint(2)).await?;
            w.opened().checkpoints.discards_settled().await;
            Ok(())
        };
        "CompletedCheckpointStore::shutdown" leading Steps true
            |w| w.opened().checkpoints.shutdown(JobStatus::Finished).await;
        "CheckpointRecoveryFactory::create_recovered_completed_checkpoint_store" leading Nothing true |w| {
            let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
            let factory = &w.opened().factory;
            factory.create_recovered_completed_checkpoint_store(&job(), 1, mode, discarder).await.map(drop)
        };
        "JobResultStore::create_dirty_result" leading AllOrNothing true
            |w| w.opened().results.create_dirty_result(&result()).await;
        "JobResultStore::mark_result_as_clean" ended AllOrNothing true
            |w| w.opened().results.mark_result_as_clean(&job()).await;
        "JobResultStore::has_job_result_entry" ended Nothing true
            |w| w.opened().results.has_job_result_entry(&job()).await.map(|has| assert!(has));
        "JobResultStore::has_dirty_job_result_entry" ended Nothing true
            |w| w.opened().results.has_dirty_job_result_entry(&job()).await.map(|has| assert!(has));
        "JobResultStore::has_clean_job_result_entry" ended Nothing true
            |w| w.opened().results.has_clean_job_result_entry(&job()).await.map(|has| assert!(!has));
        "JobResultStore::dirty_results" ended Nothing true
            |w| w.opened().results.dirty_results().await.map(|all| assert_eq!(all.results.len(), 1));
        "RunningJobsRegistry::job_scheduling_status" ended Nothing true
            |w| w.process.services.running_jobs_registry()?.job_scheduling_status(&job()).await.map(drop);
        "BlobStore::put" leading AllOrNothing true
            |w| w.opened().blobs.put(&job(), chunks_of(OTHER_BLOB.into())).await.map(drop);
        "BlobStore::get" leading Nothing true |w| {
            let chunks = w.opened().blobs.get(&job(), &BlobKey::of(BLOB.as_bytes())).await?;
            let chunks: Vec<Bytes> = chunks.try_collect().await?;
            assert_eq!(chunks.concat(), BLOB.as_bytes());
            Ok(())
        };
        "BlobStore::delete" leading AllOrNothing true
            |w| w.opened().blobs.delete(&job(), &BlobKey::of(BLOB.as_bytes())).await;
        "BlobStore::delete_all" leading Steps true |w| w.opened().blobs.delete_all(&job()).await;
    }
}

pub(crate) fn endings() -> Vec<Case> {
    cases! {
        "HighAvailabilityServices::close_with_optional_clean" leading Steps false
            |w| w.process.services.close_with_optional_clean(ha_core::Closing::CleanUpAllData).await;
        "HighAvailabilityServices::cleanup_all_data" leading Steps true
            |w| w.process.services.cleanup_all_data().await;
        "HighAvailabilityServices::global_cleanup" ended Steps true
            |w| w.process.services.global_cleanup(&job()).await;
        "HighAvailabilityServices::local_cleanup" ended Nothing true
            |w| w.process.services.local_cleanup(&job()).await;
        "ResourceCleaner::clean_up" ended Steps true |w| {
            assert_eq!(cleaner(w)?.clean_up(&result()).await, CleanupEnd::Clean);
            Ok(())
        };
        "ResourceCleaner::clean_up_dirty_results" ended Nothing true
            |w| cleaner(w)?.clean_up_dirty_results().await.map(drop);
        "DirtyCleanup::finished" ended Steps true |w| {
            let mut left = cleaner(w)?.clean_up_dirty_results().await?;
            assert!(left.finished().await.iter().all(|(_, end)| *end == CleanupEnd::Clean));
            Ok(())
        };
        "OrphanCollector::find" leading Nothing true
            |w| OrphanCollector::of(&w.opened().leadership, OrphanOptions::default()).find().await.map(drop);
        "OrphanCollector::collect" leading Nothing true
            |w| OrphanCollector::of(&w.opened().leadership, OrphanOptions::default()).collect().await.map(drop);
        "OrphanSweep::find" leading Nothing true |w| sweep(w)?.find().await.map(drop);
        "OrphanSweep::collect" leading Nothing true |w| sweep(w)?.collect().await.map(drop);
        "StateStorage::write" leading Nothing true |w| w.storage.write(&[], "more".into()).await.map(drop);
        "StateStorage::write_chunks" leading Nothing true
            |w| w.storage.write_chunks(&[Name::new("folder")?], chunks_of("more".into())).await.map(drop);
        "StateStorage::read" leading Nothing true
            |w| w.storage.read(&w.state).await.map(|bytes| assert_eq!(bytes, "state"));
        "StateStorage::read_chunks" leading Nothing true |w| {
            let chunks: Vec<Bytes> = w.storage.read_chunks(&w.state).await?.try_collect().await?;
            assert_eq!(chunks.concat(), b"state");
            Ok(())
        };
        "StateStorage::seems_whole" leading Nothing true
            |w| w.storage.seems_whole(&w.state).await.map(|whole| assert!(whole));
        "StateStorage::modified_unix_ms" leading Nothing true |w| w.storage.modified_unix_ms(&w.state).await.map(drop);
        "StateStorage::discard" leading Nothing true |w| w.storage.discard(&w.state).await;
        "Inspector::contents" leading Nothing true |w| inspector(w)?.contents().await.map(drop);
        "Inspector::contents_of" leading Nothing true |w| inspector(w)?.contents_of(&job()).await.map(drop);
        "Inspector::leaders" leading Nothing true |w| inspector(w)?.leaders().await.map(drop);
        "Inspector::orphans" leading Nothing true |w| inspector(w)?.orphans().await.map(drop);
        "Inspector::format" leading Nothing true |w| inspector(w)?.format().await.map(drop);
        "Inspector::changed" leading Nothing true |w| inspector(w)?.changed(None, &Mark::UNSEEN).await;
        "Inspector::verify" leading Nothing true |w| {
            let inspector = inspector(w)?;
            let contents = inspector.contents().await?;
            inspector.verify(&contents, Depth::Checksum, |_| {}).await.map(drop)
        };
        "clusters" leading Nothing true |w| ha_core::inspect::clusters(&*w.operator(), "flink").await.map(drop);
        "HaServices::cluster_format" leading Nothing true |w| w.process.services.cluster_format().await.map(drop);
    }
}

fn sweep(w: &World) -> Result<OrphanSweep, Error> {
    OrphanSweep::new(w.operator(), &w.storage, &options(), OrphanOptions::default(), w.seam.clone())
}
