//! What the library has to say of a configuration, on standard error.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::failure::say;

/// Shows warnings about the configuration, one line each and each once. All else that the library logs is for the
/// logs of services: what concerns an operator, a command shows.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    said: Mutex<BTreeSet<String>>,
}

impl Warnings {
    /// From here on, for the whole process.
    pub(crate) fn show() {
        // Nobody has set another one: this is the first thing that the process does.
        let _ = tracing::subscriber::set_global_default(Self::default());
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("ha::config")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let Text { key, origin, message } = text;
        let line = if origin.is_empty() { format!("{key}: {message}") } else { format!("{key} ({origin}): {message}") };
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
            say("hactl: warning", &line);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // No span is enabled.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The parts of a warning. A value of the configuration is in none of them.
#[derive(Debug, Default)]
struct Text {
    key: String,
    origin: String,
    message: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let part = match field.name() {
            "key" => &mut self.key,
            "origin" => &mut self.origin,
            "message" => &mut self.message,
            _ => return,
        };
        // To a text, writing does not fail.
        let _ = write!(part, "{value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
