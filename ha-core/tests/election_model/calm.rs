use crate::model::{Action, Fate, Protocol};
use crate::world::*;

/// Within so many ticks somebody leads, once nothing goes wrong any more.
const TICKS: usize = 4 * SILENCE as usize;
/// More steps than one process has between two ticks.
const STEPS: usize = 12;

impl Protocol {
    /// Whether somebody leads before long if nothing goes wrong from here on. Everybody who can takes part; all
    /// watches stay silent; and late copies arrive one by one.
    pub(crate) fn heals(&self, world: &World) -> bool {
        let mut world = world.clone();
        for _ in 0..TICKS {
            for at in 0..world.processes.len() {
                for _ in 0..STEPS {
                    let Some(action) = self.due(&world, at) else { break };
                    world = self.step(&world, action);
                }
            }
            if (0..world.processes.len()).any(|at| world.leads(at)) {
                return true;
            }
            if !world.late.is_empty() {
                world = self.step(&world, Action::Arrive(0));
            }
            world = self.step(&world, Action::Tick);
            for session in world.store.sessions.clone() {
                if self.is_due(&session) {
                    world = self.step(&world, Action::Expire(session.number));
                }
            }
        }
        false
    }

    /// What the process does next.
    fn due(&self, world: &World, at: usize) -> Option<Action> {
        let process = &world.processes[at];
        if let Some(leaving) = process.leaving.iter().find(|it| self.may_matter(world, it)) {
            return Some(Action::Leave(at, leaving.session));
        }
        if process.op.is_some() {
            return Some(Action::Commit(at, Fate::Answered));
        }
        if let Some(own) = process.session {
            let alive = world.store.sessions.iter().any(|it| it.number == own.number);
            match own.renewal {
                Some(Renewal { arrived: true, .. }) => return Some(Action::RenewalAcknowledged(at)),
                Some(_) => return Some(Action::RenewalArrives(at)),
                None if alive && own.valid < SILENCE => return Some(Action::Renew(at)),
                None => {}
            }
        }
        match process.phase {
            Phase::Down => Some(Action::Restart(at)),
            Phase::Out | Phase::Yielding { wanted: false, .. } => Some(Action::Want(at)),
            Phase::Attempting { .. } => Some(Action::Acquire(at, Fate::Answered)),
            Phase::Pausing => Some(Action::PauseOver(at)),
            Phase::Releasing { .. } => Some(Action::Release(at, Fate::Answered)),
            Phase::Leading { .. } | Phase::Waiting { .. } => self.has_news(world, at).then_some(Action::Notice(at)),
            Phase::Yielding { .. } => None,
        }
    }

    /// Whether leaving that session changes something.
    fn may_matter(&self, world: &World, leaving: &Leaving) -> bool {
        !self.shared || !leaving.in_doubt || world.store.latch.is_some_and(|term| term.session == leaving.session)
    }
}
