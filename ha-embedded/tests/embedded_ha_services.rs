//! Several services on one store in this process: Flink's EmbeddedHaServicesTest, and what must hold beside it.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

mod told;

use std::sync::Arc;

use ha_core::backend::Name;
use ha_core::election::LeaderElection;
use ha_core::seam::Seam;
use ha_core::{ComponentId, ErrorKind, HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::Embedded;
use told::{Recorder, Told, memory, within};

/// Two processes on one store.
fn two() -> (Embedded, HaServices, HaServices) {
    let seam = Seam::system();
    let store = Embedded::new(seam.clone());
    let services = || {
        let backend = Arc::new(store.connect());
        HaServices::new(backend, memory(&seam), &ServicesOptions::default(), seam.clone()).unwrap()
    };
    let (one, other) = (services(), services());
    (store, one, other)
}

async fn started(election: &Arc<dyn LeaderElection>) -> Arc<Recorder> {
    let contender = Recorder::new();
    election.start_leader_election(Arc::<Recorder>::clone(&contender)).await.unwrap();
    contender
}

/// The session id of the only grant so far.
async fn granted(contender: &Recorder) -> uuid::Uuid {
    match contender.until("granted", |told| !told.is_empty()).await[..] {
        [Told::Granted(session_id)] => session_id,
        ref other => panic!("told {other:?}"),
    }
}

fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

#[tokio::test]
async fn exactly_one_of_two_contenders_leads_and_the_other_when_it_is_gone() {
    let (_store, one, other) = two();
    let first = one.job_manager_leader_election(&job("a")).unwrap();
    let second = other.job_manager_leader_election(&job("a")).unwrap();
    let leader = started(&first).await;
    let leader_id = granted(&leader).await;
    let standby = started(&second).await;
    first.confirm_leadership(leader_id, "one:1").await.unwrap();
    // Given that the second has seen who leads, and so has come to its turn.
    let mut watch = other.job_manager_leader_retriever(&job("a")).unwrap().watch();
    assert_eq!(within("seen", watch.leader()).await.session_id, leader_id);
    assert_eq!(standby.told(), []);
    assert!(first.has_leadership(leader_id) && !second.has_leadership(leader_id));

    within("closed", first.close()).await.unwrap();
    let standby_id = granted(&standby).await;
    assert_ne!(standby_id, leader_id);
    assert_eq!(leader.told(), [Told::Granted(leader_id), Told::Revoked]);
}

/// On latches of their own: the components on one latch are gained and lost together, by design.
#[tokio::test]
async fn elections_of_different_jobs_on_latches_of_their_own_are_independent() {
    let (_store, one, other) = two();
    let latch = |job: &JobId| Name::new(job.as_str()).unwrap();
    let (a, b) = (job("a"), job("b"));
    let election = |services: &HaServices, job: &JobId| {
        services.leader_election_on(&latch(job), ComponentId::job_master(job).unwrap()).unwrap()
    };
    let (one_of_a, other_of_b) = (election(&one, &a), election(&other, &b));
    let (leads_a, leads_b) = (started(&one_of_a).await, started(&other_of_b).await);
    let (id_a, id_b) = (granted(&leads_a).await, granted(&leads_b).await);
    one_of_a.confirm_leadership(id_a, "one:a").await.unwrap();
    other_of_b.confirm_leadership(id_b, "other:b").await.unwrap();
    for (job, address) in [(&a, "one:a"), (&b, "other:b")] {
        for services in [&one, &other] {
            let component = ComponentId::job_master(job).unwrap();
            let mut watch = services.leader_retriever_on(&latch(job), component).unwrap().watch();
            assert_eq!(within("found", watch.leader()).await.address, address);
        }
    }
    within("closed", one_of_a.close()).await.unwrap();
    assert!(other_of_b.has_leadership(id_b), "the end of one is nothing to the other");
    assert_eq!(leads_b.told().len(), 1);
}

#[tokio::test]
async fn retrieval_finds_job_masters_and_the_resource_manager() {
    let (_store, one, other) = two();
    let elections =
        [one.job_manager_leader_election(&job("a")).unwrap(), one.resource_manager_leader_election().unwrap()];
    let retrievals =
        [other.job_manager_leader_retriever(&job("a")).unwrap(), other.resource_manager_leader_retriever().unwrap()];
    for (number, (election, retrieval)) in elections.iter().zip(&retrievals).enumerate() {
        let listener = Recorder::new();
        retrieval.start(Arc::<Recorder>::clone(&listener)).unwrap();
        let contender = started(election).await;
        let (id, address) = (granted(&contender).await, format!("one:{number}"));
        election.confirm_leadership(id, &address).await.unwrap();
        let is_told = |told: &Vec<Told>| {
            let last = told.last();
            matches!(last, Some(Told::Leader(Some(leader))) if leader.session_id == id && leader.address == address)
        };
        listener.until("told who leads", is_told).await;
    }
}

#[tokio::test]
async fn a_listener_that_comes_late_is_told_at_once() {
    let (_store, one, other) = two();
    let leadership = within("leads", one.dispatcher_leader_election().unwrap().campaign()).await.unwrap();
    leadership.publish("one:1").await.unwrap();
    for services in [&one, &other, &one] {
        let (retrieval, listener) = (services.dispatcher_leader_retriever().unwrap(), Recorder::new());
        retrieval.start(Arc::<Recorder>::clone(&listener)).unwrap();
        let told = listener.until("told", |told| !told.is_empty()).await;
        assert!(matches!(&told[..], [Told::Leader(Some(leader))] if leader.address == "one:1"), "{told:?}");
    }
}

/// FLINK-11524: a confirmation that is late must not make the old leader the one that is found.
#[tokio::test]
async fn after_grant_revoke_grant_a_stale_confirmation_is_refused_and_the_new_leader_stays() {
    let (store, one, _other) = two();
    let election = one.dispatcher_leader_election().unwrap();
    let contender = started(&election).await;
    let stale = granted(&contender).await;
    let held = store.sessions().into_iter().find(|session| !session.holds.is_empty()).unwrap();
    store.revoke(&held.id).unwrap();
    let told = contender.until("granted again", |told| told.len() == 3).await;
    let [Told::Granted(_), Told::Revoked, Told::Granted(current)] = told[..] else { panic!("told {told:?}") };
    election.confirm_leadership(current, "new:1").await.unwrap();

    let refused = election.confirm_leadership(stale, "old:1").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotLeader);
    assert!(election.has_leadership(current) && !election.has_leadership(stale));
    let mut watch = one.dispatcher_leader_retriever().unwrap().watch();
    let leader = within("found", watch.leader()).await;
    assert_eq!((leader.address.as_str(), leader.session_id), ("new:1", current));
}

