//! What the services cost on the embedded backend, each beside the same done bare in the same run.
//!
//! `cargo bench -p ha-embedded`. Everything runs on one thread. Batches of the two sides alternate, so that
//! a machine whose speed drifts slows both; what counts is the ratio. Nothing here is an assertion.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{
    Acquire, Backend, Commit, Expect, Fence, Key, Latch, Outcome, Prefix, Revision, SessionOptions,
};
use ha_core::checkpoint::{CheckpointIdCounter, DefaultCheckpointIdCounter};
use ha_core::election::Grant;
use ha_core::record::{self, Body};
use ha_core::resolve::Committer;
use ha_core::seam::{Moment, Seam};
use ha_core::state::StateStorage;
use ha_core::writer::{Authority, Committed, Writer};
use ha_core::{Error, HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::{Embedded, Handle};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 60;
const BATCH: usize = 10_000;
const RETRIEVALS: usize = 1_000;
const LEADER_CHANGES: usize = 30;

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::new(ha_core::ErrorKind::Unavailable, "bench").caused_by(e))?;
    runtime.block_on(async {
        println!("{:<34} {:>12} {:>12} {:>12} {:>7}", "operation", "ours p50", "bare p50", "ours rate", "ratio");
        counter_step().await?;
        fenced_commit().await?;
        leader_change().await
    })
}

/// A leader with a grant on a store of its own.
struct Leader {
    seam: Seam,
    handle: Arc<Handle>,
    writer: Writer,
    fence: Fence,
}

impl Leader {
    async fn new() -> Result<Self, Error> {
        let seam = Seam::system();
        let handle = Arc::new(Embedded::new(seam.clone()).connect());
        let latch = Latch::below(&Prefix::new("leader")?);
        let session = handle.open_session(&SessionOptions::default()).await?;
        let Acquire::Won(term) = session.try_acquire(&latch, Bytes::new(), None).await? else {
            unreachable!("nobody else contends on a new store")
        };
        let fence = Fence { latch: latch.clone(), term: term.clone() };
        let grant = Grant::hold(&seam, session.into(), latch, term);
        let committer = Committer::new(Arc::<Handle>::clone(&handle), seam.clone());
        let writer = Writer::new(committer, Authority::Leader(grant));
        Ok(Self { seam, handle, writer, fence })
    }

    /// One fenced put of `value`, straight on the backend.
    async fn bare(&self, key: &Key, expect: Expect, value: Bytes) -> Result<Revision, Error> {
        let commit = Commit::new(self.seam.write_id()).guarded_by(self.fence.clone()).put(key.clone(), expect, value);
        match self.handle.commit(&commit).await? {
            Outcome::Applied { revisions } => Ok(revisions[0]),
            other => unreachable!("nobody else writes: {other:?}"),
        }
    }
}

/// Nanoseconds for one operation, one number for each batch.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, began: Moment, ended: Moment, operations: usize) {
        self.0.push(ended.since(began).as_nanos() as f64 / operations as f64);
    }

    fn median(&self) -> f64 {
        let mut times = self.0.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn print(operation: &str, ours: &Times, bare: &Times) {
    let (ours, bare) = (ours.median(), bare.median());
    println!("{operation:<34} {ours:>9.0} ns {bare:>9.0} ns {:>10.0}/s {:>6.2}x", 1e9 / ours, ours / bare);
}

async fn counter_step() -> Result<(), Error> {
    let leader = Leader::new().await?;
    let counter = DefaultCheckpointIdCounter::new(&JobId::new("job-1")?, leader.writer.clone());
    counter.start().await?;
    counter.get_and_increment().await?;
    let stored = leader.handle.read(&Key::new("jobs/job-1/checkpoint_id_counter")?).await?;
    let value = stored.map_or_else(Bytes::new, |entry| entry.value);
    let key = Key::new("bare/counter")?;
    let mut revision = leader.bare(&key, Expect::Absent, value.clone()).await?;
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        let began = leader.seam.now();
        for _ in 0..BATCH {
            counter.get_and_increment().await?;
        }
        let middle = leader.seam.now();
        for _ in 0..BATCH {
            revision = leader.bare(&key, Expect::Revision(revision), value.clone()).await?;
        }
        ours.add(began, middle, BATCH);
        bare.add(middle, leader.seam.now(), BATCH);
    }
    print("counter step (goal: 500000/s)", &ours, &bare);
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Note {
    text: String,
}

impl Body for Note {
    const KIND: &'static str = "note";
}

async fn fenced_commit() -> Result<(), Error> {
    let leader = Leader::new().await?;
    let note = Note { text: "x".repeat(200) };
    let value = record::encode(&note, leader.seam.write_id(), 1)?;
    let (key, bare_key) = (Key::new("notes/ours")?, Key::new("notes/bare")?);
    let mut bare_revision = leader.bare(&bare_key, Expect::Absent, value.clone()).await?;
    let mut expect = Expect::Absent;
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        let began = leader.seam.now();
        for _ in 0..BATCH {
            let draft = leader.writer.draft()?.put(key.clone(), expect, &note)?;
            match leader.writer.commit(draft).await? {
                Committed::Applied(revisions) => expect = Expect::Revision(revisions[0]),
                conflict => unreachable!("nobody else writes: {conflict:?}"),
            }
        }
        let middle = leader.seam.now();
        for _ in 0..BATCH {
            bare_revision = leader.bare(&bare_key, Expect::Revision(bare_revision), value.clone()).await?;
        }
        ours.add(began, middle, BATCH);
        bare.add(middle, leader.seam.now(), BATCH);
    }
    print("fenced commit of a 200-byte record", &ours, &bare);
    Ok(())
}

