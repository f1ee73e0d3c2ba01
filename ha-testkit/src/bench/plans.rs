//! The handles of many plans, as a recovering leader reads them and as a program without the library would.

use ha_core::backend::{Backend, Prefix};
use ha_core::record::{self, Body, Record};
use ha_core::state::StateHandle;
use serde::{Deserialize, Serialize};

use super::Result;

/// A plan's pointer, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pointer {
    state: StateHandle,
}

impl Body for Pointer {
    const KIND: &'static str = "execution_plan";
}

/// What a program would declare that reads it without this library.
#[derive(Deserialize)]
struct Stored {
    format: u32,
    kind: String,
    write_id: String,
    epoch: u64,
    body: Pointer,
}

impl Pointer {
    /// Decodes one in the shortest way there is, as a minimal program would.
    ///
    /// # Errors
    /// It is none.
    pub fn minimal(bytes: &[u8]) -> Result<Self> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        if stored.format != 1 || stored.kind != Self::KIND || stored.write_id.is_empty() || stored.epoch == 0 {
            return Err("no pointer".into());
        }
        Ok(stored.body)
    }
}

/// Lists and decodes, as the library does.
///
/// # Errors
/// The backend's, or a record is none.
///
/// # Cancel safety
/// Nothing is lost by dropping the future.
pub async fn handles(backend: &dyn Backend, below: &Prefix) -> Result<Vec<Record<Pointer>>> {
    let snapshot = backend.list(below).await?;
    Ok(snapshot.entries.iter().map(record::decode::<Pointer>).collect::<std::result::Result<_, _>>()?)
}

/// By how much, in KiB, the worst moment raised this process's memory above `before`, which
/// [`resident_kib`] told; `None` where the system says nothing.
#[must_use]
pub fn raised_kib(before: Option<i64>) -> Option<i64> {
    memory_kib("VmHWM:").zip(before).map(|(worst, before)| worst - before)
}

/// How much memory this process has, in KiB; `None` where the system says nothing.
#[must_use]
pub fn resident_kib() -> Option<i64> {
    memory_kib("VmRSS:")
}

fn memory_kib(of: &str) -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(of))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
