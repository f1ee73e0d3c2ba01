use crate::guard::Guard;
use crate::model::{Action, Fate, Protocol};
use crate::store::Acquired;
use crate::world::*;

/// What a process does, as the election's machine and its runner do it.
impl Protocol {
    pub(crate) fn elect(&self, world: &mut World, action: Action) {
        match action {
            Action::Want(at) => Self::want(world, at),
            Action::Acquire(at, fate) => self.attempt_ends(world, at, fate),
            Action::Wake(at) => world.processes[at].phase = Phase::Attempting { over: None },
            Action::PauseOver(at) => Self::contend(world, at),
            Action::Notice(at) => self.notice(world, at),
            Action::Resign(at) => {
                world.left.resigns -= 1;
                self.resign(world, at);
            }
            Action::ResignOnTheWay(at) => {
                world.left.resigns -= 1;
                world.left.late -= 1;
                let process = &world.processes[at];
                if let (Phase::Attempting { over }, Some(own)) = (process.phase, process.session) {
                    world.late.push(Late::Attempt { session: own.number, over });
                }
                self.resign(world, at);
            }
            Action::Release(at, fate) => self.release_ends(world, at, fate),
            Action::Leave(at, session) => self.leave_ends(world, at, session),
            Action::Crash(at) => {
                world.left.crashes -= 1;
                world
                    .store
                    .sessions
                    .iter_mut()
                    .filter(|it| usize::from(it.owner) == at)
                    .for_each(|it| it.orphan = true);
                world.processes[at] = Process { phase: Phase::Down, ..Process::new() };
            }
            Action::Restart(at) => world.processes[at].phase = Phase::Out,
            Action::Evidence(at) => {
                if let Phase::Waiting { on, .. } = world.processes[at].phase {
                    world.processes[at].phase = Phase::Attempting { over: Some(on) };
                }
            }
            Action::StepDown(at) => {
                if let Phase::Leading { epoch } = world.processes[at].phase {
                    world.witness.broken.deposed_other |= world.store.request != Some(epoch);
                    world.processes[at].phase = Phase::Releasing { epoch, yields: true };
                }
            }
            _ => {}
        }
    }

    fn want(world: &mut World, at: usize) {
        match &mut world.processes[at].phase {
            Phase::Yielding { wanted, .. } => *wanted = true,
            _ => Self::contend(world, at),
        }
    }

    /// Tries for the latch, on a new session if there is none.
    pub(crate) fn contend(world: &mut World, at: usize) {
        if world.processes[at].session.is_none() {
            Self::open(world, at);
        }
        world.processes[at].phase = Phase::Attempting { over: None };
    }

    fn open(world: &mut World, at: usize) {
        let number = world.free_number();
        let (remaining, owner) = (SILENCE, at as u8);
        let session = Session { number, owner, remaining, taken: false, orphan: false, kept: false };
        world.store.sessions.push(session);
        let process = &mut world.processes[at];
        process.session = Some(Owned { number, valid: SILENCE, renewal: None, in_doubt: false });
    }

    fn attempt_ends(&self, world: &mut World, at: usize, fate: Fate) {
        let process = &world.processes[at];
        let (Phase::Attempting { over }, Some(own)) = (process.phase, process.session) else { return };
        match fate {
            Fate::Late => {
                world.left.late -= 1;
                world.late.push(Late::Attempt { session: own.number, over });
            }
            Fate::Lost => {
                world.left.lost -= 1;
                self.acquire(world, own.number, over);
            }
            Fate::Answered => {}
        }
        let answer = (fate == Fate::Answered).then(|| self.acquire(world, own.number, over));
        let process = &mut world.processes[at];
        let doubt = match answer {
            None => Some(true),
            // Every copy on its way finds that the session has taken the latch.
            Some(Acquired::Won(_)) => Some(false),
            Some(_) => self.lacks(Guard::DoubtRemains).then_some(false),
        };
        if let (Some(own), Some(doubt)) = (&mut process.session, doubt) {
            own.in_doubt = doubt;
        }
        match answer {
            None => process.phase = Phase::Pausing,
            Some(Acquired::Won(term)) => {
                process.phase = Phase::Leading { epoch: term.epoch };
                process.book = Book { epoch: term.epoch, ..Book::default() };
            }
            Some(Acquired::Held(term)) => process.phase = Phase::Waiting { on: term.epoch, waited: 0 },
            Some(Acquired::Refused) => {
                process.phase = Phase::Pausing;
                self.drop_session(world, at);
            }
        }
    }

