//! The standalone services: everybody leads at once, leaders are where they are configured.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

mod told;

use std::sync::Arc;

use ha_core::backend::Name;
use ha_core::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::election::{FencingToken, Leadership};
use ha_core::retrieval::{Leader, LeaderView};
use ha_core::seam::Seam;
use ha_core::{
    ClientHighAvailabilityServices, ComponentId, DEFAULT_LEADER_ID, ErrorKind, HighAvailabilityServices,
    HighAvailabilityServicesFactory, JobId, JobStatus, ServicesOptions, ServicesSetup,
};
use ha_embedded::standalone::{
    StandaloneClientHaServices, StandaloneHaServices, StandaloneOptions, StandaloneServicesFactory, TOKEN_MAX,
};
use told::{Recorder, Told, memory, within};

fn options() -> StandaloneOptions {
    StandaloneOptions::default()
        .with_address(ComponentId::resource_manager(), "rm:1")
        .with_address(ComponentId::dispatcher(), "dispatcher:2")
        .with_address(ComponentId::rest_server(), "http://rest:3")
}

fn services(standalone: &StandaloneOptions) -> StandaloneHaServices {
    let seam = Seam::system();
    StandaloneHaServices::new(standalone, memory(&seam), &ServicesOptions::default(), seam).unwrap()
}

fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

/// The counter of a job, started, under that leadership.
async fn counter(leadership: &Leadership) -> Arc<dyn CheckpointIdCounter> {
    let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job("a"));
    counter.start().await.unwrap();
    counter
}

/// The configured leader at that address.
fn fixed(address: &str) -> Leader {
    Leader { address: address.into(), session_id: DEFAULT_LEADER_ID, token: FencingToken::new(0) }
}

/// StandaloneLeaderElectionTest: granted with the default id, and revoked when it is closed.
#[tokio::test]
async fn every_contender_is_granted_at_once_under_the_default_id_and_revoked_on_close() {
    let services = services(&options());
    let mut contenders = Vec::new();
    for component in
        [ComponentId::dispatcher(), ComponentId::rest_server(), ComponentId::job_master(&job("a")).unwrap()]
    {
        let (election, contender) = (services.leader_election(component).unwrap(), Recorder::new());
        election.start_leader_election(Arc::<Recorder>::clone(&contender)).await.unwrap();
        contenders.push((election, contender));
    }
    for (election, contender) in &contenders {
        let told = contender.until("granted", |told| !told.is_empty()).await;
        assert_eq!(told, [Told::Granted(DEFAULT_LEADER_ID)]);
        assert!(election.has_leadership(DEFAULT_LEADER_ID));
        assert!(!election.has_leadership(uuid::Uuid::max()));
        within("confirmed", election.confirm_leadership(DEFAULT_LEADER_ID, "here:1")).await.unwrap();
    }
    let (election, first) = contenders.remove(0);
    within("closed", election.close()).await.unwrap();
    assert_eq!(first.told(), [Told::Granted(DEFAULT_LEADER_ID), Told::Revoked]);
    assert!(!election.has_leadership(DEFAULT_LEADER_ID));

    let others = |contenders: &[(_, Arc<Recorder>)], count| {
        contenders.iter().all(|(_, contender)| contender.told().len() == count)
    };
    assert!(others(&contenders, 1), "the other components go on");
    within("services closed", services.close()).await.unwrap();
    for (election, contender) in &contenders {
        let told = contender.until("revoked", |told| told.len() == 2).await;
        assert_eq!(told[1], Told::Revoked);
        assert!(!election.has_leadership(DEFAULT_LEADER_ID));
    }
}

/// Two processes that run at a time both lead: that is what no election means.
#[tokio::test]
async fn two_services_do_not_compete_and_share_nothing() {
    let (one, other) = (services(&options()), services(&options()));
    let first = within("one leads", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    let second = within("the other leads", other.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    assert!(first.is_valid() && second.is_valid());
    assert_eq!(counter(&first).await.get_and_increment().await.unwrap(), 1);
    assert_eq!(counter(&second).await.get_and_increment().await.unwrap(), 1);
}

#[tokio::test]
async fn a_leadership_has_the_default_id_an_endless_deadline_and_a_token_that_grows() {
    let services = services(&StandaloneOptions { tokens_above: Some(41), ..options() });
    let election = services.dispatcher_leader_election().unwrap();
    let mut last = FencingToken::new(41);
    for _ in 0..3 {
        let leadership = within("leads", election.campaign()).await.unwrap();
        assert_eq!(leadership.session_id(), DEFAULT_LEADER_ID);
        assert_eq!(leadership.valid_until(), ha_core::seam::Deadline::NEVER);
        assert!(leadership.token() > last, "{} after {last}", leadership.token());
        last = leadership.token();
        within("resigned", leadership.resign()).await.unwrap();
    }
}

/// A store of its own and a session id that never changes: fencing is all that is left, and enough.
#[tokio::test]
async fn what_was_got_under_an_earlier_leadership_is_refused_though_the_session_id_is_the_same() {
    let services = services(&options());
    let election = services.dispatcher_leader_election().unwrap();
    let first = within("leads", election.campaign()).await.unwrap();
    let stale = counter(&first).await;
    assert_eq!(stale.get_and_increment().await.unwrap(), 1);
    within("resigned", first.resign()).await.unwrap();
    let second = within("leads again", election.campaign()).await.unwrap();
    let refused = stale.get_and_increment().await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::NotLeader | ErrorKind::Fenced), "{refused}");
    assert_eq!(counter(&second).await.get_and_increment().await.unwrap(), 2);
}

