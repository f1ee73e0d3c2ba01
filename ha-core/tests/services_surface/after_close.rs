use ha_core::blob::BlobKey;

use super::*;

/// HA-14: everything that was got before is refused after, by the one kind that says so.
#[tokio::test]
async fn after_close_everything_that_was_got_before_is_refused_as_closed() {
    let seam = Seam::system();
    let store = Embedded::new(seam.clone());
    let options = ServicesOptions::default();
    let services = HaServices::new(Arc::new(store.connect()), memory(&seam), &options, seam).unwrap();
    let leadership = within("leads", services.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let (election, contending) = (
        services.resource_manager_leader_election().unwrap(),
        services.cluster_rest_endpoint_leader_election().unwrap(),
    );
    contending.start_leader_election(Arc::new(Told)).await.unwrap();
    let (retrieval, listening) =
        (services.dispatcher_leader_retriever().unwrap(), services.dispatcher_leader_retriever().unwrap());
    listening.start(Arc::new(Told)).unwrap();
    let mut watch = listening.watch();
    let (plans, results, blobs) = (
        services.execution_plan_store().unwrap(),
        services.job_result_store().unwrap(),
        services.blob_store().unwrap(),
    );
    let (started, factory) = (leadership.execution_plan_store(), services.checkpoint_recovery_factory().unwrap());
    started.start(Arc::new(Told)).await.unwrap();
    let counter = factory.create_checkpoint_id_counter(&job());
    counter.start().await.unwrap();
    counter.get_and_increment().await.unwrap();
    let checkpoints = recovered(&*factory).await.unwrap();
    let checkpoint = || CompletedCheckpoint::new(1, CheckpointKind::Checkpoint, 0, "state".into());
    let registry = services.running_jobs_registry().unwrap();
    let plan = ExecutionPlan::new(job(), "plan".into());

    within("closed", services.close()).await.unwrap();
    within("closed twice", services.close()).await.unwrap();
    assert!(!leadership.is_valid());
    let result = JobResult::new(job(), JobStatus::Failed);
    let refused = [
        ("campaign", election.campaign().await.map(drop)),
        ("start election", election.start_leader_election(Arc::new(Told)).await),
        ("start retrieval", retrieval.start(Arc::new(Told))),
        ("guarded", leadership.guarded(Ok).await.map(drop)),
        ("put plan", started.put_execution_plan(&plan).await),
        ("recover plan", started.recover_execution_plan(&job()).await.map(drop)),
        ("remove plan", started.global_cleanup(&job()).await),
        ("list plans", plans.job_ids().await.map(drop)),
        ("count", counter.get_and_increment().await.map(drop)),
        ("read count", counter.get().await.map(drop)),
        ("end count", counter.shutdown(JobStatus::Finished).await),
        ("add checkpoint", checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint()).await.map(drop)),
        ("recover checkpoints", recovered(&*factory).await.map(drop)),
        ("create result", results.create_dirty_result(&result).await),
        ("clean result", results.mark_result_as_clean(&job()).await),
        ("has result", results.has_job_result_entry(&job()).await.map(drop)),
        ("results", results.dirty_results().await.map(drop)),
        ("put blob", blobs.put(&job(), chunks_of("x".into())).await.map(drop)),
        ("get blob", blobs.get(&job(), &BlobKey::of(b"x")).await.map(drop)),
        ("delete blobs", blobs.delete_all(&job()).await),
        ("status", registry.job_scheduling_status(&job()).await.map(drop)),
        ("another store", services.blob_store().map(drop)),
        ("another election", services.dispatcher_leader_election().map(drop)),
        ("another retrieval", services.job_manager_leader_retriever_with_default(&job(), "a:1").map(drop)),
    ];
    for (what, refused) in refused {
        let error = refused.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Closed, "{what}: {error}");
    }
    // What has an answer that is no error gives the one that fits.
    assert!(!contending.has_leadership(Uuid::nil()));
    assert!(contending.confirm_leadership(Uuid::nil(), "a:1").await.is_err());
    within("closing an election is fine", contending.close()).await.unwrap();
    within("so is stopping a retrieval", listening.stop()).await;
    within("the view says why it grows old", async {
        while watch.error().is_none_or(|error| error.kind() != ErrorKind::Closed) {
            watch.view();
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn after_close_client_services_are_refused_as_closed() {
    let seam = Seam::system();
    let backend = Arc::new(Embedded::new(seam.clone()).connect());
    let client = ClientHaServices::new(backend, &ServicesOptions::default(), seam).unwrap();
    let retrieval = client.cluster_rest_endpoint_leader_retriever().unwrap();
    client.close().await.unwrap();
    client.close().await.unwrap();
    assert_eq!(client.cluster_rest_endpoint_leader_retriever().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(retrieval.start(Arc::new(Told)).unwrap_err().kind(), ErrorKind::Closed);
}
