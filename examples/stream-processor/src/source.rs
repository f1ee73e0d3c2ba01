//! Sources: where events come from, always replayable from a [`Position`].
//!
//! A line of a file is one of three things. Blank lines are counted. A line that starts with `{` must be a JSON object
//! with a text field `key` (or `page`); `ts` (milliseconds, default: the number of the record) and `value` (an integer
//! that fits 64 bits, default 1) are optional, other fields are ignored. Any other line is a text event: its key is
//! the first word, cut to 64 bytes, its time the number of the record (counting every line, from 0), its value 1.
//! What is neither is *rejected*: counted by [`Reason`], with the first few offsets, and never a cause to stop.

mod generator;
mod lines;
mod parse;
mod rejects;
mod spooled;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, ErrorKind};
use crate::plan::{Contents, Recipe, SourceSpec};

pub use crate::event::Event;
pub use rejects::{Reason, Rejected, Rejects};
pub use spooled::spool;

/// Where a source stands and what it has met so far: everything needed to go on as if nothing had happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// What was read.
    pub cursor: Cursor,
    /// The greatest event time seen, in milliseconds; 0 before the first event.
    pub time_max_ms: u64,
    /// Events that came after their window had been closed, and were dropped.
    pub late: u64,
    /// Whether the end of the input was seen. Nothing is read after that, even if the file has grown since.
    pub finished: bool,
}

/// The part of a [`Position`] that reading alone decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Records read: events, blank lines and rejected lines.
    pub records: u64,
    /// Bytes of the file read; 0 for the generator.
    pub byte: u64,
    /// Whether `byte` lies within a line that was already rejected for its length, the rest of which is to be skipped.
    pub inside_oversized: bool,
    /// Records that are events.
    pub accepted: u64,
    /// Records that are blank.
    pub blank: u64,
    /// Records that are neither.
    pub rejects: Rejects,
}

/// What one step of reading gave.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Event(Event<'a>),
    /// Something was read that is no event (yet). Bounded work, so that nobody waits long on it.
    Nothing,
    End,
}

/// A source opened at a position.
#[derive(Debug)]
pub(crate) enum Reader {
    Generator(generator::Generator),
    Lines(lines::Lines),
}

impl Reader {
    /// Opens the source; `artefact` is where the copy of an artefact lies.
    pub(crate) fn open(spec: &SourceSpec, artefact: Option<&Path>, from: Cursor) -> Result<Self, EngineError> {
        match spec {
            SourceSpec::Generator { seed, events } => Self::generate(*seed, *events, from),
            SourceSpec::File { path } => Ok(Self::Lines(lines::Lines::open(path, from)?)),
            SourceSpec::Artefact { name, holds } => {
                let Some(path) = artefact else {
                    let what = format!("source.name is {name}, and it was not said where a copy of it lies");
                    return Err(EngineError::new(ErrorKind::InvalidPlan, what));
                };
                match holds {
                    Contents::Lines => Ok(Self::Lines(lines::Lines::open(path, from)?)),
                    Contents::Recipe => {
                        let Recipe { seed, events } = recipe(path)?;
                        Self::generate(seed, events, from)
                    }
                }
            }
        }
    }

    fn generate(seed: u64, events: u64, from: Cursor) -> Result<Self, EngineError> {
        if events > i64::MAX as u64 {
            let what = format!("source.events {events} is greater than {}", i64::MAX);
            return Err(EngineError::new(ErrorKind::InvalidPlan, what));
        }
        if from.records > events {
            let what = format!("record {} is behind the end of {events} generated events", from.records);
            return Err(EngineError::new(ErrorKind::Mismatch, what));
        }
        Ok(Self::Generator(generator::Generator::new(seed, events, from)))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<Next<'_>, EngineError> {
        match self {
            Self::Generator(generator) => Ok(generator.next()),
            Self::Lines(lines) => lines.next(),
        }
    }

    pub(crate) fn cursor(&self) -> &Cursor {
        match self {
            Self::Generator(generator) => generator.cursor(),
            Self::Lines(lines) => lines.cursor(),
        }
    }
}

/// A longer recipe is none.
const RECIPE_BYTES_MAX: u64 = 4096;

fn recipe(path: &Path) -> Result<Recipe, EngineError> {
    let refused = |cause| EngineError::io("cannot read the recipe", path, cause);
    let mut text = Vec::new();
    File::open(path).map_err(refused)?.take(RECIPE_BYTES_MAX).read_to_end(&mut text).map_err(refused)?;
    serde_json::from_slice(&text)
        .map_err(|cause| EngineError::new(ErrorKind::InvalidPlan, format!("the artefact is no recipe: {cause}")))
}
