//! The services under seeded faults: two processes compete, publish, count and add checkpoints on
//! one store, while sessions are revoked, expired, cut off and healed, and answers are lost.

#![allow(clippy::unwrap_used, reason = "the helpers of this test are test code too")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::checkpoint::{
    CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::election::Leadership;
use ha_core::retrieval::LeaderView;
use ha_core::seam::{Seam, Task};
use ha_core::state::StateStorage;
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::faults::{Fault, Faulty, Plan};
use ha_testkit::sim::{self, History};

const SILENCE: Duration = Duration::from_secs(2);
const ROUNDS: usize = 8;
const STEPS: usize = 5;

/// What was acknowledged: to whom, under which epoch, which id.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    who: &'static str,
    epoch: u64,
    id: u64,
}

/// What a run has come to.
#[derive(Debug, Default, Clone)]
struct Ledger {
    /// The terms in the order in which their leaders learned of them.
    terms: Vec<(u64, &'static str)>,
    ids: Vec<Acknowledged>,
    checkpoints: Vec<Acknowledged>,
    /// The tokens that the observer was shown.
    shown: Vec<u64>,
    /// Checkpoints that a process which came after all found.
    recovered: Vec<u64>,
}

/// One simulated world.
#[derive(Clone)]
struct World {
    seam: Seam,
    store: Embedded,
    storage: StateStorage,
    history: History,
    ledger: Arc<Mutex<Ledger>>,
}

impl World {
    fn new(seam: Seam) -> Self {
        Self {
            store: Embedded::new(seam.clone()),
            storage: StateStorage::open("memory://", seam.clone()).unwrap(),
            history: History::new(seam.clone()),
            ledger: Arc::default(),
            seam,
        }
    }

    fn services(&self, name: &str, plan: Plan) -> HaServices {
        let faulty = Faulty::new(Arc::new(self.store.connect()), self.seam.clone(), plan);
        let session = SessionOptions { silence: SILENCE, label: name.into() };
        let options = ServicesOptions { session, ..ServicesOptions::default() };
        HaServices::new(Arc::new(faulty), self.storage.clone(), &options, self.seam.clone()).unwrap()
    }

    async fn pause(&self, around_ms: u64) {
        self.seam.sleep(self.seam.jittered(Duration::from_millis(around_ms))).await;
    }

    /// Leads again and again, and works while it does.
    async fn compete(&self, who: &'static str, services: HaServices) {
        for _ in 0..ROUNDS {
            let leadership = match services.dispatcher_leader_election().unwrap().campaign().await {
                Ok(leadership) => leadership,
                Err(error) => panic!("{who} cannot contend: {error:?}"),
            };
            let epoch = leadership.token().epoch();
            self.history.note(who, format_args!("leads in epoch {epoch}"));
            self.ledger.lock().unwrap().terms.push((epoch, who));
            match self.work(who, &leadership).await {
                Ok(()) => self.history.note(who, "has done its work"),
                Err(error) => self.history.note(who, format_args!("stops: {error}")),
            }
            let resigned = leadership.resign().await;
            self.history.note(who, format_args!("resigns: {}", resigned.is_ok()));
            self.pause(300).await;
        }
        self.history.note(who, format_args!("closes: {}", services.close().await.is_ok()));
    }

    async fn work(&self, who: &'static str, leadership: &Leadership) -> Result<(), Error> {
        let (job, epoch) = (JobId::new("job")?, leadership.token().epoch());
        leadership.publish(&format!("{who}:{epoch}")).await?;
        let factory = leadership.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job);
        counter.start().await?;
        let store = recovered(leadership.checkpoint_recovery_factory().as_ref(), &job).await?;
        for _ in 0..STEPS {
            match counter.get_and_increment().await {
                Ok(id) => {
                    self.history.note(who, format_args!("has id {id}"));
                    self.ledger.lock().unwrap().ids.push(Acknowledged { who, epoch, id });
                    self.add(who, epoch, id, store.as_ref()).await?;
                }
                Err(error) if is_over(&error) => return Err(error),
                Err(error) => self.history.note(who, format_args!("has no id: {error}")),
            }
            self.pause(150).await;
        }
        Ok(())
    }

