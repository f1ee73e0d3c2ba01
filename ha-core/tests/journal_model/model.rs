use stateright::{Model, Property};

use crate::directory::{Directory, NUMBERS};
use crate::guard::Guard;
use crate::history::{Entry, History, Number};
use crate::process::{Opened, Reader, Sweep, Writer, WriterStep};
use crate::properties;

/// A protocol among so many processes, with so many faults.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    pub(crate) name: &'static str,
    /// The batches that each writer has.
    pub(crate) batches: &'static [u8],
    pub(crate) readers: usize,
    pub(crate) sweepers: usize,
    /// Every so many entries are a point. 0: there are no snapshots.
    pub(crate) interval: Number,
    /// Answers to links that are lost.
    pub(crate) lost_answers: u8,
    pub(crate) power_losses: u8,
    /// Whether writers crash and come back.
    pub(crate) crashes: bool,
    /// Whether a snapshot loses its content.
    pub(crate) damage: bool,
    /// The guard that is left out.
    pub(crate) without: Option<Guard>,
    /// What must be reachable, by its name, so that the model is not empty.
    pub(crate) reaches: &'static [&'static str],
}

/// Everything that there is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) directory: Directory,
    pub(crate) writers: Vec<Writer>,
    pub(crate) readers: Vec<Reader>,
    pub(crate) sweeps: Vec<Option<Sweep>>,
    /// The longest history that was acknowledged.
    pub(crate) acknowledged: History,
    /// The longest history that anybody answered from who is gone.
    pub(crate) answered: History,
    pub(crate) broken: Broken,
    pub(crate) lost_answers: u8,
    pub(crate) power_losses: u8,
}

/// What happened and must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Broken {
    pub(crate) two_winners: bool,
    pub(crate) epoch_twice: bool,
    pub(crate) stale_answer: bool,
}

/// One step of one process, or a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// The writer links its entry to the number, and is answered.
    Link(usize),
    /// The link takes place; the answer says otherwise.
    LinkAnswerLost(usize),
    /// The link does not take place now; perhaps later.
    LinkDelayed(usize),
    LateLink(usize),
    /// The writer opens the number that it doubts.
    Look(usize),
    /// The writer fsyncs the directory, looks up the floor and decides.
    Settle(usize),
    /// The writer crashes and opens the journal anew.
    Crash(usize),
    ReaderOpens(usize),
    ReaderSettles(usize),
    PutSnapshot(Number, History),
    /// The sweeper looks up the floor and fsyncs the names of the snapshots.
    SweepBegins(usize),
    SweepRemoves(usize),
    Damage(Number),
    PowerLoss {
        entries: u8,
        snapshots: u8,
    },
}

impl Protocol {
    pub(crate) fn lacks(&self, guard: Guard) -> bool {
        self.without == Some(guard)
    }

    /// The floor as a process knows it that has now done its operation: looked up now, or from before it.
    pub(crate) fn floor(&self, world: &World, known: Number) -> Number {
        if self.lacks(Guard::FloorLookedUpAfter) { known } else { world.directory.floor(self.interval) }
    }

    /// What a process remembers of the floor; nothing if it looks it up each time.
    pub(crate) fn remembered(&self, world: &World) -> Number {
        if self.lacks(Guard::FloorLookedUpAfter) { world.directory.floor(self.interval) } else { 0 }
    }

    /// The batches of the first writer are 1, 2, …; those of the second follow.
    pub(crate) fn entry(&self, writer: usize, batch: u8) -> Entry {
        self.batches[..writer].iter().sum::<u8>() + batch + 1
    }

    /// Every other entry acquires the latch.
    pub(crate) fn acquires(entry: Entry) -> bool {
        entry % 2 == 1
    }

    /// Who got epoch 1, 2, …
    pub(crate) fn holders(history: History) -> History {
        history.entries().filter(|entry| Self::acquires(*entry)).fold(History::default(), History::and)
    }