    /// Whether a watch would tell the process something.
    pub(crate) fn has_news(&self, world: &World, at: usize) -> bool {
        let process = &world.processes[at];
        let Some(own) = process.session else {
            let newer = |after| world.store.latch.is_some_and(|term| term.epoch > after);
            return matches!(process.phase, Phase::Yielding { after, .. } if newer(after));
        };
        let ended = !world.store.sessions.iter().any(|it| it.number == own.number);
        match process.phase {
            Phase::Leading { epoch } => ended || world.store.latch != Some(Term { epoch, session: own.number }),
            Phase::Waiting { .. } => ended,
            _ => false,
        }
    }

    fn notice(&self, world: &mut World, at: usize) {
        match world.processes[at].phase {
            Phase::Yielding { wanted, .. } => Self::yielded(world, at, wanted),
            Phase::Leading { .. } => self.lose(world, at),
            _ => {
                world.processes[at].phase = Phase::Pausing;
                self.drop_session(world, at);
            }
        }
    }

    pub(crate) fn yielded(world: &mut World, at: usize, wanted: bool) {
        if wanted { Self::contend(world, at) } else { world.processes[at].phase = Phase::Out }
    }

    /// The leadership is over; whoever held it says whether it wants another.
    pub(crate) fn lose(&self, world: &mut World, at: usize) {
        world.processes[at].phase = Phase::Out;
        self.drop_session(world, at);
    }

    fn resign(&self, world: &mut World, at: usize) {
        if let Phase::Leading { epoch } = world.processes[at].phase {
            world.processes[at].phase = Phase::Releasing { epoch, yields: false };
            return;
        }
        let attempting = matches!(world.processes[at].phase, Phase::Attempting { .. });
        if let Some(own) = world.processes[at].session.as_mut().filter(|_| attempting) {
            own.in_doubt = true;
        }
        world.processes[at].phase = Phase::Out;
        self.drop_session(world, at);
    }

    fn release_ends(&self, world: &mut World, at: usize, fate: Fate) {
        let process = &world.processes[at];
        let (Phase::Releasing { epoch, yields }, Some(own)) = (process.phase, process.session) else { return };
        match fate {
            Fate::Late => world.left.late -= 1,
            Fate::Lost => world.left.lost -= 1,
            Fate::Answered => {}
        }
        if fate != Fate::Late {
            self.release(world, own.number, Freed::InOrder);
        }
        if fate == Fate::Lost && self.lacks(Guard::EndBeforeRelease) {
            // It still waits for the answer.
            return;
        }
        world.processes[at].phase = match yields {
            true => Phase::Yielding { after: epoch, wanted: false },
            false => Phase::Out,
        };
        self.drop_session(world, at);
    }

    /// The session is left: the store learns of it in its own time.
    pub(crate) fn drop_session(&self, world: &mut World, at: usize) {
        let Some(own) = world.processes[at].session.take() else { return };
        let alive = |it: &&mut Session| it.number == own.number;
        let Some(session) = world.store.sessions.iter_mut().find(alive) else { return };
        session.kept |= self.shared || self.lacks(Guard::SessionGivenUp);
        if !self.lacks(Guard::SessionGivenUp) {
            let leaving = Leaving { session: own.number, in_doubt: own.in_doubt };
            world.processes[at].leaving.push(leaving);
        }
    }

    fn leave_ends(&self, world: &mut World, at: usize, session: u8) {
        if !self.shared {
            self.end(world, session, Freed::InOrder);
            world.processes[at].leaving.retain(|it| it.session != session);
            return;
        }
        self.release(world, session, Freed::InOrder);
        let again = |it: &Leaving| it.in_doubt && !self.lacks(Guard::ReleasedAgain);
        world.processes[at].leaving.retain(|it| it.session != session || again(it));
    }

    /// Whether the process that held the latch under that epoch has crashed.
    pub(crate) fn is_dead(world: &World, epoch: u8) -> bool {
        let holder = world.store.latch.filter(|term| term.epoch == epoch);
        holder.is_some_and(|term| world.store.sessions.iter().any(|it| it.number == term.session && it.orphan))
    }
}