/// A new address is published; a thousand retrievals in one process learn it.
async fn leader_change() -> Result<(), Error> {
    let seam = Seam::system();
    let store = Embedded::new(seam.clone());
    let services = services(&store, &seam)?;
    let leadership = services.dispatcher_leader_election()?.campaign().await?;
    let retriever = services.dispatcher_leader_retriever()?;
    let (told, mut heard) = tokio::sync::mpsc::channel(RETRIEVALS);
    let (bare_sender, bare_receiver) = tokio::sync::watch::channel(String::new());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..RETRIEVALS {
        let (mut watch, told, seam) = (retriever.watch(), told.clone(), seam.clone());
        tasks.spawn(async move {
            loop {
                watch.changed().await;
                if told.send(seam.now()).await.is_err() {
                    return;
                }
            }
        });
    }
    let (bare_told, mut bare_heard) = tokio::sync::mpsc::channel(RETRIEVALS);
    for _ in 0..RETRIEVALS {
        let (mut receiver, told, seam) = (bare_receiver.clone(), bare_told.clone(), seam.clone());
        tasks.spawn(async move { while receiver.changed().await.is_ok() && told.send(seam.now()).await.is_ok() {} });
    }
    leadership.publish("host:0").await?;
    all(&mut heard).await;
    let (mut ours, mut bare) = (Spread::default(), Spread::default());
    for change in 1..=LEADER_CHANGES {
        let began = seam.now();
        leadership.publish(&format!("host:{change}")).await?;
        ours.add(began, &all(&mut heard).await);
        let began = seam.now();
        bare_sender.send_replace(format!("host:{change}"));
        bare.add(began, &all(&mut bare_heard).await);
    }
    println!("leader change to {RETRIEVALS} retrievals, with {} wait(s) on the backend:", store.waiting());
    ours.print("ours, from the publish call");
    bare.print("bare, one watch channel");
    Ok(())
}

fn services(store: &Embedded, seam: &Seam) -> Result<HaServices, Error> {
    let storage = StateStorage::open("memory://", seam.clone())?;
    HaServices::new(Arc::new(store.connect()), storage, &ServicesOptions::default(), seam.clone())
}

async fn all(heard: &mut tokio::sync::mpsc::Receiver<Moment>) -> Vec<Moment> {
    let mut moments = Vec::with_capacity(RETRIEVALS);
    while moments.len() < RETRIEVALS {
        moments.extend(heard.recv().await);
    }
    moments
}

/// When the first and the last of many were told.
#[derive(Default)]
struct Spread {
    first: Vec<Duration>,
    between: Vec<Duration>,
}

impl Spread {
    fn add(&mut self, began: Moment, heard: &[Moment]) {
        let (Some(first), Some(last)) = (heard.iter().min(), heard.iter().max()) else { return };
        self.first.push(first.since(began));
        self.between.push(last.since(*first));
    }

    fn print(&mut self, what: &str) {
        self.first.sort_unstable();
        self.between.sort_unstable();
        let (first, between) = (self.first[self.first.len() / 2], self.between[self.between.len() / 2]);
        let worst = self.between.last().copied().unwrap_or_default();
        println!(
            "  {what:<30} first after {first:>9.1?}, last {between:>9.1?} after the first (worst {worst:.1?}; goal 5 ms)"
        );
    }
}
