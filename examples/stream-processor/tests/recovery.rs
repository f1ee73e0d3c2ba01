//! Whatever is killed, and whenever: the output is that of a single pass.

mod common;

use std::fs;
use std::future::poll_fn;
use std::ops::Range;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use common::Dice;
use stream_processor::{Engine, ExecutionPlan, Snapshot, SourceSpec};

/// The world around the engine: keeps the latest completed checkpoint, hands out ids and attempts.
struct World {
    plan: ExecutionPlan,
    completed: Option<Bytes>,
    checkpoint: u64,
    attempt: u64,
    dice: Dice,
    /// Deposed attempts that have not noticed, each with the last checkpoint that it completed in its time.
    ghosts: Vec<(Engine, Option<Snapshot>)>,
    /// How often each kind of crash happened.
    crashes: [u32; 6],
}

enum Life {
    Done,
    Crashed,
}

impl World {
    fn new(plan: ExecutionPlan, seed: u64) -> Self {
        let dice = Dice::new(seed);
        Self { plan, completed: None, checkpoint: 0, attempt: 0, dice, ghosts: Vec::new(), crashes: [0; 6] }
    }

    fn restored(&self) -> Option<Snapshot> {
        self.completed.as_deref().map(|bytes| Snapshot::decode(bytes).expect("what was encoded decodes"))
    }

    fn complete(&mut self, snapshot: &Snapshot) {
        self.completed = Some(snapshot.encode().expect("paths are UTF-8"));
    }

