use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ha_core::seam::Seam;

use super::{Call, Event, Outcome, Term, What};

/// A history while it is written. Clones are the same one; any number of tasks and threads may write.
///
/// Every event gets a time of its own, later than those before it: what happens in one instant is told apart by
/// nanoseconds. It grows with each event; whoever runs for long takes out what is there with [`Recording::take`].
#[derive(Clone)]
pub struct Recording {
    seam: Option<Seam>,
    written: Arc<Mutex<Written>>,
}

#[derive(Default)]
struct Written {
    events: Vec<Event>,
    /// Where they go instead of being kept.
    file: Option<File>,
    /// The first time that is not given out.
    free_ns: u64,
}

impl Recording {
    /// An empty history by the clock of that seam.
    #[must_use]
    pub fn new(seam: Seam) -> Self {
        Self { seam: Some(seam), written: Arc::default() }
    }

    /// An empty history without a clock: a nanosecond passes from event to event, or as much as
    /// [`note_at`](Self::note_at) says.
    #[must_use]
    pub fn timeless() -> Self {
        Self { seam: None, written: Arc::default() }
    }

    /// A history that is written to that file, and not kept here: one line for each event, which the system has taken
    /// when the note is made. So a process that is killed has written down whatever it told anybody afterwards.
    #[must_use]
    pub fn to_file(seam: Seam, file: File) -> Self {
        let written = Written { file: Some(file), ..Written::default() };
        Self { seam: Some(seam), written: Arc::new(Mutex::new(written)) }
    }

    /// Notes what happened now.
    ///
    /// # Panics
    /// The history goes to a file, which takes no more: what goes on without being noted could not be judged.
    pub fn note(&self, process: &str, incarnation: u32, what: What) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that the order of the events is that of their times.
        let now = self.seam.as_ref().map_or(0, |seam| seam.now().since_origin().as_nanos());
        written.push(u64::try_from(now).unwrap_or(u64::MAX), process, incarnation, what);
    }

    /// Notes what happened at that time, or as soon after the event before it as can be told.
    pub fn note_at(&self, at_ns: u64, process: &str, incarnation: u32, what: What) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(at_ns, process, incarnation, what);
    }

    /// What one life of one process is noted with.
    #[must_use]
    pub fn scribe(&self, process: &str, incarnation: u32) -> Scribe {
        Scribe { recording: self.clone(), process: process.into(), incarnation, operations: Arc::default() }
    }

    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }

    /// All events so far, which are not kept any more.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner).events)
    }
}

impl Written {
    fn push(&mut self, at_ns: u64, process: &str, incarnation: u32, what: What) {
        let at_ns = at_ns.max(self.free_ns);
        self.free_ns = at_ns.saturating_add(1);
        let event = Event { at_ns, process: process.into(), incarnation, what };
        match &mut self.file {
            None => self.events.push(event),
            Some(file) => {
                let line = super::write_lines(std::slice::from_ref(&event));
                file.write_all(line.as_bytes()).expect("the file of a history takes its lines");
            }
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.written.lock().unwrap_or_else(PoisonError::into_inner).events.len();
        f.debug_struct("Recording").field("events", &events).finish_non_exhaustive()
    }
}

/// Notes what one life of one process does, and numbers its calls. Clones are the same life.
///
/// One for each incarnation: two would give out the same numbers.
#[derive(Debug, Clone)]
pub struct Scribe {
    recording: Recording,
    process: Arc<str>,
    incarnation: u32,
    operations: Arc<AtomicU64>,
}

impl Scribe {
    /// Notes what happened now.
    pub fn note(&self, what: What) {
        self.recording.note(&self.process, self.incarnation, what);
    }

    /// Notes that a call is about to be made.
    pub fn invoked(&self, under: Option<Term>, call: Call) -> Pending {
        let op = self.operations.fetch_add(1, Ordering::Relaxed) + 1;
        self.note(What::Invoked { op, under, call });
        Pending { scribe: self.clone(), op }
    }
}

/// A call that is under way. Dropped without a return, its outcome stays unknown in the history.
#[derive(Debug)]
#[must_use = "a call without a return is unknown"]
pub struct Pending {
    scribe: Scribe,
    op: u64,
}

impl Pending {
    /// The number of the call.
    #[must_use]
    pub fn op(&self) -> u64 {
        self.op
    }

    /// Notes that it returned now.
    pub fn returned(self, outcome: Outcome) {
        self.scribe.note(What::Returned { op: self.op, outcome });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::history::{Answer, Ending, read_lines};

    #[test]
    fn what_is_noted_to_a_file_is_there_before_the_call_that_follows_and_is_not_kept() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let recording = Recording::to_file(Seam::system(), file.reopen().unwrap());
        let scribe = recording.scribe("jm-1", 1);
        let mut read = || {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            read_lines(&bytes, Ending::Whole).unwrap()
        };
        scribe.note(What::Started);
        let call = scribe.invoked(None, Call::ReadPlan { job: "job".into() });
        let noted = read();
        assert!(matches!(noted[0].what, What::Started) && matches!(noted[1].what, What::Invoked { .. }), "{noted:?}");
        assert!(noted[0].at_ns < noted[1].at_ns);
        call.returned(Outcome::Done(Answer::Value(None)));
        assert!(matches!(read().as_slice(), [Event { what: What::Returned { .. }, .. }]));
        assert_eq!(recording.events(), []);
    }
}
