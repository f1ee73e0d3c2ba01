use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::Term as StoreTerm;
use tokio::sync::watch;

use super::executor::Owner;
use super::network::{Commits, Weather};
use super::scenario::{PROCESSES, Step, Trouble};
use super::store::Condition;
use super::world::{Common, DeviceCondition, LATCH, World};
use crate::faults::{StateCall, StateFault};
use crate::history::{EarlyEnd, Term, What};

/// How long a process may take to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

/// Carries out the plan, step by step; a step that lasts ends by itself while others go on.
pub(super) async fn trouble(world: Arc<World>) {
    let began = world.seam.now();
    let mut under_way = Vec::new();
    let mut terms = Vec::new();
    for step in &world.plan.steps {
        world.seam.sleep_until(began + step.at).await;
        let (over, is_over) = watch::channel(false);
        under_way.push(is_over);
        if let Some(term) = held(&world) {
            terms.push(term);
        }
        let (of_it, step, stale) = (Arc::clone(&world), step.clone(), terms.first().cloned());
        world.executor.spawn(Owner::WORLD, async move {
            let name = step.trouble.name().to_owned();
            of_it.note(What::Fault { name: name.clone(), on: true });
            one(&of_it, &step, stale).await;
            of_it.note(What::Fault { name, on: false });
            over.send_replace(true);
        });
        let since = terms.len().saturating_sub(3);
        terms.drain(..since);
    }
    for mut is_over in under_way {
        // An error would say that it is over, too.
        let _ = is_over.wait_for(|over| *over).await;
    }
}

fn held(world: &World) -> Option<StoreTerm> {
    match &world.common {
        Common::Model(store) => store.held(&World::latch()),
        Common::Journal(_) => None,
    }
}

async fn one(world: &Arc<World>, step: &Step, stale: Option<StoreTerm>) {
    let (process, lasts) = (step.process, world.seam.sleep(step.lasts));
    match step.trouble {
        Trouble::Crash => {
            world.kill(process);
            lasts.await;
            world.start(process);
        }
        Trouble::CrashAll => {
            (0..PROCESSES).for_each(|process| world.kill(process));
            lasts.await;
            (0..PROCESSES).for_each(|process| world.start(process));
        }
        Trouble::Restart => restart(world, process).await,
        Trouble::Pause => {
            let Some(alive) = world.alive(process) else { return };
            let (name, incarnation) = (&world.processes[process].name, alive.incarnation);
            world.recording.note(name, incarnation, What::Paused);
            world.executor.pause(alive.owner);
            lasts.await;
            if !world.executor.is_dead(alive.owner) {
                world.recording.note(name, incarnation, What::Resumed);
                world.executor.resume(alive.owner);
            }
        }
        Trouble::Fading => fading(world, process).await,
        Trouble::HeldUp => held_up(world, process).await,
        Trouble::InDoubt => in_doubt(world, process).await,
        Trouble::FalseEvidence => false_evidence(world),
        Trouble::StaleEvidence => stale_evidence(world, stale),
        Trouble::Revoke | Trouble::ForgetSessions | Trouble::Tamper => operate(world, step.trouble),
        _ => {
            set(world, step, true);
            lasts.await;
            set(world, step, false);
        }
    }
}

async fn restart(world: &Arc<World>, process: usize) {
    let Some(alive) = world.alive(process) else { return };
    alive.stop.send_replace(true);
    let mut ended = alive.ended.subscribe();
    let in_time = world.seam.timeout(ENDS_WITHIN, ended.wait_for(|ended| *ended)).await.is_some();
    // It may have been killed meanwhile, and live again.
    if world.alive(process).is_some_and(|now| now.owner == alive.owner) {
        if in_time {
            world.bury(process)
        } else {
            world.kill(process)
        }
        world.start(process);
    }
}

/// The leader's answers come late, and then its requests do not arrive any more: it goes on for as long as its
/// deadline lets it. A deadline that is counted from an answer is too late by what that took.
async fn fading(world: &World, process: usize) {
    let process = world.leader().map_or(process, |(leader, ..)| leader);
    let Some(line) = &world.processes[process].line else { return };
    let silence = world.plan.silence;
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    // Less than a third, within which a renewal must be answered.
    line.set(|weather| weather.answer_us = Some(micros(silence / 6)..micros(silence * 3 / 10)));
    world.seam.sleep(silence * 2).await;
    line.set(|weather| weather.cut_there = true);
    world.seam.sleep(silence * 3 / 2).await;
    line.set(|weather| (weather.answer_us, weather.cut_there) = (None, false));
}

/// Now and then a write of the leader is held up, sent again and answered; then what it was made for is over, and the
/// first copy arrives.
async fn held_up(world: &World, process: usize) {
    let process = world.leader().map_or(process, |(leader, ..)| leader);
    let Some(line) = &world.processes[process].line else { return };
    line.set(|weather| weather.held_up = 150);
    world.seam.sleep(Duration::from_secs(8)).await;
    line.set(|weather| weather.held_up = 0);
}

/// The leader stays what it is, and does not learn what became of anything that it writes: each write is given up as of
/// unknown outcome. In turn none was applied, and all were.
async fn in_doubt(world: &World, process: usize) {
    let process = world.leader().map_or(process, |(leader, ..)| leader);
    let Some(line) = &world.processes[process].line else { return };
    let commits = if world.seam.random_u64().is_multiple_of(2) { Commits::Lost } else { Commits::Unanswered };
    line.set(|weather| weather.commits = Some(commits));
    // Twice as long as a commit is tried again, so that what is begun in the first half is given up.
    world.seam.sleep(Duration::from_secs(21)).await;
    line.set(|weather| weather.commits = None);
}

