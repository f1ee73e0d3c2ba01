/// How many ticks a session may be silent.
pub(crate) const SILENCE: u8 = 2;

/// A leadership, as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Term {
    pub(crate) epoch: u8,
    pub(crate) session: u8,
}

/// A session at the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session {
    pub(crate) number: u8,
    pub(crate) owner: u8,
    /// Ticks of silence that are left.
    pub(crate) remaining: u8,
    /// It has taken the latch, now or before.
    pub(crate) taken: bool,
    /// Its process has crashed.
    pub(crate) orphan: bool,
    /// It is renewed whatever becomes of this latch: others are held on it.
    pub(crate) kept: bool,
}

/// What a key holds: the last write that was applied to it, and its revision; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Content {
    pub(crate) write: u8,
    pub(crate) revision: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Store {
    pub(crate) latch: Option<Term>,
    pub(crate) epoch: u8,
    pub(crate) sessions: Vec<Session>,
    pub(crate) record: Content,
    pub(crate) barrier: Content,
    /// Counts revisions of all keys.
    pub(crate) revisions: u8,
    /// The term that an operator asks to end.
    pub(crate) request: Option<u8>,
    /// Why the latch became free last.
    pub(crate) freed: Freed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Freed {
    #[default]
    Never,
    /// Released, or its session closed.
    InOrder,
    BySilence,
    ByOperator,
    OnEvidence,
}

/// Where a process stands: as the state of the election's machine, with what the model needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Crashed.
    Down,
    /// Does not want to lead.
    Out,
    /// An attempt is under way; it may end that term.
    Attempting {
        over: Option<u8>,
    },
    /// Somebody else held the latch under that term; for so many ticks.
    Waiting {
        on: u8,
        waited: u8,
    },
    Pausing,
    Leading {
        epoch: u8,
    },
    Releasing {
        epoch: u8,
        yields: bool,
    },
    Yielding {
        after: u8,
        wanted: bool,
    },
}

/// A session as its owner knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owned {
    pub(crate) number: u8,
    /// Ticks up to its deadline.
    pub(crate) valid: u8,
    pub(crate) renewal: Option<Renewal>,
    /// An attempt on it may still be on its way.
    pub(crate) in_doubt: bool,
}

/// A renewal on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Renewal {
    /// Ticks since it was sent.
    pub(crate) age: u8,
    pub(crate) arrived: bool,
}

/// A session that was left and that the store may not know of yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Leaving {
    pub(crate) session: u8,
    pub(crate) in_doubt: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Create,
    Replace,
    Remove,
    /// Raises the barrier, before a removal.
    Raise,
}

/// A commit, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Commit {
    pub(crate) id: u8,
    pub(crate) by: u8,
    pub(crate) term: Term,
    pub(crate) kind: Kind,
    /// The revision that it replaces; 0: the key is absent.
    pub(crate) expect: u8,
    /// The write that it was made after. No real commit carries that: it is what must not change.
    pub(crate) basis: u8,
    /// The revision of the barrier that it checks.
    pub(crate) barrier: Option<u8>,
}

/// A write that a process waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Op {
    pub(crate) commit: Commit,
    /// An answer was lost: it is being found out.
    pub(crate) lost: bool,
    /// It creates what was not in doubt before: an answer settles that.
    pub(crate) settles: bool,
}

/// What a leader remembers of the barrier, for one term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Book {
    pub(crate) epoch: u8,
    pub(crate) stands: Option<u8>,
    /// The creation of the record was in doubt.
    pub(crate) doubtful: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) phase: Phase,
    pub(crate) session: Option<Owned>,
    pub(crate) leaving: Vec<Leaving>,
    pub(crate) op: Option<Op>,
    pub(crate) book: Book,
}

/// A copy that the network still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Late {
    Attempt { session: u8, over: Option<u8> },
    Commit(Commit),
}

/// How often what may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// Answers that are lost.
    pub(crate) lost: u8,
    /// Requests that arrive late, or never.
    pub(crate) late: u8,
    pub(crate) crashes: u8,
    /// Sessions that an operator ends.
    pub(crate) ends: u8,
    /// Leaderships and candidacies that are given up.
    pub(crate) resigns: u8,
    pub(crate) writes: u8,
    /// Renewals that take their time in both directions.
    pub(crate) slow_renewals: u8,
    /// Requests to step down.
    pub(crate) asks: u8,
}

/// What nobody in the model knows, and all properties are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Witness {
    pub(crate) wins: u8,
    pub(crate) greatest_epoch: u8,
    /// The greatest epoch of a write that was applied.
    pub(crate) written_under: u8,
    /// Who wrote under each epoch: the process and 1.
    pub(crate) writers: [u8; 5],
    /// Writes as bits.
    pub(crate) applied: u8,
    pub(crate) acknowledged: u8,
    pub(crate) refused: u8,
    pub(crate) broken: Broken,
}

/// What happened and must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Broken {
    pub(crate) terms: bool,
    pub(crate) old_write: bool,
    pub(crate) two_writers: bool,
    pub(crate) applied_twice: bool,
    pub(crate) lost_update: bool,
    pub(crate) resurrected: bool,
    pub(crate) too_early: bool,
    pub(crate) overlap: bool,
    pub(crate) evicted_alive: bool,
    pub(crate) deposed_other: bool,
}

/// Everything that there is at a moment. There is no clock in it: all deadlines are relative, so that time has no end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) processes: Vec<Process>,
    pub(crate) late: Vec<Late>,
    pub(crate) left: Budget,
    pub(crate) witness: Witness,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Out, session: None, leaving: Vec::new(), op: None, book: Book::default() }
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.session.is_some_and(|session| session.valid > 0)
    }
}

impl World {
    /// The smallest number that no session has, and nobody speaks of.
    pub(crate) fn free_number(&self) -> u8 {
        let used = |number: u8| {
            let late = |it: &Late| match it {
                Late::Attempt { session, .. } => *session == number,
                Late::Commit(commit) => commit.term.session == number,
            };
            let spoken_of = |it: &Process| {
                it.session.is_some_and(|session| session.number == number)
                    || it.leaving.iter().any(|leaving| leaving.session == number)
                    || it.op.is_some_and(|op| op.commit.term.session == number)
            };
            self.store.sessions.iter().any(|it| it.number == number)
                || self.store.latch.is_some_and(|term| term.session == number)
                || self.late.iter().any(late)
                || self.processes.iter().any(spoken_of)
        };
        (1..u8::MAX).find(|number| !used(*number)).unwrap_or(u8::MAX)
    }

    /// Whether that process leads, as the store has it too.
    pub(crate) fn leads(&self, at: usize) -> bool {
        let process = &self.processes[at];
        matches!((process.phase, process.session, self.store.latch), (Phase::Leading { epoch }, Some(session), Some(term))
            if term == Term { epoch, session: session.number } && session.valid > 0)
    }
}
