use crate::history::{Entry, History, Number};

/// Where a writer is between two of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum WriterStep {
    /// Nothing is under way; or, with an entry, it is staged and the next number is to be tried.
    #[default]
    Ready,
    /// Was told that the link succeeded.
    Linked,
    /// Was told anything else.
    Doubting,
    /// Looked at the number that it doubts: 0 is not there.
    Looked { found: Entry },
}

/// A process that publishes batches, one entry each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Writer {
    pub(crate) history: History,
    pub(crate) step: WriterStep,
    /// What it publishes; 0 is nothing.
    pub(crate) entry: Entry,
    /// Batches begun so far.
    pub(crate) begun: u8,
    /// A link whose answer was lost and that the server has yet to do: the entry, its number.
    pub(crate) late: Option<(Entry, Number)>,
    /// The floor when it last looked, if it lacks the guard that looks it up after each operation.
    pub(crate) floor: Number,
}

impl Writer {
    /// The number that it tries.
    pub(crate) fn number(&self) -> Number {
        self.history.next()
    }

    pub(crate) fn settle(&mut self) {
        self.step = WriterStep::Ready;
    }

    pub(crate) fn give_up(&mut self) {
        self.entry = 0;
        self.settle();
    }
}

/// A process that follows the journal and answers from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reader {
    pub(crate) history: History,
    pub(crate) opened: Option<Opened>,
    /// As [`Writer::floor`].
    pub(crate) floor: Number,
}

/// What a reader has before it believes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Opened {
    pub(crate) found: Entry,
    /// How many entries had been acknowledged when the reading began: they must be in an answer.
    pub(crate) due: Number,
}

/// A process that removes what snapshots made needless; it has looked up to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sweep {
    pub(crate) entries_to: Number,
    pub(crate) snapshots_before: Number,
}
