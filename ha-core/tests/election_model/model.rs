use stateright::{Model, Property};

use crate::guard::Guard;
use crate::properties;
use crate::world::*;

/// Election and fencing among so many processes, with so many faults.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    pub(crate) name: &'static str,
    pub(crate) processes: usize,
    /// The latch is won so often.
    pub(crate) terms: u8,
    pub(crate) budget: Budget,
    /// Whether time goes on: without, no session is ever silent.
    pub(crate) time: bool,
    /// Whether the sessions are shared with other latches, so that leaving one does not close it.
    pub(crate) shared: bool,
    /// Whether crashes are found out without silence.
    pub(crate) evidence: bool,
    /// Whether somebody must lead again from every state; see `calm`.
    pub(crate) heals: bool,
    /// The guard that is left out.
    pub(crate) without: Option<Guard>,
    /// What must be reachable, by its name, so that the model is not empty.
    pub(crate) reaches: &'static [&'static str],
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Answered,
    /// It is applied, and the answer lost.
    Lost,
    /// Nobody answers; it arrives later, or never.
    Late,
}

/// One step of one process, of the store, or a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Time goes on, for everybody.
    Tick,
    /// Somebody begins to want to lead, and opens a session.
    Want(usize),
    /// The attempt on the latch comes to its end.
    Acquire(usize, Fate),
    /// The watch on the latch tells of a change.
    Wake(usize),
    /// A pause is over; a session is opened if there is none.
    PauseOver(usize),
    /// A renewal is sent, arrives, and is acknowledged.
    Renew(usize),
    RenewalSent(usize),
    RenewalArrives(usize),
    RenewalAcknowledged(usize),
    /// Silence ends the session.
    Expire(u8),
    /// The process hears of what became of its session and its latch.
    Notice(usize),
    /// The leadership, or the candidacy, is given up.
    Resign(usize),
    /// The candidacy is given up, and the attempt of that moment goes on its way.
    ResignOnTheWay(usize),
    /// The release comes to its end; what is late here never arrives.
    Release(usize, Fate),
    /// A session that was left is closed, or the latch released on it again.
    Leave(usize, u8),
    Crash(usize),
    Restart(usize),
    /// There is evidence that the holder's process is dead.
    Evidence(usize),
    /// An operator ends the session that holds the latch.
    End,
    /// An operator asks whoever leads to step down.
    Ask,
    /// The leader finds the request.
    StepDown(usize),
    /// A leader begins to write.
    Begin(usize, Kind),
    /// Its commit, or a repetition of it, comes to its end.
    Commit(usize, Fate),
    /// It is not found out in time what became of it.
    GiveUp(usize),
    /// A late copy arrives.
    Arrive(usize),
}

impl Protocol {
    pub(crate) fn lacks(&self, guard: Guard) -> bool {
        self.without == Some(guard)
    }

    fn time_may_pass(world: &World) -> bool {
        world.processes.iter().all(|it| {
            let called = matches!(it.phase, Phase::Attempting { .. } | Phase::Releasing { .. });
            !called && it.op.is_none()
        })
    }

    fn fates(world: &World, at: usize, action: fn(usize, Fate) -> Action, actions: &mut Vec<Action>) {
        actions.push(action(at, Fate::Answered));
        actions.extend((world.left.lost > 0).then_some(action(at, Fate::Lost)));
        actions.extend((world.left.late > 0).then_some(action(at, Fate::Late)));
    }

    fn election_actions(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let (process, left) = (&world.processes[at], &world.left);
        match process.phase {
            Phase::Down => actions.push(Action::Restart(at)),
            Phase::Out | Phase::Yielding { wanted: false, .. } => actions.push(Action::Want(at)),
            Phase::Attempting { .. } => {
                Self::fates(world, at, Action::Acquire, actions);
                actions.extend((left.late > 0 && left.resigns > 0).then_some(Action::ResignOnTheWay(at)));
            }
            Phase::Waiting { on, .. } => {
                let changed = world.store.latch.is_none_or(|term| term.epoch != on);
                actions.extend(changed.then_some(Action::Wake(at)));
                actions.extend((self.evidence && Self::is_dead(world, on)).then_some(Action::Evidence(at)));
            }
            Phase::Pausing => actions.push(Action::PauseOver(at)),
            Phase::Releasing { .. } => Self::fates(world, at, Action::Release, actions),
            Phase::Leading { .. } | Phase::Yielding { .. } => {}
        }
        let candidate =
            matches!(process.phase, Phase::Attempting { .. } | Phase::Waiting { .. } | Phase::Leading { .. });
        actions.extend((candidate && left.resigns > 0).then_some(Action::Resign(at)));
        actions.extend((process.phase != Phase::Down && left.crashes > 0).then_some(Action::Crash(at)));
        actions.extend(self.has_news(world, at).then_some(Action::Notice(at)));
        actions.extend(process.leaving.iter().map(|leaving| Action::Leave(at, leaving.session)));
        if let (Phase::Leading { epoch }, Some(request)) = (process.phase, world.store.request) {
            actions.extend((request == epoch || self.lacks(Guard::RequestNamesTerm)).then_some(Action::StepDown(at)));
        }
    }