    async fn add(
        &self,
        who: &'static str,
        epoch: u64,
        id: u64,
        store: &dyn CompletedCheckpointStore,
    ) -> Result<(), Error> {
        let checkpoint = CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, id, format!("state {id}").into());
        match store.add_checkpoint_and_subsume_oldest_one(checkpoint).await {
            Ok(subsumed) => {
                let subsumed = subsumed.map(|checkpoint| checkpoint.id);
                self.history.note(who, format_args!("has added {id}, which subsumes {subsumed:?}"));
                self.ledger.lock().unwrap().checkpoints.push(Acknowledged { who, epoch, id });
            }
            Err(error) if is_over(&error) => return Err(error),
            Err(error) => self.history.note(who, format_args!("has not added {id}: {error}")),
        }
        Ok(())
    }

    /// Follows the leader.
    async fn observe(&self, services: HaServices) {
        let mut watch = services.dispatcher_leader_retriever().unwrap().watch();
        loop {
            let view = watch.changed().await;
            if let LeaderView::Leader(leader) = &view {
                self.ledger.lock().unwrap().shown.push(leader.token.epoch());
            }
            match view {
                LeaderView::Leader(leader) => self.history.note("observer", format_args!("sees {}", leader.address)),
                other => self.history.note("observer", format_args!("sees {other:?}")),
            }
        }
    }

    /// Does to sessions what networks and operators do.
    async fn disturb(&self) {
        loop {
            self.pause(700).await;
            let sessions = self.store.sessions();
            let Ok(count) = u64::try_from(sessions.len()) else { continue };
            if count == 0 {
                continue;
            }
            let at = usize::try_from(self.seam.random_u64() % count).unwrap();
            let id = &sessions[at].id;
            let (what, done) = match self.seam.random_u64() % 5 {
                0 => ("revokes", self.store.revoke(id)),
                1 => ("expires", self.store.expire(id)),
                2 => ("cuts off", self.store.freeze(id)),
                _ => ("heals", self.store.heal(id)),
            };
            self.history.note("chaos", format_args!("{what} {id}: {}", done.is_ok()));
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

fn is_over(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Fenced | ErrorKind::NotLeader)
}

async fn recovered(
    factory: &dyn ha_core::checkpoint::CheckpointRecoveryFactory,
    job: &JobId,
) -> Result<Arc<dyn CompletedCheckpointStore>, Error> {
    let mode = RecoveryClaimMode::NoClaim;
    factory.create_recovered_completed_checkpoint_store(job, 2, mode, Arc::new(DiscardStateOnly)).await
}

/// One run: its history and what it has come to.
fn run(seed: u64) -> (String, Ledger) {
    sim::run(seed, async |seam| {
        let world = World::new(seam);
        let faults = [
            Fault::FailAfter,
            Fault::LostBefore,
            Fault::FailBefore,
            Fault::DeliveredTwice,
            Fault::Delay(Duration::from_millis(400)),
        ];
        let competitors: Vec<_> = ["one", "other"]
            .into_iter()
            .zip(1_u64..)
            .map(|(who, part)| {
                let services = world.services(who, Plan::seeded(seed ^ (part << 32), 6, faults));
                let world = world.clone();
                world.clone().go(async move { world.compete(who, services).await })
            })
            .collect();
        let observer = world.services("observer", Plan::none());
        let (observing, disturbing) = (world.clone(), world.clone());
        let _observing = world.go(async move { observing.observe(observer).await });
        let (_, disturbance) = world.go(async move { disturbing.disturb().await });
        for (over, _task) in competitors {
            over.await.expect("a competitor that does not panic");
        }
        drop(disturbance);
        let after = world.services("after", Plan::none());
        let (factory, job) = (after.checkpoint_recovery_factory().unwrap(), JobId::new("job").unwrap());
        let store = recovered(factory.as_ref(), &job).await.unwrap();
        let found = store.get_all_checkpoints().await.unwrap();
        world.ledger.lock().unwrap().recovered = found.iter().map(|checkpoint| checkpoint.id).collect();
        let ledger = world.ledger.lock().unwrap().clone();
        (world.history.to_string(), ledger)
    })
}

fn check_terms(ledger: &Ledger) {
    assert_eq!(ledger.terms.len(), 2 * ROUNDS, "both led in every round");
    assert!(ledger.terms.windows(2).all(|pair| pair[0].0 < pair[1].0), "tokens grow: {:?}", ledger.terms);
}

/// Whatever was acknowledged under an epoch was acknowledged to its one leader.
fn check_writers(ledger: &Ledger) {
    let leaders: BTreeMap<u64, &str> = ledger.terms.iter().copied().collect();
    for one in ledger.ids.iter().chain(&ledger.checkpoints) {
        assert_eq!(leaders.get(&one.epoch), Some(&one.who), "{one:?} in an epoch of somebody else");
    }
}

/// Unique, increasing within a term, and greater than all of earlier terms.
fn check_ids(ledger: &Ledger) {
    let mut by_epoch: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    ledger.ids.iter().for_each(|one| by_epoch.entry(one.epoch).or_default().push(one.id));
    let all: Vec<u64> = by_epoch.into_values().flatten().collect();
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "ids by epoch: {all:?}");
}

fn check_checkpoints(ledger: &Ledger) {
    let newest = ledger.checkpoints.iter().map(|one| one.id).max();
    let found = ledger.recovered.last().copied();
    assert!(found >= newest, "acknowledged up to {newest:?}, recovered {:?}", ledger.recovered);
}

fn check_retrieval(ledger: &Ledger) {
    assert!(ledger.shown.windows(2).all(|pair| pair[0] <= pair[1]), "shown: {:?}", ledger.shown);
}

#[test]
fn the_services_keep_their_promises_whatever_the_seed_brings() {
    let (mut acknowledged, mut shown) = (0, 0);
    for seed in 0..20 {
        let (history, ledger) = run(seed);
        let checks = std::panic::catch_unwind(|| {
            check_terms(&ledger);
            check_writers(&ledger);
            check_ids(&ledger);
            check_checkpoints(&ledger);
            check_retrieval(&ledger);
        });
        if let Err(panic) = checks {
            eprintln!("seed {seed}:\n{history}");
            std::panic::resume_unwind(panic);
        }
        acknowledged += ledger.checkpoints.len();
        shown += ledger.shown.len();
    }
    assert!(acknowledged > 300 && shown > 60, "hardly anything has happened: {acknowledged}, {shown}");
}

#[test]
fn one_seed_has_one_history_of_services_byte_for_byte() {
    for seed in [3, 7, 11] {
        let (first, second) = (run(seed).0, run(seed).0);
        assert!(first.lines().count() > 100, "something must have happened:\n{first}");
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(run(3).0, run(7).0);
}
