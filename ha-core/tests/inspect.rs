//! What an operator's tool is shown, beside leaders that go on working.
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::sync::Arc;

use ha_core::backend::{Backend, Commit, Expect, Key, Outcome};
use ha_core::checkpoint::{
    CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::cleanup::{OrphanOptions, OrphanSweep};
use ha_core::election::Leadership;
use ha_core::inspect::{Depth, Inspector, ProblemKind, Prospect, clusters};
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::Embedded;

struct World {
    seam: Seam,
    store: Embedded,
    storage: StateStorage,
    options: ServicesOptions,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        Self { store: Embedded::new(seam.clone()), storage, options: ServicesOptions::default(), seam }
    }

    fn services(&self) -> HaServices {
        let backend = Arc::new(self.store.connect());
        HaServices::new(backend, self.storage.clone(), &self.options, self.seam.clone()).unwrap()
    }

    fn inspector(&self) -> Inspector {
        let backend = Arc::new(self.store.connect());
        Inspector::new(backend, self.storage.clone(), &self.options, self.seam.clone()).unwrap()
    }

    fn sweep(&self) -> OrphanSweep {
        let backend = Arc::new(self.store.connect());
        OrphanSweep::new(backend, &self.storage, &self.options, OrphanOptions::default(), self.seam.clone()).unwrap()
    }
}

fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, format!("state {id}").into())
}

async fn checkpoints(leads: &Leadership, job: &JobId, retained: usize) -> Arc<dyn CompletedCheckpointStore> {
    let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    let factory = leads.checkpoint_recovery_factory();
    factory.create_recovered_completed_checkpoint_store(job, retained, mode, discarder).await.unwrap()
}

#[tokio::test]
async fn what_a_leader_replaced_meanwhile_is_not_called_broken() {
    // Fails if a pointer that is gone by now is judged by the state that went with it.
    let world = World::new();
    let services = world.services();
    let leads = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let job = JobId::new("job").unwrap();
    let store = checkpoints(&leads, &job, 1).await;
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
    let inspector = world.inspector();
    let listed = inspector.contents().await.unwrap();
    let old = listed.jobs[&job].latest().unwrap().state.clone();
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(2)).await.unwrap();
    let gone = async {
        while inspector.verify(&listed, Depth::Checksum, |_| ()).await.unwrap().changed == 0 {
            world.seam.sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    world.seam.timeout(std::time::Duration::from_secs(60), gone).await.expect("the subsumed state is deleted");
    for depth in [Depth::Length, Depth::Checksum] {
        let verified = inspector.verify(&listed, depth, |_| ()).await.unwrap();
        assert_eq!((verified.changed, verified.intact, verified.problems.len()), (1, 0, 0), "{old:?}");
        let now = inspector.contents().await.unwrap();
        assert_eq!(inspector.verify(&now, depth, |_| ()).await.unwrap().intact, 1);
    }
}

#[tokio::test]
async fn clusters_are_found_by_what_they_keep_whatever_their_ids_look_like() {
    let world = World::new();
    let backend = world.store.connect();
    let keys = [
        "flink/prod/leader/dispatcher/connection_info",
        "flink/prod/eu/jobs/j/checkpoint_id_counter",
        "flink/jobs/execution-plans/j",
        "flink/x/no-cluster",
        "other/y/formats",
    ];
    for key in keys {
        let put = Commit::new(world.seam.write_id()).put(Key::new(key).unwrap(), Expect::Absent, "{}".into());
        assert!(matches!(backend.commit(&put).await.unwrap(), Outcome::Applied { .. }));
    }
    let found: Vec<String> = clusters(&backend, "flink").await.unwrap().into_iter().collect();
    assert_eq!(found, ["jobs", "prod", "prod/eu"]);
}

#[tokio::test]
async fn hostile_bytes_under_every_key_are_told_and_hide_nothing() {
    let world = World::new();
    let services = world.services();
    let leads = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    leads.publish("here").await.unwrap();
    let backend = world.store.connect();
    let keys = [
        "leader/rest_server/connection_info",
        "leader/step_down",
        "execution-plans/a",
        "jobs/a/checkpoints/0000000000000000001",
        "jobs/a/checkpoints/x",
        "jobs/a/checkpoint_id_counter",
        "blobs/a/x",
        "job-results/a",
    ];
    for (number, key) in keys.iter().enumerate() {
        let key = Key::new(format!("flink/default/{key}")).unwrap();
        let value = ["\u{1b}[2J", "{}", "[[[[", "{\"format\":1}"][number % 4];
        let put = Commit::new(world.seam.write_id()).put(key, Expect::Absent, value.into());
        assert!(matches!(backend.commit(&put).await.unwrap(), Outcome::Applied { .. }));
    }
    let inspector = world.inspector();
    let leaders = inspector.leaders().await.unwrap();
    assert_eq!(leaders.latches[0].components.len(), 1, "the one that can be read");
    assert_eq!(leaders.problems.len(), 2, "{:?}", leaders.problems);
    let contents = inspector.contents().await.unwrap();
    assert_eq!(contents.problems.len(), 6, "{:?}", contents.problems);
    assert!(contents.problems.iter().all(|problem| problem.kind == ProblemKind::Corrupt));
    // What cannot be read may lead to anything.
    assert_eq!(world.sweep().collect().await.unwrap_err().kind(), ha_core::ErrorKind::Corrupt);
}

#[tokio::test]
async fn states_of_the_present_term_and_of_a_vacant_latch_are_left_alone() {
    let world = World::new();
    let services = world.services();
    let leads = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let job = JobId::new("job").unwrap();
    let store = checkpoints(&leads, &job, 9).await;
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
    // An operator removes the pointer by hand: its state is an orphan, of the present term.
    let backend = world.store.connect();
    let key = Key::new("flink/default/jobs/job/checkpoints/0000000000000000001").unwrap();
    let revision = backend.read(&key).await.unwrap().unwrap().revision;
    backend.commit(&Commit::new(world.seam.write_id()).remove(key, revision)).await.unwrap();
    let prospect = async |inspector: Inspector| {
        let found = inspector.orphans().await.unwrap();
        found.iter().map(|one| one.prospect).collect::<Vec<_>>()
    };
    assert_eq!(prospect(world.inspector()).await, [Prospect::MayGetPointer]);
    let swept = world.sweep().collect().await.unwrap();
    assert_eq!((swept.orphans.len(), swept.vacant.len()), (0, 0));
    leads.resign().await.unwrap();
    assert_eq!(prospect(world.inspector()).await, [Prospect::NotKnown]);
    let swept = world.sweep().collect().await.unwrap();
    assert_eq!((swept.orphans.len(), swept.vacant), (0, vec!["leader".to_owned()]));
    let _next = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    assert_eq!(prospect(world.inspector()).await, [Prospect::Lost]);
    assert_eq!(world.sweep().find().await.unwrap().orphans.len(), 1);
    assert_eq!(world.sweep().collect().await.unwrap().orphans.len(), 1);
    assert_eq!(prospect(world.inspector()).await, []);
}
