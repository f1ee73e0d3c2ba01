use std::time::Duration;

use ha_core::seam::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a line with an event begins with. A test runner writes to the same pipe, not always whole lines.
const MARK: &str = "@ha-event ";

/// What a process has told.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened.
    pub name: String,
    /// What else the process says about it.
    pub value: Value,
    /// When the process told it, by the clock that all processes of the machine share.
    pub at: Moment,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    value: Value,
    at_ns: u64,
}

impl Event {
    /// The event as a line of its own, whatever stood in the line before.
    pub(super) fn line(&self) -> String {
        let at_ns = u64::try_from(self.at.since_origin().as_nanos()).unwrap_or(u64::MAX);
        let line = Line { name: self.name.clone(), value: self.value.clone(), at_ns };
        let json = serde_json::to_string(&line).expect("text, a JSON value and a number can be written as JSON");
        format!("\n{MARK}{json}\n")
    }

    /// The event in that line; `None` if it is something else.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (_, json) = line.split_once(MARK)?;
        let Line { name, value, at_ns } = serde_json::from_str(json).ok()?;
        Some(Self { name, value, at: Moment::after_origin(Duration::from_nanos(at_ns)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_found_in_its_line_and_nothing_else_is_taken_for_one() {
        let at = Moment::after_origin(Duration::from_nanos(u64::MAX - 1));
        let event = Event { name: "leading".into(), value: serde_json::json!({"text": "two\nlines"}), at };
        let written = format!("test leader ... {}", event.line());
        let found: Vec<Event> = written.lines().filter_map(Event::parse).collect();
        assert_eq!(found, [event]);
        for other in ["", "running 1 test", MARK, "@ha-event {\"name\":", "@ha-event {}", "@ha-event [1]"] {
            assert_eq!(Event::parse(other), None, "{other:?}");
        }
    }
}