/// What lasts, and ends.
fn set(world: &World, step: &Step, on: bool) {
    let calm = &world.plan.weather;
    let weather = |change: &dyn Fn(&mut Weather)| {
        if let Some(line) = &world.processes[step.process].line {
            line.set(|weather| change(weather));
        }
    };
    let chance = |thousandths: u64| if on { thousandths } else { 0 };
    match step.trouble {
        Trouble::CutThere => weather(&|weather| weather.cut_there = on),
        Trouble::CutBack => weather(&|weather| weather.cut_back = on),
        Trouble::CutOff => {
            weather(&|weather| (weather.cut_there, weather.cut_back) = (on, on));
            world.set_device(step.process, |device| device.cut = on);
        }
        Trouble::Storm => weather(&|weather| {
            (weather.lost, weather.unanswered) = (chance(80), chance(120));
            (weather.late, weather.twice) = (chance(60), chance(100));
        }),
        Trouble::Slow => weather(&|weather| {
            weather.delay_us = if on { 20_000..1_500_000 } else { calm.delay_us.clone() };
        }),
        Trouble::Deaf => {
            weather(&|weather| weather.deaf = chance(700));
            world.set_device(step.process, |device| device.deaf = on);
        }
        Trouble::StoreErrors => store(world, on.then_some(Condition { refuses: 150, fails_after: 150, disk_us: 0 })),
        Trouble::SlowDisk => store(world, on.then_some(Condition { disk_us: 800_000, ..Condition::default() })),
        Trouble::StateErrors => states(world, step, on, &[StateFault::FailBefore, StateFault::FailAfter]),
        Trouble::SlowStates => states(world, step, on, &[StateFault::Delay(Duration::from_millis(400))]),
        _ => {}
    }
}

fn store(world: &World, condition: Option<Condition>) {
    match &world.common {
        Common::Model(store) => store.set(condition.unwrap_or_default()),
        Common::Journal(_) => (0..PROCESSES).for_each(|process| {
            world.set_device(process, |device| {
                device.one_in = condition.filter(|condition| condition.refuses > 0).map(|_| 5);
                let slow = condition.map_or(0, |condition| condition.disk_us);
                device.slow = match slow {
                    0 => DeviceCondition::SLOW,
                    _ => (Duration::from_micros(slow / 8), Duration::from_micros(slow / 5)),
                };
            });
        }),
    }
}

fn states(world: &World, step: &Step, on: bool, faults: &[StateFault]) {
    let plan = &world.processes[step.process].states;
    if !on {
        return plan.clear();
    }
    // One after another and then all: a call that is repeated sees several of them.
    let which = (step.at.as_micros() % 2) as usize;
    for call in [StateCall::Put, StateCall::Get, StateCall::Delete] {
        let Some(fault) = faults.get(which % faults.len()).copied() else { continue };
        plan.always(call, fault);
    }
}

/// A living leader is taken for dead.
fn false_evidence(world: &World) {
    match &world.common {
        Common::Model(store) => {
            let Some(term) = store.held(&World::latch()) else { return };
            world.note(What::EndedEarly { term: Term::new(LATCH, term.epoch), by: EarlyEnd::Evidence });
            if store.evict(&World::latch(), &term) {
                world.is_over(term.epoch);
            }
        }
        Common::Journal(journal) => {
            let Some((process, _, session)) = world.leader() else { return };
            world.may_end_early(process, EarlyEnd::Evidence);
            if let Some(witness) = journal.witness() {
                witness.kill(&session);
            }
        }
    }
}

/// Evidence about a term that may be over: it must end that term, and no other.
fn stale_evidence(world: &World, stale: Option<StoreTerm>) {
    let (Common::Model(store), Some(stale)) = (&world.common, stale) else { return };
    world.note(What::EndedEarly { term: Term::new(LATCH, stale.epoch), by: EarlyEnd::Evidence });
    store.evict(&World::latch(), &stale);
}

fn operate(world: &World, trouble: Trouble) {
    let Common::Model(store) = &world.common else { return };
    let held = store.held(&World::latch());
    if let Some(term) = &held {
        let by = if trouble == Trouble::ForgetSessions { EarlyEnd::Store } else { EarlyEnd::Operator };
        world.note(What::EndedEarly { term: Term::new(LATCH, term.epoch), by });
    }
    match trouble {
        Trouble::Revoke => drop(store.revoke_holder(&World::latch())),
        Trouble::ForgetSessions => store.forget_sessions(),
        _ => store.tamper(World::latch().key(), Some(Bytes::from_static(b"nobody's"))),
    }
    held.into_iter().for_each(|term| world.is_over(term.epoch));
}

/// Nothing goes wrong any more, and everybody lives.
pub(super) fn calm(world: &Arc<World>) {
    for (index, process) in world.processes.iter().enumerate() {
        if let Some(line) = &process.line {
            line.set(|weather| *weather = world.plan.weather.clone());
        }
        process.states.clear();
        *process.device.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
        world.set_device(index, |_| {});
    }
    if let Common::Model(store) = &world.common {
        store.set(Condition::default());
    }
    (0..PROCESSES).for_each(|process| world.start(process));
}
