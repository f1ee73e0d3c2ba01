use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, ErrorKind};
use crate::event::TIME_MAX_MS;

/// More tasks than this would only cost memory and file handles.
const PARALLELISM_MAX: u32 = 1024;

/// What a job does: everything that an engine needs besides a snapshot, as plain data to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionPlan {
    /// A name for people; nothing is derived from it.
    pub job: String,
    /// Where the events come from.
    pub source: SourceSpec,
    /// Number of keyed tasks, 1 to 1024. The only field that may change between a snapshot and its restoration.
    pub parallelism: u32,
    /// Size of the tumbling windows in milliseconds of event time, at least 1.
    pub window_ms: u64,
    /// How far an event may lag behind the greatest event time seen, in milliseconds, before its window may be closed.
    pub lateness_ms: u64,
    /// Directory of the output. Belongs to this job alone.
    pub output: PathBuf,
}

/// Where the events of a job come from; every source can be replayed from any position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceSpec {
    /// Synthetic clicks: event *n* follows from the seed and *n* alone.
    Generator {
        /// Chooses the stream.
        seed: u64,
        /// How many events there are.
        events: u64,
    },
    /// Lines of a file, see [`crate::source`]. The file must not change before the job has finished.
    File {
        /// The file; standard input is first copied to one by [`crate::source::spool`].
        path: PathBuf,
    },
    /// Something that is kept elsewhere, so that it outlives the machine it came from. Whoever starts the engine
    /// says where a copy of it lies, see [`crate::Placement`].
    Artefact {
        /// What it is called where it is kept.
        name: String,
        /// What it holds.
        holds: Contents,
    },
}

/// What an artefact holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// Lines, as of [`SourceSpec::File`].
    Lines,
    /// A [`Recipe`] as JSON.
    Recipe,
}

/// Says how events are generated: a tiny artefact that stands for any number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// As in [`SourceSpec::Generator`].
    pub seed: u64,
    /// As in [`SourceSpec::Generator`].
    pub events: u64,
}

impl ExecutionPlan {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPlan`] names the field, its value and the bound.
    pub fn validate(&self) -> Result<(), EngineError> {
        let refuse = |what: String| Err(EngineError::new(ErrorKind::InvalidPlan, what));
        if self.parallelism == 0 || self.parallelism > PARALLELISM_MAX {
            return refuse(format!("parallelism {} is not within 1..={PARALLELISM_MAX}", self.parallelism));
        }
        if self.window_ms == 0 || self.window_ms > TIME_MAX_MS {
            return refuse(format!("window_ms {} is not within 1..={TIME_MAX_MS}", self.window_ms));
        }
        if self.lateness_ms > TIME_MAX_MS {
            return refuse(format!("lateness_ms {} is greater than {TIME_MAX_MS}", self.lateness_ms));
        }
        if self.output.as_os_str().is_empty() {
            return refuse("output is empty; name a directory".to_owned());
        }
        match &self.source {
            SourceSpec::Generator { events, .. } if *events > i64::MAX as u64 => {
                refuse(format!("source.events {events} is greater than {}", i64::MAX))
            }
            SourceSpec::File { path } if path.as_os_str().is_empty() => {
                refuse("source.path is empty; name a file".to_owned())
            }
            SourceSpec::Artefact { name, .. } if name.is_empty() => {
                refuse("source.name is empty; name an artefact".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether state taken under `other` can be continued under this plan.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        let Self { job, source, parallelism: _, window_ms, lateness_ms, output } = self;
        *job == other.job
            && *source == other.source
            && *window_ms == other.window_ms
            && *lateness_ms == other.lateness_ms
            && *output == other.output
    }
}
