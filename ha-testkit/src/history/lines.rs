use std::fmt;

use super::Event;

/// How the text of a history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a whole line. Everything else is an error.
    Whole,
    /// Its writer may have been killed while it wrote: a last line without its end is left out.
    MayBeTorn,
}

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Its number; the first line is 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the history is no event: {}", self.line, self.why)
    }
}

impl std::error::Error for LineError {}

/// The history as text: one event as JSON in each line. Equal histories give equal bytes.
#[must_use]
pub fn write_lines(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        text.push_str(&serde_json::to_string(event).expect("an event has no map whose keys are not text"));
        text.push('\n');
    }
    text
}

/// The history in that text. What [`write_lines`] wrote is read as it was.
///
/// # Errors
/// The first line that is not exactly one event, by its number. Nothing is skipped and nothing is guessed: correct
/// the file, or find out who wrote it.
pub fn read_lines(text: &[u8], ending: Ending) -> Result<Vec<Event>, LineError> {
    let mut events = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = events.len() + 1;
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return match ending {
                Ending::MayBeTorn => Ok(events),
                Ending::Whole => Err(LineError { line, why: "it has no end; was its writer killed?".into() }),
            };
        };
        let event = serde_json::from_slice(&rest[..end]).map_err(|error| LineError { line, why: error.to_string() })?;
        events.push(event);
        rest = &rest[end + 1..];
    }
    Ok(events)
}
