use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::excerpt::beginning;
use crate::{JobId, JobStatus};

/// The longest error text that is stored with a result, in bytes.
pub const ERROR_BYTES_MAX: usize = 32 * 1024;

/// How a job ended. Flink's `JobResult`.
///
/// ```
/// use ha_core::{JobId, JobStatus, job_result::JobResult};
/// let result = JobResult::new(JobId::new("job-1").unwrap(), JobStatus::Failed)
///     .with_network_run_time_ms(61_000)
///     .with_error("a record could not be parsed")
///     .with_accumulator("records", 42.into());
/// assert_eq!(result.accumulators["records"], 42);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobResult {
    /// Which job.
    pub job: JobId,
    /// The status that it ended with. Only a globally terminal one can be stored.
    pub status: JobStatus,
    /// How long it ran, in milliseconds, without the time that it waited for resources.
    pub network_run_time_ms: u64,
    /// Why it failed, for people to read; at most [`ERROR_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the job counted, by name, as the application writes it. Bytes go in as text (hexadecimal,
    /// say). All of a result has to fit into one value of the backend.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accumulators: BTreeMap<String, Value>,
}

impl JobResult {
    /// A result with neither run time, error nor accumulators.
    #[must_use]
    pub fn new(job: JobId, status: JobStatus) -> Self {
        Self { job, status, network_run_time_ms: 0, error: None, accumulators: BTreeMap::new() }
    }

    /// The same result with this run time, in milliseconds.
    #[must_use]
    pub fn with_network_run_time_ms(mut self, milliseconds: u64) -> Self {
        self.network_run_time_ms = milliseconds;
        self
    }

    /// The same result with this error. What exceeds [`ERROR_BYTES_MAX`] is cut off, and the text says
    /// so: a job must not run again because its stack trace was too long to be stored.
    #[must_use]
    pub fn with_error(mut self, text: impl Into<String>) -> Self {
        self.error = Some(bounded(text.into()));
        self
    }

    /// The same result with this accumulator; it replaces one of the same name.
    #[must_use]
    pub fn with_accumulator(mut self, name: impl Into<String>, value: Value) -> Self {
        self.accumulators.insert(name.into(), value);
        self
    }
}

/// The text, or its beginning and a note of what is missing.
fn bounded(mut text: String) -> String {
    if text.len() <= ERROR_BYTES_MAX {
        return text;
    }
    let (length, note_bytes_max) = (text.len(), 64);
    let keep = beginning(&text, ERROR_BYTES_MAX - note_bytes_max).len();
    text.truncate(keep);
    text.push_str(&format!(" … (cut off; {} more bytes)", length - keep));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_at_a_character_and_says_so() {
        let result = |text: String| JobResult::new(JobId::new("a").unwrap(), JobStatus::Failed).with_error(text);
        for shift in 0..4 {
            let text = format!("{}{}", "x".repeat(shift), "🙂".repeat(ERROR_BYTES_MAX));
            let error = result(text.clone()).error.unwrap();
            assert!(error.len() <= ERROR_BYTES_MAX, "{}", error.len());
            let (kept, note) = error.split_once(" … ").unwrap();
            assert!(text.starts_with(kept), "what is kept is the beginning");
            assert_eq!(note, format!("(cut off; {} more bytes)", text.len() - kept.len()));
        }
        let whole = "x".repeat(ERROR_BYTES_MAX);
        assert_eq!(result(whole.clone()).error, Some(whole));
    }
}
