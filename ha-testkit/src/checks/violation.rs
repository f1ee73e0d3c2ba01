use std::fmt;

use crate::history::Event;

/// A history that breaks an invariant, told so that it can be read: what is wrong, and the few events that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the check.
    pub check: &'static str,
    /// Whether it is broken, or could not be decided.
    pub verdict: Verdict,
    /// What is wrong.
    pub what: String,
    /// The events that show it, in the order of time.
    pub events: Vec<Event>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The invariant is broken.
    Broken,
    /// The work that was granted did not suffice to decide. It is not known to hold.
    Undecided,
}

impl Violation {
    pub(super) fn broken<'h>(check: &'static str, what: String, events: impl IntoIterator<Item = &'h Event>) -> Self {
        let mut events: Vec<Event> = events.into_iter().cloned().collect();
        events.sort_by_key(|event| event.at_ns);
        events.dedup();
        Self { check, verdict: Verdict::Broken, what, events }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Broken => "broken",
            Verdict::Undecided => "undecided",
        };
        write!(f, "{verdict}: {}: {}", self.check, self.what)?;
        self.events.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}

impl std::error::Error for Violation {}

/// Where something is promised: words of a file of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file, from the root of the repository.
    pub file: &'static str,
    /// What stands there, without the breaks of its lines.
    pub words: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: “{}”", self.file, self.words)
    }
}