    /// One attempt, to its crash or to the end.
    async fn live(&mut self) -> Life {
        self.attempt += 1;
        self.plan.parallelism = 1 + self.dice.roll(4) as u32;
        let engine = Engine::start(self.plan.clone(), self.restored(), self.attempt)
            .await
            .expect("the latest checkpoint starts");
        let mut mine = None;
        loop {
            let ahead = engine.progress().events() + self.dice.roll(30_000);
            engine.progress().reached(ahead).await;
            self.haunt().await;
            let fate = if self.attempt > 12 { 99 } else { self.dice.roll(9) };
            self.checkpoint += 1;
            if fate < 6 {
                self.crashes[fate as usize] += 1;
            }
            match fate {
                // Killed between two checkpoints.
                0 => return Life::Crashed,
                // The trigger is given up half-way; the job goes on.
                5 => {
                    let mut trigger = pin!(engine.trigger(self.checkpoint));
                    for _ in 0..self.dice.roll(4) {
                        let polled = poll_fn(|context| Poll::Ready(trigger.as_mut().poll(context).is_ready())).await;
                        if polled {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                _ => {}
            }
            let snapshot = engine.trigger(self.checkpoint).await.expect("a healthy engine answers");
            match fate {
                // Killed before the snapshot was kept.
                1 => return Life::Crashed,
                // Not kept, but the job goes on.
                6 => continue,
                _ => self.complete(&snapshot),
            }
            match fate {
                // Killed between the checkpoint's completion and the first rename.
                2 => return Life::Crashed,
                // Killed between the renames of one commit.
                3 => {
                    self.publish_some();
                    return Life::Crashed;
                }
                // Deposed without noticing, before or after its commit.
                4 => {
                    self.ghosts.push((engine, Some(snapshot)));
                    return Life::Crashed;
                }
                _ => engine.commit(&snapshot).await.expect("a completed checkpoint is published"),
            }
            if self.dice.roll(12) == 0 && self.attempt <= 12 {
                self.ghosts.push((engine, mine));
                return Life::Crashed;
            }
            if snapshot.is_final() {
                return Life::Done;
            }
            mine = Some(snapshot);
        }
    }

    /// What a commit that is killed half-way leaves: some of the listed parts renamed.
    fn publish_some(&mut self) {
        let attempt = format!("-{:020}.ndjson", self.attempt);
        for name in common::names(&common::pending(&self.plan)) {
            if name.starts_with("part-") && name.ends_with(&attempt) && self.dice.roll(2) == 0 {
                let from = common::pending(&self.plan).join(&name);
                fs::rename(from, self.plan.output.join(&name)).expect("pending parts are listed, and can be renamed");
            }
        }
    }

    /// The deposed go on: they take snapshots that nobody keeps, and publish what they completed in their time.
    async fn haunt(&mut self) {
        for (ghost, completed) in &self.ghosts {
            self.checkpoint += 1;
            // It may fail, for its files may be gone; nobody cares but the output.
            let _refused = ghost.trigger(self.checkpoint).await;
            if let Some(snapshot) = completed {
                ghost.commit(snapshot).await.expect("a completed checkpoint can be published by anybody, at any time");
            }
        }
    }
}

async fn survive(plan: ExecutionPlan, seed: u64) -> [u32; 6] {
    let mut world = World::new(plan, seed);
    while let Life::Crashed = world.live().await {}
    world.haunt().await;
    let verdict = common::judge(&world.plan);
    assert!(verdict.is_exact() && verdict.rows > 0, "seed {seed}, attempts {}: {verdict}", world.attempt);
    // Once more, when all are gone: a restored final checkpoint adds nothing, and clears up.
    world.ghosts.clear();
    let engine = Engine::start(world.plan.clone(), world.restored(), world.attempt + 1).await.expect("starts");
    engine.finished().await.expect("there is nothing left to read");
    let last = engine.trigger(world.checkpoint + 1).await.expect("the last snapshot");
    engine.commit(&last).await.expect("nothing to publish");
    assert!(last.is_final());
    assert_eq!(common::judge(&world.plan), verdict, "seed {seed}");
    world.crashes
}

/// Many lives: these seeds, and further ones until every kind of crash was a part of them.
///
/// The choices replay from the seed; how far the engine comes between two of them is up to the machine.
async fn survive_all(seeds: Range<u64>, plan: impl Fn(&Path, u64) -> ExecutionPlan) {
    let mut crashes = [0; 6];
    for seed in seeds.start..seeds.start + 100 {
        if seed >= seeds.end && crashes.iter().all(|times| *times > 0) {
            return;
        }
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let life = survive(plan(directory.path(), seed), seed);
        let new = common::within_deadline(&format!("seed {seed}"), life).await;
        crashes.iter_mut().zip(new).for_each(|(sum, new)| *sum += new);
    }
    panic!("some kind of crash was never tried: {crashes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_events_survive_every_crash_exactly_once() {
    // Fails if a crash at any point of the two phases loses or doubles a row.
    survive_all(0..5, |directory, seed| common::plan(directory, SourceSpec::Generator { seed, events: 200_000 })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_text_survive_every_crash_exactly_once() {
    // Fails if a restored byte offset or record number is not that of the snapshot.
    survive_all(100..103, |directory, seed| {
        common::plan_over(directory, &common::text_input(&mut Dice::new(seed), 40_000))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_json_survive_every_crash_exactly_once() {
    // Fails if lateness, a reject or a half-skipped line is decided differently after a restoration.
    survive_all(200..203, |directory, seed| {
        common::plan_over(directory, &common::json_input(&mut Dice::new(seed), 30_000))
    })
    .await;
}

#[test]
fn a_runtime_that_is_shut_down_takes_the_engine_with_it() {
    // Fails if something of the engine lives on outside its tasks, or needs to be told to stop.
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan(directory.path(), SourceSpec::Generator { seed: 7, events: 20_000_000 });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (engine, snapshot) = runtime.block_on(async {
        let engine = Engine::start(plan.clone(), None, 1).await.unwrap();
        engine.progress().first_event().await;
        let snapshot = engine.trigger(1).await.unwrap();
        (engine, snapshot)
    });
    drop(runtime);
    let progress = engine.progress();
    let stopped_at = progress.events();
    assert!(stopped_at < 20_000_000, "it cannot have been finished");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let error = engine.finished().await.unwrap_err();
        assert_eq!(error.kind(), stream_processor::ErrorKind::Stopped, "{error}");
        engine.trigger(2).await.unwrap_err();
        let restored = Engine::start(plan, Some(snapshot.clone()), 2).await.unwrap();
        restored.progress().first_event().await;
        assert!(restored.progress().events() >= snapshot.events());
    });
    assert_eq!(progress.events(), stopped_at, "nothing was read any more");
}
