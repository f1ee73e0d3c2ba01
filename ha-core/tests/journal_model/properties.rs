use stateright::Property;

use crate::history::Number;
use crate::model::{Protocol, World};
use crate::process::{Writer, WriterStep};

pub(crate) const ONE_WINNER: &str = "one number is never believed to be won with two entries";
pub(crate) const NOTHING_LOST: &str = "an acknowledged entry is in every replay";
pub(crate) const NEVER_STALE: &str = "a reader that answers knows all that was acknowledged before it asked";
pub(crate) const ONE_HISTORY: &str = "what a process believes is the beginning of what a replay finds";
pub(crate) const EPOCHS: &str = "no epoch is given to two holders";
pub(crate) const NOTHING_TAKEN_BACK: &str = "what was answered from survives the loss of power";
pub(crate) const ONCE: &str = "no entry counts twice";

pub(crate) const SWEPT: &str = "a number is swept";
pub(crate) const RECREATED: &str = "a stalled writer makes a swept number again";
pub(crate) const RECREATED_OPENED: &str = "a reader opens a swept number that was made again";
pub(crate) const BEHIND: &str = "a reader finds itself behind the floor";
pub(crate) const RESOLVED_APPLIED: &str = "a lost answer is resolved: applied";
pub(crate) const RESOLVED_UNKNOWN: &str = "a lost answer stays unknown while its link can still come";
pub(crate) const LOST_RACE: &str = "a writer loses a number and wins the next one with the same entry";
pub(crate) const TWO_SWEEPS: &str = "two sweeps are under way with different ends";
pub(crate) const POWER_LOST: &str = "the loss of power takes a name that was seen";
pub(crate) const SECOND_SNAPSHOT: &str = "a replay goes from the second newest snapshot over what the newest contains";

type Holds = fn(&Protocol, &World) -> bool;

const ALWAYS: [(&str, Holds); 7] = [
    (ONE_WINNER, |_, world| !world.broken.two_winners),
    (NOTHING_LOST, |_, world| world.directory.replay().starts_with(world.acknowledged)),
    (NEVER_STALE, |_, world| !world.broken.stale_answer),
    (ONE_HISTORY, one_history),
    (EPOCHS, |_, world| !world.broken.epoch_twice),
    (NOTHING_TAKEN_BACK, |_, world| world.directory.replay().starts_with(world.answered)),
    (ONCE, counted_once),
];

const SOMETIMES: [(&str, Holds); 10] = [
    (SWEPT, |_, world| {
        let newest = world.directory.newest_snapshot();
        (1..=newest).any(|number| !world.directory.entries.has(number))
    }),
    (RECREATED, |protocol, world| {
        let stalled = |floor: Number| {
            let linked = |it: &&Writer| matches!(it.step, WriterStep::Linked);
            world
                .writers
                .iter()
                .filter(linked)
                .any(|it| it.number() <= floor && it.entry != world.acknowledged.get(it.number()))
        };
        stalled(world.directory.floor(protocol.interval))
    }),
    (RECREATED_OPENED, |_, world| {
        world.readers.iter().any(|it| {
            let number = it.history.next();
            let found = it.opened.map_or(0, |opened| opened.found);
            found != 0 && number <= world.acknowledged.len() && world.acknowledged.get(number) != found
        })
    }),
    (BEHIND, |protocol, world| {
        let floor = world.directory.floor(protocol.interval);
        world.readers.iter().any(|it| it.opened.is_some_and(|opened| opened.found == 0) && it.history.next() <= floor)
    }),
    (RESOLVED_APPLIED, |_, world| {
        let ours = |it: &Writer| matches!(it.step, WriterStep::Looked { found } if found == it.entry);
        world.writers.iter().any(ours)
    }),
    (RESOLVED_UNKNOWN, |_, world| {
        let given_up = |it: &Writer| it.entry == 0 && it.late.is_some_and(|(_, number)| number == it.number());
        world.writers.iter().any(given_up)
    }),
    (LOST_RACE, |_, world| {
        let again = |it: &Writer| matches!(it.step, WriterStep::Ready) && it.entry != 0;
        world.writers.iter().any(again)
    }),
    (TWO_SWEEPS, |_, world| matches!(world.sweeps[..], [Some(one), Some(other)] if one.entries_to != other.entries_to)),
    (POWER_LOST, |protocol, world| {
        let seen: Number = world.writers.iter().filter(|it| it.begun > 0).count() as Number;
        world.power_losses < protocol.power_losses && seen > 0 && !world.directory.entries.has(1)
    }),
    (SECOND_SNAPSHOT, |_, world| {
        let newest = world.directory.newest_snapshot();
        newest != 0 && newest == world.directory.damaged && world.directory.load().len() != 0
    }),
];

/// Everybody's history, from the floor check on, begins what a replay of the directory finds now.
fn one_history(_: &Protocol, world: &World) -> bool {
    let whole = world.directory.replay();
    world.writers.iter().all(|it| whole.starts_with(it.history))
        && world.readers.iter().all(|it| whole.starts_with(it.history))
}

fn counted_once(_: &Protocol, world: &World) -> bool {
    let whole = world.directory.replay();
    whole.entries().enumerate().all(|(at, entry)| whole.entries().skip(at + 1).all(|later| later != entry))
}

pub(crate) fn of(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let always = ALWAYS.into_iter().map(|(name, holds)| Property::always(name, holds));
    let wanted = SOMETIMES.into_iter().filter(|(name, _)| protocol.reaches.contains(name));
    always.chain(wanted.map(|(name, holds)| Property::sometimes(name, holds))).collect()
}
