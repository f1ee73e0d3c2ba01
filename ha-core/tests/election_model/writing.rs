use crate::guard::Guard;
use crate::model::{Fate, Protocol};
use crate::store::Outcome;
use crate::world::*;

/// What marks a commit that raises the barrier for the write of the other bits.
const RAISES: u8 = 0x80;

/// The one place that sends commits, and finds out what became of them.
impl Protocol {
    pub(crate) fn begin(&self, world: &mut World, at: usize, kind: Kind) {
        let (Phase::Leading { epoch }, Some(own)) = (world.processes[at].phase, world.processes[at].session) else {
            return;
        };
        let id = self.budget.writes - world.left.writes + 1;
        world.left.writes -= 1;
        let found = world.store.record;
        let (term, by) = (Term { epoch, session: own.number }, at as u8);
        let commit = Commit { id, by, term, kind, expect: found.revision, basis: found.write, barrier: None };
        self.prepare(world, at, commit);
    }

    /// Adds the check of the barrier, or raises it first.
    fn prepare(&self, world: &mut World, at: usize, mut commit: Commit) {
        let stands = world.store.barrier.revision;
        let book = &mut world.processes[at].book;
        // What was in doubt before stays so, whatever becomes of this one.
        let settles = commit.kind == Kind::Create && !book.doubtful;
        let raise = commit.kind == Kind::Remove && book.doubtful && book.epoch == commit.term.epoch;
        if commit.kind == Kind::Create {
            commit.barrier = Some(*book.stands.get_or_insert(stands));
            // Until it is answered.
            book.doubtful = true;
        }
        if raise {
            commit.barrier = Some(commit.expect);
            commit.expect = book.stands.take().unwrap_or(stands);
            (commit.kind, commit.id) = (Kind::Raise, commit.id | RAISES);
        }
        world.processes[at].op = Some(Op { commit, lost: false, settles });
    }

    pub(crate) fn commit_ends(&self, world: &mut World, at: usize, fate: Fate) {
        let Some(op) = world.processes[at].op else { return };
        let commit = op.commit;
        match fate {
            Fate::Late => {
                world.left.late -= 1;
                world.late.push(Late::Commit(travelling(commit)));
                world.processes[at].op = Some(Op { lost: true, ..op });
            }
            Fate::Lost => {
                world.left.lost -= 1;
                self.commit(world, travelling(commit));
                world.processes[at].op = Some(Op { lost: true, ..op });
            }
            Fate::Answered => {
                world.processes[at].op = None;
                let outcome = self.commit(world, travelling(commit));
                self.conclude(world, at, op, outcome);
            }
        }
    }

    fn conclude(&self, world: &mut World, at: usize, op: Op, outcome: Outcome) {
        let Op { commit, lost, settles } = op;
        let raises = commit.kind == Kind::Raise;
        let found = if raises { world.store.barrier } else { world.store.record };
        let ours = found.write == commit.id && commit.kind != Kind::Remove;
        let applied = match outcome {
            Outcome::Applied => true,
            _ if !lost => false,
            _ if ours && !self.lacks(Guard::WriteIdCompared) => true,
            Outcome::Conflict { .. } if commit.kind == Kind::Remove && found.revision == 0 => true,
            Outcome::Fenced if commit.expect != 0 && found.revision == commit.expect => false,
            Outcome::Fenced if found.revision == commit.expect && self.lacks(Guard::AbsenceProvesNothing) => false,
            _ if ours => false,
            // It stays unknown.
            _ => return,
        };
        match (applied, outcome) {
            (true, _) => Self::applied(world, at, op, found),
            (false, Outcome::Conflict { barrier: true }) if !raises && !lost => {
                let book = &mut world.processes[at].book;
                book.stands = None;
                book.doubtful &= !settles;
                self.prepare(world, at, Commit { barrier: None, ..commit });
            }
            (false, outcome) => self.refused(world, at, op, outcome),
        }
    }

    fn applied(world: &mut World, at: usize, op: Op, found: Content) {
        let Op { commit, lost, settles } = op;
        let book = &mut world.processes[at].book;
        let same_term = book.epoch == commit.term.epoch;
        if commit.kind != Kind::Raise {
            book.doubtful &= !(same_term && settles && !lost);
            // A removal that finds everything removed is as if applied, by whatever copy.
            let by_another = commit.kind == Kind::Remove && world.witness.applied & (1 << commit.id) == 0;
            world.witness.acknowledged |= u8::from(!by_another) << commit.id;
            return;
        }
        if same_term {
            (book.stands, book.doubtful) = (Some(found.revision), false);
        }
        let expect = commit.barrier.unwrap_or_default();
        let commit = Commit { id: commit.id & !RAISES, kind: Kind::Remove, expect, barrier: None, ..commit };
        world.processes[at].op = Some(Op { commit, lost: false, settles: false });
    }

    fn refused(&self, world: &mut World, at: usize, op: Op, outcome: Outcome) {
        let Op { commit, lost, settles } = op;
        let book = &mut world.processes[at].book;
        book.doubtful &= !(settles && !lost && book.epoch == commit.term.epoch);
        world.witness.refused |= 1 << (commit.id & !RAISES);
        // The store knows better than the clock.
        let leads = Phase::Leading { epoch: commit.term.epoch };
        if outcome == Outcome::Fenced && world.processes[at].phase == leads {
            self.lose(world, at);
        }
    }

    pub(crate) fn give_up(world: &mut World, at: usize) {
        world.processes[at].op = None;
        // Its pauses are shorter than that.
        if world.processes[at].phase == Phase::Pausing {
            Self::contend(world, at);
        }
    }
}

/// What a raise carries for the removal after it does not travel.
fn travelling(commit: Commit) -> Commit {
    let barrier = commit.barrier.filter(|_| commit.kind != Kind::Raise);
    Commit { barrier, ..commit }
}
