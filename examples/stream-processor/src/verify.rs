//! The judge: computes in one sequential pass what the output must be, and compares.
//!
//! Shares the reading and parsing of the input with the engine, and nothing else: no tasks, batches, watermarks in
//! flight, snapshots or sinks, and a fold of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::error::EngineError;
use crate::plan::ExecutionPlan;
use crate::sink::{self, OutputRow};
use crate::source::{Cursor, Next, Reader};
use crate::window::Aggregate;

/// What a job's output must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// By start of the window in milliseconds, then by key.
    pub rows: BTreeMap<u64, BTreeMap<String, Aggregate>>,
    /// Events dropped because their window was closed.
    pub late: u64,
    /// The account of the input: records, events, blank and rejected lines.
    pub cursor: Cursor,
}

/// How an output compares. All but `rows` are 0 if it is right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Rows that should be there and are not.
    pub lost: u64,
    /// Rows for a key and window that had one already.
    pub duplicated: u64,
    /// Rows with other contents than expected, that should not be there, or that are no rows.
    pub wrong: u64,
    /// Rows found in all.
    pub rows: u64,
}

impl Verdict {
    /// Whether the output is what it must be.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.wrong == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, duplicated, wrong, rows } = self;
        write!(formatter, "{rows} rows, {lost} lost, {duplicated} duplicated, {wrong} wrong")
    }
}

/// Computes the output of a plan in one pass over its input. Holds all rows in memory.
///
/// # Errors
/// [`crate::ErrorKind::InvalidPlan`], or [`crate::ErrorKind::Io`] if the input cannot be read.
pub fn expected(plan: &ExecutionPlan) -> Result<Expected, EngineError> {
    plan.validate()?;
    let mut reader = Reader::open(&plan.source, None, Cursor::default())?;
    let mut rows: BTreeMap<u64, BTreeMap<String, Aggregate>> = BTreeMap::new();
    let mut late = 0;
    let mut newest_ms = 0_u64;
    loop {
        let event = match reader.next()? {
            Next::Event(event) => event,
            Next::Nothing => continue,
            Next::End => break,
        };
        let start_ms = event.time_ms / plan.window_ms * plan.window_ms;
        // Late: at the time of reading, its window's end already lay `lateness_ms` or more behind the newest event.
        // Both sides are below 2^50.
        if start_ms + plan.window_ms + plan.lateness_ms <= newest_ms {
            late += 1;
            continue;
        }
        newest_ms = newest_ms.max(event.time_ms);
        let row = rows.entry(start_ms).or_default();
        let Some(aggregate) = row.get_mut(event.key) else {
            let (sum, min, max) = (i128::from(event.value), event.value, event.value);
            row.insert(event.key.to_owned(), Aggregate { count: 1, sum, min, max });
            continue;
        };
        aggregate.count += 1;
        aggregate.sum += i128::from(event.value);
        aggregate.min = aggregate.min.min(event.value);
        aggregate.max = aggregate.max.max(event.value);
    }
    Ok(Expected { rows, late, cursor: reader.cursor().clone() })
}

/// Compares the published part files with what they must contain. Pending files are not looked at.
///
/// # Errors
/// [`crate::ErrorKind::Io`]: the output cannot be read. Whatever is wrong with its *contents* is in the verdict.
pub fn compare(output: &Path, expected: &Expected) -> Result<Verdict, EngineError> {
    let mut verdict = Verdict::default();
    let mut found: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for path in sink::published(output)? {
        let refused = |cause| EngineError::io("cannot read", &path, cause);
        let mut file = BufReader::new(File::open(&path).map_err(refused)?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line).map_err(refused)? > 0 {
            verdict.rows += 1;
            judge(&line, expected, &mut found, &mut verdict);
            line.clear();
        }
    }
    for (start_ms, row) in &expected.rows {
        let there = found.get(start_ms);
        let lost = row.keys().filter(|key| !there.is_some_and(|keys| keys.contains(*key))).count();
        verdict.lost += lost as u64;
    }
    Ok(verdict)
}

fn judge(line: &[u8], expected: &Expected, found: &mut BTreeMap<u64, BTreeSet<String>>, verdict: &mut Verdict) {
    let Ok(row) = serde_json::from_slice::<OutputRow<'_>>(line) else {
        verdict.wrong += 1;
        return;
    };
    if !found.entry(row.window_ms).or_default().insert(row.key.clone().into_owned()) {
        verdict.duplicated += 1;
    } else if expected.rows.get(&row.window_ms).and_then(|keys| keys.get(row.key.as_ref())) != Some(&row.aggregate) {
        verdict.wrong += 1;
    }
}
