use crate::history::Term;

/// A history as it is drawn: what lasted, from when to when. All times are nanoseconds since its first event.
#[derive(Debug, Default)]
pub(super) struct Story<'h> {
    /// When the history begins, by its own clock.
    pub(super) origin_ns: u64,
    /// How long it is; never 0.
    pub(super) span: u64,
    pub(super) events: usize,
    /// The processes by name; who only tells of faults is none.
    pub(super) processes: Vec<&'h str>,
    /// The components, in the order in which they were first led.
    pub(super) components: Vec<&'h str>,
    pub(super) lives: Vec<Life>,
    pub(super) reigns: Vec<Reign<'h>>,
    pub(super) faults: Vec<Fault<'h>>,
    /// The calls, in the order in which they were made.
    pub(super) operations: Vec<Operation<'h>>,
    /// The kinds of calls, by name.
    pub(super) kinds: Vec<String>,
    pub(super) notes: Vec<Note>,
}

/// One incarnation of a process.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) process: usize,
    pub(super) incarnation: u32,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) end: End,
    pub(super) pauses: Vec<(u64, u64)>,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Running,
    Killed,
    Closed,
}

/// One component led by one process, without a break.
#[derive(Debug)]
pub(super) struct Reign<'h> {
    pub(super) component: usize,
    pub(super) life: usize,
    pub(super) term: &'h Term,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) ended: String,
}

#[derive(Debug)]
pub(super) struct Fault<'h> {
    pub(super) name: &'h str,
    pub(super) from: u64,
    pub(super) to: u64,
    /// Where it is drawn, so that those of one time stand below each other.
    pub(super) row: usize,
}

#[derive(Debug)]
pub(super) struct Operation<'h> {
    pub(super) life: usize,
    pub(super) kind: usize,
    pub(super) under: Option<&'h Term>,
    pub(super) from: u64,
    /// When it returned, or until when it could have.
    pub(super) to: u64,
    pub(super) fate: Fate,
    pub(super) arguments: String,
    pub(super) answer: String,
}

/// What became of a call, as its caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Done,
    NotApplied,
    Unknown,
    NeverReturned,
}

impl Fate {
    pub(super) const ALL: [Self; 4] = [Self::Done, Self::NotApplied, Self::Unknown, Self::NeverReturned];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotApplied => "not applied",
            Self::Unknown => "unknown",
            Self::NeverReturned => "never returned",
        }
    }
}

/// A moment that concerns the whole cluster.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) at: u64,
    pub(super) text: String,
}
