use serde::{Deserialize, Serialize};

use crate::window;

/// End of the year 9999. A greater event time is a mistake of the producer, and would close every window for good.
pub(crate) const TIME_MAX_MS: u64 = 253_402_300_799_999;

/// One event, borrowed from the source that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// What is counted: not empty, without control characters.
    pub key: &'a str,
    /// Event time in milliseconds; at most the end of the year 9999.
    pub time_ms: u64,
    /// What is summed up.
    pub value: i64,
}

/// What the source sends to a keyed task. The order within one channel is the order of the input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    Batch(Batch),
    /// Everything before it belongs to the checkpoint, nothing after it does.
    Barrier {
        checkpoint: u64,
        watermark_ms: u64,
    },
}

/// Events for one task. The keys lie one after the other in one string, so that an event costs no allocation.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Received")]
pub(crate) struct Batch {
    keys: String,
    rows: Vec<Row>,
    /// No window that ends here or earlier gets another event after this batch.
    pub(crate) watermark_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    window_start_ms: u64,
    value: i64,
    key_end: usize,
}

/// A batch from another process, before it is looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Received {
    keys: String,
    rows: Vec<Row>,
    watermark_ms: u64,
}

impl TryFrom<Received> for Batch {
    type Error = String;

    /// Every key must be a piece of the string, and not an empty one: folding cuts it there without looking.
    fn try_from(received: Received) -> Result<Self, String> {
        let Received { keys, rows, watermark_ms } = received;
        let mut key_start = 0;
        for row in &rows {
            if row.key_end <= key_start || !keys.is_char_boundary(row.key_end) {
                return Err(format!("no key ends at {} after {key_start}", row.key_end));
            }
            if row.window_start_ms > TIME_MAX_MS {
                return Err(format!("no window starts at {} ms", row.window_start_ms));
            }
            key_start = row.key_end;
        }
        Ok(Self { keys, rows, watermark_ms })
    }
}

impl Batch {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self { keys: String::with_capacity(rows * 12), rows: Vec::with_capacity(rows), watermark_ms: 0 }
    }

    pub(crate) fn push(&mut self, window_start_ms: u64, event: &Event<'_>) {
        self.keys.push_str(event.key);
        self.rows.push(Row { window_start_ms, value: event.value, key_end: self.keys.len() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn fold_into(&self, windows: &mut window::Windows) {
        let mut key_start = 0;
        for row in &self.rows {
            windows.fold(row.window_start_ms, &self.keys[key_start..row.key_end], row.value);
            key_start = row.key_end;
        }
    }
}

/// The task that owns a key: FNV-1a, finished so that the low bits depend on all. Fixed for ever, the same everywhere.
pub(crate) fn owner(key: &str, tasks: usize) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    usize::try_from(hash % tasks as u64).unwrap_or(0)
}