    fn writer_actions(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let writer = &world.writers[at];
        match writer.step {
            WriterStep::Ready if writer.entry != 0 || writer.begun < self.batches[at] => {
                if usize::from(writer.number()) <= NUMBERS {
                    actions.push(Action::Link(at));
                    if world.lost_answers > 0 {
                        actions.push(Action::LinkAnswerLost(at));
                        if writer.late.is_none() && !world.directory.entries.has(writer.number()) {
                            actions.push(Action::LinkDelayed(at));
                        }
                    }
                }
            }
            WriterStep::Ready => {}
            WriterStep::Doubting => actions.push(Action::Look(at)),
            WriterStep::Linked | WriterStep::Looked { .. } => actions.push(Action::Settle(at)),
        }
        if writer.late.is_some_and(|(_, number)| !world.directory.entries.has(number)) {
            actions.push(Action::LateLink(at));
        }
        if self.crashes && (writer.entry != 0 || writer.history != world.directory.load()) {
            actions.push(Action::Crash(at));
        }
    }

    fn snapshot_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let histories = world.writers.iter().map(|it| it.history).chain(world.readers.iter().map(|it| it.history));
        for history in histories {
            for number in (self.interval..=history.len()).step_by(self.interval.into()) {
                let action = Action::PutSnapshot(number, history.up_to(number));
                if !world.directory.snapshots.has(number) && !actions.contains(&action) {
                    actions.push(action);
                }
            }
        }
        for (at, sweep) in world.sweeps.iter().enumerate() {
            match sweep {
                None if world.directory.newest_snapshot() > self.interval => actions.push(Action::SweepBegins(at)),
                None => {}
                Some(_) => actions.push(Action::SweepRemoves(at)),
            }
        }
        let newest = world.directory.newest_snapshot();
        if self.damage && world.directory.damaged == 0 && newest != 0 {
            actions.push(Action::Damage(newest));
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            directory: Directory::default(),
            writers: vec![Writer::default(); self.batches.len()],
            readers: vec![Reader::default(); self.readers],
            sweeps: vec![None; self.sweepers],
            acknowledged: History::default(),
            answered: History::default(),
            broken: Broken::default(),
            lost_answers: self.lost_answers,
            power_losses: self.power_losses,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        (0..self.batches.len()).for_each(|at| self.writer_actions(world, at, actions));
        for (at, reader) in world.readers.iter().enumerate() {
            let whole = usize::from(reader.history.len()) == NUMBERS;
            actions.extend((!whole).then_some(match reader.opened {
                None => Action::ReaderOpens(at),
                Some(_) => Action::ReaderSettles(at),
            }));
        }
        if self.interval > 0 {
            self.snapshot_actions(world, actions);
        }
        if world.power_losses > 0 {
            let losses = world.directory.power_losses();
            actions.extend(losses.map(|(entries, snapshots)| Action::PowerLoss { entries, snapshots }));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Link(at) | Action::LinkAnswerLost(at) | Action::LinkDelayed(at) => {
                self.link(&mut next, at, &action);
            }
            Action::LateLink(at) => {
                let (entry, number) = next.writers[at].late.take()?;
                next.directory.entries.set(number, entry);
            }
            Action::Look(at) => {
                let found = next.directory.entries.get(next.writers[at].number());
                next.writers[at].step = WriterStep::Looked { found };
            }
            Action::Settle(at) => self.settle(&mut next, at),
            Action::Crash(at) => {
                next.writers[at].give_up();
                next.writers[at].history = next.directory.load();
            }
            Action::ReaderOpens(at) => {
                let found = next.directory.entries.get(next.readers[at].history.next());
                next.readers[at].opened = Some(Opened { found, due: next.acknowledged.len() });
            }
            Action::ReaderSettles(at) => self.reader_settles(&mut next, at),
            Action::PutSnapshot(number, history) => next.directory.snapshots.set(number, history),
            Action::SweepBegins(at) => self.sweep_begins(&mut next, at),
            Action::SweepRemoves(at) => Self::sweep_removes(&mut next, at),
            Action::Damage(number) => next.directory.damaged = number,
            Action::PowerLoss { entries, snapshots } => self.lose_power(&mut next, entries, snapshots),
        }
        // Sweepers are all alike.
        next.sweeps.sort();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}