#[tokio::test]
async fn tokens_of_a_later_run_are_greater_than_those_of_an_earlier_one() {
    let seam = Seam::system();
    let before = seam.unix_ms();
    let first = services(&options());
    let first = within("leads", first.dispatcher_leader_election().unwrap().campaign()).await.unwrap().token();
    assert!(first.epoch() > before);
    // Given a clock that has gone on, as it has when a process is started again.
    within("the clock goes on", async {
        while seam.unix_ms() <= first.epoch() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let second = services(&options());
    let second = within("leads", second.dispatcher_leader_election().unwrap().campaign()).await.unwrap().token();
    assert!(second > first);
}

#[tokio::test]
async fn a_retrieval_tells_the_configured_address_once_whoever_leads_here() {
    let services = services(&options());
    let leadership = within("leads", services.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    leadership.publish("elsewhere:9").await.unwrap();
    let cases = [
        (services.resource_manager_leader_retriever().unwrap(), "rm:1"),
        (services.dispatcher_leader_retriever().unwrap(), "dispatcher:2"),
        (services.cluster_rest_endpoint_leader_retriever().unwrap(), "http://rest:3"),
        (services.web_monitor_leader_retriever().unwrap(), "http://rest:3"),
        (services.job_manager_leader_retriever_with_default(&job("a"), "master:4").unwrap(), "master:4"),
    ];
    for (retrieval, address) in cases {
        let mut watch = retrieval.watch();
        assert_eq!(watch.view(), LeaderView::Leader(fixed(address)), "known without any waiting");
        assert_eq!((watch.age(), watch.error()), (std::time::Duration::ZERO, None));
        let listener = Recorder::new();
        retrieval.start(Arc::<Recorder>::clone(&listener)).unwrap();
        assert_eq!(retrieval.start(Recorder::new()).unwrap_err().kind(), ErrorKind::IllegalState);
        listener.until("told", |told| !told.is_empty()).await;
        within("stopped", retrieval.stop()).await;
        assert_eq!(listener.told(), [Told::Leader(Some(fixed(address)))]);
    }
    let configured = options().with_address(ComponentId::job_master(&job("a")).unwrap(), "known:5");
    let services = self::services(&configured);
    let mut watch = services.job_manager_leader_retriever_with_default(&job("a"), "master:4").unwrap().watch();
    assert_eq!(watch.view(), LeaderView::Leader(fixed("known:5")), "what is configured counts more than a default");
}

#[tokio::test]
async fn a_component_without_an_address_is_found_where_it_publishes_itself() {
    let services = services(&StandaloneOptions::default());
    let mut watch = services.job_manager_leader_retriever(&job("a")).unwrap().watch();
    let leadership =
        within("leads", services.job_manager_leader_election(&job("a")).unwrap().campaign()).await.unwrap();
    leadership.publish("here:1").await.unwrap();
    let leader = within("found", watch.leader()).await;
    let expected = Leader { address: "here:1".into(), session_id: DEFAULT_LEADER_ID, token: leadership.token() };
    assert_eq!(leader, expected);

    let latch = Name::new("shard-1").unwrap();
    let shard = services.leader_election_on(&latch, ComponentId::dispatcher()).unwrap();
    let shard = within("leads the shard", shard.campaign()).await.unwrap();
    shard.publish("shard:1").await.unwrap();
    let mut watch = services.leader_retriever_on(&latch, ComponentId::dispatcher()).unwrap().watch();
    assert_eq!(within("found", watch.leader()).await.address, "shard:1");
}

/// CP-27 the other way round: Flink's standalone store throws a suspended job's checkpoints away.
#[tokio::test]
async fn what_a_suspended_job_left_is_recovered_by_the_next_leader_in_the_same_services() {
    let services = services(&options());
    let election = services.job_manager_leader_election(&job("a")).unwrap();
    let first = within("leads", election.campaign()).await.unwrap();
    let recover = |factory: Arc<dyn ha_core::checkpoint::CheckpointRecoveryFactory>| async move {
        let discarder = Arc::new(DiscardStateOnly);
        let claim = RecoveryClaimMode::default();
        factory.create_recovered_completed_checkpoint_store(&job("a"), 1, claim, discarder).await.unwrap()
    };
    let store = recover(first.checkpoint_recovery_factory()).await;
    let checkpoint = CompletedCheckpoint::new(7, CheckpointKind::Checkpoint, 0, "state".into());
    store.add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
    store.shutdown(JobStatus::Suspended).await.unwrap();
    within("resigned", first.resign()).await.unwrap();

    let second = within("leads again", election.campaign()).await.unwrap();
    let store = recover(second.checkpoint_recovery_factory()).await;
    let latest = store.get_latest_checkpoint().await.unwrap().unwrap();
    assert_eq!((latest.id, &latest.state[..]), (7, &b"state"[..]));
    store.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!(recover(second.checkpoint_recovery_factory()).await.get_latest_checkpoint_id().await.unwrap(), 0);
}

#[tokio::test]
async fn a_panicking_contender_and_a_panicking_listener_disturb_nobody_else() {
    let services = services(&options());
    let (bad, good) = (Recorder::panicking(), Recorder::new());
    let bad_election = services.dispatcher_leader_election().unwrap();
    bad_election.start_leader_election(Arc::<Recorder>::clone(&bad)).await.unwrap();
    bad.until("the bad one is granted", |told| !told.is_empty()).await;
    let retrieval = services.dispatcher_leader_retriever().unwrap();
    let listener = Recorder::panicking();
    retrieval.start(Arc::<Recorder>::clone(&listener)).unwrap();
    listener.until("told", |told| !told.is_empty()).await;

    let election = services.resource_manager_leader_election().unwrap();
    election.start_leader_election(Arc::<Recorder>::clone(&good)).await.unwrap();
    good.until("the good one is granted", |told| !told.is_empty()).await;
    within("closed", services.close()).await.unwrap();
    let told = good.until("revoked", |told| told.len() == 2).await;
    assert_eq!(told, [Told::Granted(DEFAULT_LEADER_ID), Told::Revoked]);
}

#[tokio::test]
async fn after_close_nothing_is_handed_out_and_no_listener_is_taken_on() {
    let services = services(&options());
    let (dispatcher, election) =
        (services.dispatcher_leader_retriever().unwrap(), services.dispatcher_leader_election().unwrap());
    within("closed", services.close()).await.unwrap();
    within("closed twice", services.close()).await.unwrap();
    let refused = [
        services.dispatcher_leader_election().map(drop).unwrap_err(),
        services.dispatcher_leader_retriever().map(drop).unwrap_err(),
        services.job_manager_leader_retriever(&job("a")).map(drop).unwrap_err(),
        services.job_manager_leader_retriever_with_default(&job("a"), "a:1").map(drop).unwrap_err(),
        services.execution_plan_store().map(drop).unwrap_err(),
        dispatcher.start(Recorder::new()).unwrap_err(),
        election.campaign().await.map(drop).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
}

#[tokio::test]
async fn a_client_is_told_where_the_rest_endpoint_is_and_refused_if_nobody_knows() {
    let seam = Seam::system();
    let client = StandaloneClientHaServices::new(&options(), seam.clone()).unwrap();
    let retrieval = client.cluster_rest_endpoint_leader_retriever().unwrap();
    assert_eq!(retrieval.watch().view(), LeaderView::Leader(fixed("http://rest:3")));
    client.close().await.unwrap();
    assert_eq!(client.cluster_rest_endpoint_leader_retriever().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(retrieval.start(Recorder::new()).unwrap_err().kind(), ErrorKind::Closed);

    let error = StandaloneClientHaServices::new(&StandaloneOptions::default(), seam).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("rest_server"), "{error}");
}

#[tokio::test]
async fn the_factory_takes_addresses_from_settings_and_refuses_what_does_not_fit() {
    let seam = Seam::system();
    let settings = [("leader-address.rest_server", "http://rest:3"), ("tokens-above", "100")];
    let setup = ServicesSetup::new(seam.clone()).with_settings(settings.into_iter().collect());
    let services = StandaloneServicesFactory.create_ha_services(&setup, memory(&seam)).await.unwrap();
    let leadership = within("leads", services.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    assert_eq!(leadership.token(), FencingToken::new(101));
    for mut watch in [
        services.cluster_rest_endpoint_leader_retriever().unwrap().watch(),
        StandaloneServicesFactory
            .create_client_ha_services(&setup)
            .await
            .unwrap()
            .cluster_rest_endpoint_leader_retriever()
            .unwrap()
            .watch(),
    ] {
        assert_eq!(watch.view(), LeaderView::Leader(fixed("http://rest:3")));
    }
    let too_far = (TOKEN_MAX + 1).to_string();
    for (name, value) in [
        ("leader-address.dispatcher", ""),
        ("leader-address.a/b", "a:1"),
        ("leader-address.latch", "a:1"),
        ("leader-adress.dispatcher", "a:1"),
        ("tokens-above", "-1"),
        ("tokens-above", &too_far),
    ] {
        let setup = ServicesSetup::new(seam.clone()).with_settings([(name, value)].into_iter().collect());
        let error = StandaloneServicesFactory.create_ha_services(&setup, memory(&seam)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}={value}: {error}");
    }
    let services = self::services(&options());
    for bad in ["", &"x".repeat(5000)] {
        let refused = services.job_manager_leader_retriever_with_default(&job("a"), bad).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
}