    fn renewal_actions(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let leads = matches!(world.processes[at].phase, Phase::Leading { .. });
        let Some(own) = world.processes[at].session.filter(|_| self.time && leads) else { return };
        match own.renewal {
            None => {
                let alive = world.store.sessions.iter().find(|it| it.number == own.number);
                let needed = alive.is_some_and(|it| it.remaining < SILENCE) || own.valid < SILENCE;
                actions.extend((alive.is_some() && needed).then_some(Action::Renew(at)));
                actions.extend((world.left.slow_renewals > 0).then_some(Action::RenewalSent(at)));
            }
            Some(Renewal { arrived: false, .. }) => actions.push(Action::RenewalArrives(at)),
            Some(Renewal { arrived: true, .. }) => actions.push(Action::RenewalAcknowledged(at)),
        }
    }

    fn write_actions(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let process = &world.processes[at];
        if process.op.is_some() {
            Self::fates(world, at, Action::Commit, actions);
            actions.extend(process.op.is_some_and(|op| op.lost).then_some(Action::GiveUp(at)));
        } else if matches!(process.phase, Phase::Leading { .. }) && process.is_valid() && world.left.writes > 0 {
            match world.store.record.revision {
                0 => actions.push(Action::Begin(at, Kind::Create)),
                _ => actions.extend([Action::Begin(at, Kind::Replace), Action::Begin(at, Kind::Remove)]),
            }
        }
    }

    fn store_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let due = world.store.sessions.iter().filter(|it| self.time && self.is_due(it));
        actions.extend(due.map(|it| Action::Expire(it.number)));
        actions.extend((0..world.late.len()).map(Action::Arrive));
        if world.store.latch.is_some() {
            actions.extend((world.left.ends > 0).then_some(Action::End));
            actions.extend((world.left.asks > 0).then_some(Action::Ask));
        }
        actions.extend((self.time && Self::time_may_pass(world)).then_some(Action::Tick));
    }

    pub(crate) fn step(&self, world: &World, action: Action) -> World {
        let mut next = world.clone();
        match action {
            Action::Tick => self.tick(&mut next),
            Action::Renew(at) => self.renew(&mut next, at),
            Action::RenewalSent(at) => self.send_renewal(&mut next, at),
            Action::RenewalArrives(at) => Self::renewal_arrives(&mut next, at),
            Action::RenewalAcknowledged(at) => self.acknowledge_renewal(&mut next, at),
            Action::Expire(session) => self.expire(&mut next, session),
            Action::Begin(at, kind) => self.begin(&mut next, at, kind),
            Action::Commit(at, fate) => self.commit_ends(&mut next, at, fate),
            Action::GiveUp(at) => Self::give_up(&mut next, at),
            Action::Arrive(at) => match next.late.remove(at) {
                Late::Attempt { session, over } => drop(self.acquire(&mut next, session, over)),
                Late::Commit(commit) => drop(self.commit(&mut next, commit)),
            },
            Action::End => {
                next.left.ends -= 1;
                if let Some(term) = next.store.latch {
                    self.end(&mut next, term.session, Freed::ByOperator);
                }
            }
            Action::Ask => {
                next.left.asks -= 1;
                next.store.request = next.store.latch.map(|term| term.epoch);
            }
            action => self.elect(&mut next, action),
        }
        next.late.sort_unstable();
        next.store.sessions.sort_unstable();
        next.processes.iter_mut().for_each(|it| it.leaving.sort_unstable());
        next
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            store: Store::default(),
            processes: vec![Process::new(); self.processes],
            late: Vec::new(),
            left: self.budget,
            witness: Witness::default(),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for at in 0..self.processes {
            self.election_actions(world, at, actions);
            self.renewal_actions(world, at, actions);
            self.write_actions(world, at, actions);
        }
        self.store_actions(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let next = self.step(world, action);
        (next != *world).then_some(next)
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.witness.wins <= self.terms
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}