/// A contender that still stands must not make the process that closes lead once more.
#[tokio::test]
async fn closing_the_services_revokes_once_and_lets_the_standby_lead() {
    let (_store, one, other) = two();
    let (election, standing) = (one.dispatcher_leader_election().unwrap(), other.dispatcher_leader_election().unwrap());
    let leader = started(&election).await;
    let id = granted(&leader).await;
    let standby = started(&standing).await;
    within("closed", one.close()).await.unwrap();
    granted(&standby).await;
    leader.until("revoked", |told| told.len() >= 2).await;
    within("its election closed", election.close()).await.unwrap();
    assert_eq!(leader.told(), [Told::Granted(id), Told::Revoked]);
}

/// In Flink, whatever a contender throws ends the whole service.
#[tokio::test]
async fn a_panicking_contender_does_not_end_the_service() {
    let (store, one, _other) = two();
    let (bad_election, good_election) =
        (one.dispatcher_leader_election().unwrap(), one.resource_manager_leader_election().unwrap());
    let bad = Recorder::panicking();
    bad_election.start_leader_election(Arc::<Recorder>::clone(&bad)).await.unwrap();
    let good = started(&good_election).await;
    granted(&good).await;
    bad.until("the bad one is granted", |told| !told.is_empty()).await;
    let held = store.sessions().into_iter().find(|session| !session.holds.is_empty()).unwrap();
    store.revoke(&held.id).unwrap();
    for contender in [&good, &bad] {
        let told = contender.until("granted again", |told| told.len() == 3).await;
        assert!(matches!(told[..], [Told::Granted(_), Told::Revoked, Told::Granted(_)]), "{told:?}");
    }
}
