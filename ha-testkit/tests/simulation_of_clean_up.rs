//! Clean-up, orphans and everything that writes at once, under seeded faults: leaders are deposed without notice, answers
//! are lost, copies arrive late and twice, calls are dropped half-way, state is slow. At every moment each pointer
//! leads to its state, and what is nobody's to delete stays.

#![allow(clippy::unwrap_used, reason = "the helpers of this test are test code too")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use ha_core::backend::{Backend, Prefix, SessionOptions};
use ha_core::blob::BlobKey;
use ha_core::checkpoint::{
    CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::cleanup::{CleanupStrategy, OrphanCollector, OrphanOptions, ResourceCleaner};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::seam::{Seam, Task};
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, JobStatus, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::faults::{Fault, Faulty, FaultyStates, Plan, StateCall, StateFault, StatePlan};
use ha_testkit::sim;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

const FOREIGN: [&str; 4] =
    ["default/blob/a/notes.txt", "other/blob/a/1-00000000-x", "default/blob/a/keep-1-x", "default/x/y/z"];

#[derive(Debug)]
struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

#[derive(Clone)]
struct World {
    seam: Seam,
    store: Embedded,
    states: Arc<InMemory>,
    plans: Arc<Mutex<Vec<Plan>>>,
    /// States of savepoints that a pointer was ever seen to lead to: users' own.
    savepoints: Arc<Mutex<BTreeSet<String>>>,
    done: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    collected: Arc<AtomicUsize>,
}

impl World {
    fn services(&self, plan: Plan) -> HaServices {
        self.plans.lock().unwrap().push(plan.clone());
        let faulty = Faulty::new(Arc::new(self.store.connect()), self.seam.clone(), plan);
        let slow = StatePlan::none();
        for call in [StateCall::Put, StateCall::Get, StateCall::Delete] {
            slow.always(call, StateFault::Delay(Duration::from_millis(7)));
        }
        let inner: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&self.states);
        let states = FaultyStates::new(inner, self.seam.clone(), slow);
        let storage = StateStorage::over(Arc::new(states), "memory:///", self.seam.clone());
        let session = SessionOptions { silence: Duration::from_secs(2), label: "storm".into() };
        let options = ServicesOptions { session, ..ServicesOptions::default() };
        HaServices::new(Arc::new(faulty), storage, &options, self.seam.clone()).unwrap()
    }

    fn chance(&self, one_in: u64) -> bool {
        self.seam.random_u64().is_multiple_of(one_in)
    }

    async fn pause(&self, around_ms: u64) {
        self.seam.sleep(self.seam.jittered(Duration::from_millis(around_ms))).await;
    }

    /// Nothing else runs between the look at the pointers and that at the states: both are in memory.
    async fn check(&self, when: &str) {
        let entries = self.store.connect().list(&Prefix::root()).await.unwrap().entries;
        for entry in entries {
            let Ok(record) = serde_json::from_slice::<serde_json::Value>(&entry.value) else { continue };
            let Some(uri) = record["body"]["state"]["uri"].as_str() else { continue };
            let path = Path::from(uri.strip_prefix("memory:///").unwrap());
            let found = self.states.head(&path).await;
            assert!(found.is_ok(), "{when}: {} leads to nothing: {uri}", entry.key);
            if record["body"]["kind"] == "savepoint" {
                self.savepoints.lock().unwrap().insert(path.to_string());
            }
        }
        let savepoints: Vec<String> = self.savepoints.lock().unwrap().iter().cloned().collect();
        for path in savepoints.iter().map(String::as_str).chain(FOREIGN) {
            assert!(self.states.head(&Path::from(path)).await.is_ok(), "{when}: {path} was nobody's to delete");
        }
    }

    async fn one_step(&self, leadership: &Leadership, tools: &Tools, services: &HaServices) -> Result<(), Error> {
        let job = JobId::new(if self.chance(2) { "a" } else { "b" })?;
        let content = format!("content {}", self.seam.random_u64() % 3);
        match self.seam.random_u64() % 16 {
            0..3 => tools.plans.put_execution_plan(&ExecutionPlan::new(job, content.into())).await,
            3 => tools.plans.recover_execution_plan(&job).await.map(drop),
            4 => tools.plans.put_job_resource_requirements(&job, self.seam.random_u64().into()).await,
            5 => tools.plans.global_cleanup(&job).await,
            6..9 => leadership.blob_store().put(&job, chunks_of(content.into())).await.map(drop),
            9 => leadership.blob_store().delete(&job, &BlobKey::of(content.as_bytes())).await,
            10 => leadership.blob_store().delete_all(&job).await,
            11 | 12 => {
                let kind = if self.chance(3) { CheckpointKind::Savepoint } else { CheckpointKind::Checkpoint };
                let id = 1 + self.seam.random_u64() % 1_000_000;
                let checkpoint = CompletedCheckpoint::new(id, kind, 0, content.into());
                tools.checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint).await.map(drop)
            }
            13 => match self.chance(3) {
                true => services.cleanup_all_data().await,
                false => services.global_cleanup(&job).await,
            },
            14 => {
                let options = OrphanOptions { orphans_max: 3, ..OrphanOptions::default() };
                let collected = OrphanCollector::of(leadership, options).collect().await?;
                self.collected.fetch_add(collected.deleted.len(), Ordering::SeqCst);
                Ok(())
            }
            _ => {
                let result = JobResult::new(job, JobStatus::Finished);
                let created = leadership.job_result_store().create_dirty_result(&result).await;
                drop(ResourceCleaner::of(leadership, CleanupStrategy::None)?.clean_up(&result).await);
                created
            }
        }
    }

    async fn work(&self, leadership: &Leadership, services: &HaServices) {
        let Ok(tools) = Tools::of(leadership).await else { return };
        let worker = async || {
            for _ in 0..12 {
                let step = self.one_step(leadership, &tools, services);
                let ended = match self.chance(3) {
                    // Dropped half-way.
                    true => self.seam.timeout(Duration::from_millis(self.seam.random_u64() % 30), step).await,
                    false => Some(step.await),
                };
                let counter = if matches!(ended, Some(Ok(()))) { &self.done } else { &self.failed };
                counter.fetch_add(1, Ordering::SeqCst);
                self.check("after a step").await;
                if matches!(&ended, Some(Err(error)) if error.kind() == ErrorKind::NotLeader) {
                    return;
                }
                self.pause(10).await;
            }
        };
        futures_util::future::join3(worker(), worker(), worker()).await;
    }

    async fn compete(&self, services: HaServices) {
        for _ in 0..8 {
            let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
            self.work(&leadership, &services).await;
            match self.chance(2) {
                true => drop(leadership.resign().await),
                false => drop(leadership),
            }
            self.pause(60).await;
        }
        services.close().await.unwrap();
    }

    async fn disturb(&self) {
        loop {
            self.pause(120).await;
            let sessions = self.store.sessions();
            if !sessions.is_empty() && self.chance(3) {
                let at = self.seam.random_u64() as usize % sessions.len();
                drop(self.store.revoke(&sessions[at].id));
            }
            if self.chance(2) {
                let plans = self.plans.lock().unwrap().clone();
                for plan in plans {
                    plan.deliver_late().await;
                    self.check("after late copies").await;
                }
            }
        }
    }

    fn go(&self, future: impl Future<Output = ()> + Send + 'static) -> (tokio::sync::oneshot::Receiver<()>, Task) {
        let (done, over) = tokio::sync::oneshot::channel();
        let task = self.seam.spawn(async move {
            future.await;
            // Nobody may be waiting.
            let _ = done.send(());
        });
        (over, task)
    }
}

