use stateright::Property;

use crate::model::Protocol;
use crate::world::*;

pub(crate) const TERMS_GROW: &str = "every term's epoch is greater than that of all earlier ones";
pub(crate) const ONE_WRITER: &str = "under one epoch at most one process writes";
pub(crate) const NO_OLD_WRITE: &str = "no write of an old term is applied after a newer term's first";
pub(crate) const ONCE: &str = "no write is applied twice";
pub(crate) const ACKNOWLEDGED: &str = "what was acknowledged was applied";
pub(crate) const STAYS: &str = "what was applied is replaced only by who has seen it";
pub(crate) const REMOVED: &str = "no late creation brings back what was removed";
pub(crate) const REFUSED: &str = "what was reported as not applied is never applied";
pub(crate) const NOT_TOO_EARLY: &str = "silence gives no latch away before its holder's valid_until";
pub(crate) const NO_OVERLAP: &str = "after silence or an orderly end, nobody believes in the former term";
pub(crate) const EVIDENCE: &str = "evidence ends the term of nobody who is alive";
pub(crate) const REQUEST: &str = "a request to step down ends no other term";
pub(crate) const HEALS: &str = "when nothing goes wrong any more, somebody leads";

pub(crate) const SECOND_TERM: &str = "a second term begins";
pub(crate) const BY_SILENCE: &str = "silence frees the latch";
pub(crate) const TAKEN_OVER: &str = "somebody takes over on evidence";
pub(crate) const CUT_OFF: &str = "a leader stops at its deadline while its session lives";
pub(crate) const UNKNOWN_WIN: &str = "an attempt wins and its answer is lost";
pub(crate) const STRAY_WIN: &str = "a late attempt wins for nobody";
pub(crate) const DEPOSED_WRITES: &str = "a deposed leader's commit is on its way";
pub(crate) const FOUND_OUT: &str = "a lost answer is found out: applied";
pub(crate) const STAYS_UNKNOWN: &str = "a write that was applied stays unknown to who made it";
pub(crate) const RAISED: &str = "the barrier is raised while a creation is on its way";
pub(crate) const YIELDED: &str = "somebody else leads after a request to step down";

type Holds = fn(&Protocol, &World) -> bool;

const ALWAYS: [(&str, Holds); 12] = [
    (TERMS_GROW, |_, world| !world.witness.broken.terms),
    (ONE_WRITER, |_, world| !world.witness.broken.two_writers),
    (NO_OLD_WRITE, |_, world| !world.witness.broken.old_write),
    (ONCE, |_, world| !world.witness.broken.applied_twice),
    (ACKNOWLEDGED, |_, world| world.witness.acknowledged & !world.witness.applied == 0),
    (STAYS, |_, world| !world.witness.broken.lost_update),
    (REMOVED, |_, world| !world.witness.broken.resurrected),
    (REFUSED, |_, world| world.witness.refused & world.witness.applied == 0),
    (NOT_TOO_EARLY, |_, world| !world.witness.broken.too_early),
    (NO_OVERLAP, |_, world| !world.witness.broken.overlap),
    (EVIDENCE, |_, world| !world.witness.broken.evicted_alive),
    (REQUEST, |_, world| !world.witness.broken.deposed_other),
];

const SOMETIMES: [(&str, Holds); 11] = [
    (SECOND_TERM, |_, world| world.witness.greatest_epoch == 2),
    (BY_SILENCE, |_, world| world.store.freed == Freed::BySilence),
    (TAKEN_OVER, |_, world| world.store.freed == Freed::OnEvidence && world.store.latch.is_some()),
    (CUT_OFF, |_, world| {
        let holder =
            world.store.latch.and_then(|term| world.store.sessions.iter().find(|it| it.number == term.session));
        let left = |it: &Process, number| it.leaving.iter().any(|leaving| leaving.session == number);
        holder.is_some_and(|it| it.remaining > 0 && left(&world.processes[usize::from(it.owner)], it.number))
    }),
    (UNKNOWN_WIN, |_, world| {
        let own = |it: &Process, term: Term| it.session.is_some_and(|own| own.number == term.session);
        let unknowing = |term| world.processes.iter().any(|it| own(it, term) && it.phase == Phase::Pausing);
        world.store.latch.is_some_and(unknowing)
    }),
    (STRAY_WIN, |_, world| {
        let left = |term: Term, it: &Process| it.leaving.iter().any(|leaving| leaving.session == term.session);
        world.store.latch.is_some_and(|term| world.processes.iter().any(|it| left(term, it)))
    }),
    (DEPOSED_WRITES, |_, world| {
        world.late.iter().any(|it| matches!(it, Late::Commit(commit) if commit.term.epoch < world.store.epoch))
    }),
    (FOUND_OUT, |_, world| {
        let applied = |op: Op| op.lost && world.witness.applied & (1 << (op.commit.id & 7)) != 0;
        world.processes.iter().any(|it| it.op.is_some_and(applied))
    }),
    (STAYS_UNKNOWN, |_, world| {
        let busy = world.processes.iter().any(|it| it.op.is_some());
        !busy && world.witness.applied & !world.witness.acknowledged != 0
    }),
    (RAISED, |_, world| {
        let creates = |it: &Late| matches!(it, Late::Commit(commit) if commit.kind == Kind::Create);
        world.store.barrier.revision != 0 && world.late.iter().any(creates)
    }),
    (YIELDED, |_, world| {
        let (request, latch) = (world.store.request, world.store.latch);
        let yields = |it: &Process| matches!(it.phase, Phase::Yielding { after, .. } if Some(after) == request);
        latch.is_some_and(|term| Some(term.epoch) > request) && world.processes.iter().any(yields)
    }),
];

pub(crate) fn of(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let always = ALWAYS.into_iter().map(|(name, holds)| Property::always(name, holds));
    let heals = protocol.heals.then(|| Property::always(HEALS, |it: &Protocol, world: &World| it.heals(world)));
    let wanted = SOMETIMES.into_iter().filter(|(name, _)| protocol.reaches.contains(name));
    always.chain(heals).chain(wanted.map(|(name, holds)| Property::sometimes(name, holds))).collect()
}
