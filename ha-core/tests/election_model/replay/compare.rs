use ha_core::backend::Entry;

use super::driver::{Driver, latch, stored_key};
use super::gate::Call;
use super::process::{Real, Written, record_key};
use crate::world::*;

/// What can be seen of a process from outside.
#[derive(Debug, PartialEq, Eq, Default)]
struct Seen {
    attempts: bool,
    waits: bool,
    releases: bool,
    leads: bool,
    writes: bool,
}

impl Seen {
    fn of_model(process: &Process) -> Self {
        Self {
            attempts: matches!(process.phase, Phase::Attempting { .. }),
            waits: matches!(process.phase, Phase::Waiting { .. }),
            releases: matches!(process.phase, Phase::Releasing { .. }),
            leads: matches!(process.phase, Phase::Leading { .. }),
            writes: process.op.is_some(),
        }
    }

    fn of_real(real: &Real) -> Self {
        Self {
            attempts: real.gate.has(|call| matches!(call, Call::Acquire(..))),
            waits: real.gate.has(|call| matches!(call, Call::Wait(..))),
            releases: real.gate.has(|call| matches!(call, Call::Release(..))),
            leads: real.believes().is_some(),
            writes: real.is_writing(),
        }
    }
}

/// Whether the real processes and the real store are where the model is.
pub(crate) fn compare(driver: &mut Driver) -> Result<(), String> {
    let (held, record) = {
        let space = driver.stored.lock().unwrap();
        let held = space.read(latch().key()).and_then(|entry| entry.held);
        (held, space.read(&stored_key(&record_key())))
    };
    match (driver.world.store.latch, held) {
        (None, None) => {}
        (Some(term), Some(held)) => {
            let greatest = driver.epochs.range(..term.epoch).next_back().map_or(0, |(_, epoch)| *epoch);
            let epoch = *driver.epochs.entry(term.epoch).or_insert(held.epoch);
            let native = &driver.sessions[&term.session].id;
            if epoch != held.epoch || epoch <= greatest || *native != held.native {
                return Err(format!("the latch is held under {held:?} instead of {term:?} (epoch {epoch})"));
            }
        }
        (expected, held) => return Err(format!("the latch is held under {held:?} instead of {expected:?}")),
    }
    let written = record.as_ref().map(write_of);
    let expected = Some(driver.world.store.record).filter(|record| record.revision != 0).map(|record| record.write);
    if written != expected {
        return Err(format!("the record is of write {written:?} instead of {expected:?}"));
    }
    (0..driver.processes.len()).try_for_each(|at| process(driver, at))
}

fn process(driver: &Driver, at: usize) -> Result<(), String> {
    let (model, real) = (&driver.world.processes[at], &driver.processes[at]);
    let (expected, seen) = (Seen::of_model(model), Seen::of_real(real));
    if expected != seen {
        return Err(format!("process {at} is seen as {seen:?} instead of {expected:?}: {:?}", model.phase));
    }
    if let (Phase::Leading { epoch }, Some((led, valid))) = (model.phase, real.believes())
        && (driver.epochs.get(&epoch) != Some(&led) || !valid)
    {
        return Err(format!("process {at} leads under {led}, valid: {valid}, instead of {epoch}"));
    }
    outcome(driver, at)
}

/// What the last write came to is what the model says of it.
fn outcome(driver: &Driver, at: usize) -> Result<(), String> {
    let slot = driver.processes[at].outcome.lock().unwrap();
    let Some((write, outcome)) = driver.last_write(at).zip(slot.as_ref()) else { return Ok(()) };
    let witness = &driver.world.witness;
    let told = |mask: u8| mask & 1 << write != 0;
    let fits = match outcome {
        // A removal that finds everything removed is as if applied.
        Ok(ha_core::writer::Committed::Applied(_)) => told(witness.acknowledged) || !told(witness.refused),
        Ok(ha_core::writer::Committed::Conflict { .. }) => told(witness.refused),
        Err(error) if error.may_have_applied() => !told(witness.acknowledged) && !told(witness.refused),
        Err(_) => told(witness.refused),
    };
    fits.then_some(()).ok_or_else(|| format!("write {write} of process {at} came to {outcome:?}: {witness:?}"))
}

fn write_of(entry: &Entry) -> u8 {
    ha_core::record::decode::<Written>(entry).unwrap().body.write
}