/// What one leadership works with.
struct Tools {
    plans: Arc<dyn ExecutionPlanStore>,
    checkpoints: Arc<dyn CompletedCheckpointStore>,
}

impl Tools {
    async fn of(leadership: &Leadership) -> Result<Self, Error> {
        let plans = leadership.execution_plan_store();
        plans.start(Arc::new(Deaf)).await?;
        let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
        let factory = leadership.checkpoint_recovery_factory();
        let job = JobId::new("a")?;
        let checkpoints = factory.create_recovered_completed_checkpoint_store(&job, 2, mode, discarder).await?;
        Ok(Self { plans, checkpoints })
    }
}

/// One run: how many steps were done, failed, and how many orphans were collected.
fn run(seed: u64) -> (usize, usize, usize) {
    sim::run(seed, async |seam| {
        let world = World {
            store: Embedded::new(seam.clone()),
            seam,
            states: Arc::default(),
            plans: Arc::default(),
            savepoints: Arc::default(),
            done: Arc::default(),
            failed: Arc::default(),
            collected: Arc::default(),
        };
        for path in FOREIGN {
            world.states.put(&Path::from(path), "foreign".into()).await.unwrap();
        }
        let faults = [
            Fault::FailAfter,
            Fault::LostBefore,
            Fault::FailBefore,
            Fault::DeliveredTwice,
            Fault::DeliveredLate,
            Fault::Delay(Duration::from_millis(40)),
        ];
        let competitors: Vec<_> = (1_u64..=3)
            .map(|part| {
                let services = world.services(Plan::seeded(seed ^ (part << 32), 5, faults));
                let world = world.clone();
                world.clone().go(async move { world.compete(services).await })
            })
            .collect();
        let disturbing = world.clone();
        let (disturbed, disturbance) = world.go(async move { disturbing.disturb().await });
        for (over, _task) in competitors {
            over.await.expect("a competitor that does not panic");
        }
        assert!(!disturbance.is_finished(), "it only ends by a panic");
        drop((disturbance, disturbed));
        // Whatever is still on its way arrives now.
        let plans = world.plans.lock().unwrap().clone();
        for plan in plans {
            plan.deliver_late().await;
        }
        world.check("at the end").await;
        settle(&world).await;
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&world.done), count(&world.failed), count(&world.collected))
    })
}

/// A last leader collects what is left behind, and then nothing is but what pointers lead to, and what is kept.
async fn settle(world: &World) {
    let services = world.services(Plan::none());
    let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let collector = OrphanCollector::of(&leadership, OrphanOptions::default());
    drop(collector.collect().await.unwrap());
    world.check("after the last collection").await;
    services.cleanup_all_data().await.unwrap();
    world.check("after the last clean-up").await;
    let mut left = world.states.list(None);
    while let Some(state) = left.next().await {
        let path = state.unwrap().location.to_string();
        assert!(path.contains("/keep-") || FOREIGN.contains(&path.as_str()), "{path} is left behind");
    }
}

#[test]
fn no_pointer_ever_leads_to_nothing_whatever_the_seed_brings() {
    let (mut done, mut failed, mut collected) = (0, 0, 0);
    for seed in 0..6 {
        let ended = run(seed);
        (done, failed, collected) = (done + ended.0, failed + ended.1, collected + ended.2);
    }
    assert!(done > 500 && failed > 150 && collected > 10, "hardly anything has happened: {done} {failed} {collected}");
}
