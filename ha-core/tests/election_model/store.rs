use crate::guard::Guard;
use crate::model::Protocol;
use crate::world::*;

/// What an attempt on the latch is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    Won(Term),
    Held(Term),
    /// The session is over, or has held the latch before.
    Refused,
}

/// What a commit is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    Conflict { barrier: bool },
    Fenced,
}

/// What the store does in one atomic step each.
impl Protocol {
    pub(crate) fn acquire(&self, world: &mut World, session: u8, over: Option<u8>) -> Acquired {
        let Some(at) = world.store.sessions.iter().position(|it| it.number == session) else {
            return Acquired::Refused;
        };
        if let Some(term) = world.store.latch.filter(|term| term.session == session) {
            return Acquired::Won(term);
        }
        if world.store.sessions[at].taken && !self.lacks(Guard::OncePerSession) {
            return Acquired::Refused;
        }
        if let Some(term) = world.store.latch {
            if over != Some(term.epoch) && !(over.is_some() && self.lacks(Guard::ExactTerm)) {
                return Acquired::Held(term);
            }
            let orphan = world.store.sessions.iter().find(|it| it.number == term.session).is_none_or(|it| it.orphan);
            world.witness.broken.evicted_alive |= !orphan;
            self.free(world, Freed::OnEvidence);
        }
        world.store.sessions[at].taken = true;
        let raised = if self.lacks(Guard::EpochRaised) { 0 } else { 1 };
        world.store.epoch = (world.store.epoch + raised).max(1);
        let term = Term { epoch: world.store.epoch, session };
        world.store.latch = Some(term);
        let witness = &mut world.witness;
        witness.wins += 1;
        witness.broken.terms |= term.epoch <= witness.greatest_epoch;
        witness.greatest_epoch = witness.greatest_epoch.max(term.epoch);
        let ends_in_order = matches!(world.store.freed, Freed::InOrder | Freed::BySilence);
        let believes = |it: &Process| it.session.is_some_and(|own| own.number != session) && self.believes(it);
        world.witness.broken.overlap |= ends_in_order && world.processes.iter().any(believes);
        Acquired::Won(term)
    }

    /// Whether a process would tell its application that it leads.
    pub(crate) fn believes(&self, process: &Process) -> bool {
        let granted = match process.phase {
            Phase::Leading { .. } => true,
            Phase::Releasing { .. } => self.lacks(Guard::EndBeforeRelease),
            _ => false,
        };
        granted && (process.is_valid() || self.lacks(Guard::Deadline))
    }

    fn free(&self, world: &mut World, freed: Freed) {
        world.store.latch = None;
        world.store.freed = freed;
        if self.lacks(Guard::EpochKept) {
            world.store.epoch = 0;
        }
    }

    pub(crate) fn release(&self, world: &mut World, session: u8, freed: Freed) {
        if world.store.latch.is_some_and(|term| term.session == session) {
            self.free(world, freed);
        }
    }

    pub(crate) fn end(&self, world: &mut World, session: u8, freed: Freed) {
        self.release(world, session, freed);
        world.store.sessions.retain(|it| it.number != session);
    }

    /// Silence ends a session.
    pub(crate) fn expire(&self, world: &mut World, session: u8) {
        let valid = |it: &Process| it.session.is_some_and(|own| own.number == session && own.valid > 0);
        world.witness.broken.too_early |= world.processes.iter().any(valid);
        self.end(world, session, Freed::BySilence);
    }

    /// Whether silence may end that session now.
    pub(crate) fn is_due(&self, session: &Session) -> bool {
        let margin = u8::from(self.lacks(Guard::WholeSilence));
        session.remaining <= margin && !session.kept
    }

    pub(crate) fn commit(&self, world: &mut World, commit: Commit) -> Outcome {
        if world.store.latch != Some(commit.term) && !self.lacks(Guard::Fence) {
            return Outcome::Fenced;
        }
        let raises = commit.kind == Kind::Raise;
        let found = if raises { world.store.barrier } else { world.store.record };
        if found.revision != commit.expect && !self.lacks(Guard::Expectations) {
            return Outcome::Conflict { barrier: raises };
        }
        if commit.barrier.is_some_and(|stands| stands != world.store.barrier.revision) && !self.lacks(Guard::Barrier) {
            return Outcome::Conflict { barrier: true };
        }
        world.store.revisions += 1;
        let revision = match commit.kind {
            Kind::Remove => 0,
            _ if self.lacks(Guard::RevisionsNeverRepeat) => found.revision + 1,
            _ => world.store.revisions,
        };
        let written = Content { write: commit.id, revision };
        if raises {
            world.store.barrier = written;
        } else {
            world.store.record = written;
            Self::witness(world, commit, found);
        }
        Outcome::Applied
    }

    fn witness(world: &mut World, commit: Commit, found: Content) {
        let (witness, epoch) = (&mut world.witness, commit.term.epoch);
        let broken = &mut witness.broken;
        broken.old_write |= epoch < witness.written_under;
        witness.written_under = witness.written_under.max(epoch);
        let writer = &mut witness.writers[usize::from(epoch)];
        broken.two_writers |= *writer != 0 && *writer != commit.by + 1;
        *writer = commit.by + 1;
        broken.applied_twice |= witness.applied & (1 << commit.id) != 0;
        let stale = found.write != commit.basis;
        broken.resurrected |= stale && commit.kind == Kind::Create;
        broken.lost_update |= stale && commit.kind != Kind::Create;
        witness.applied |= 1 << commit.id;
    }
}
