use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{EngineError, ErrorKind};
use crate::plan::ExecutionPlan;
use crate::sink::{Part, hex};
use crate::source::Position;
use crate::window::Windows;

/// First words of every encoded snapshot; the format's number and the body's checksum follow on the same line.
const MAGIC: &str = "stream-processor snapshot ";
const FORMAT: &str = "1";
/// A count beyond this was never counted, and could overflow later.
const COUNT_MAX: u64 = i64::MAX as u64;

/// Everything that a job has done up to one place of its input: what an engine needs to go on from there.
///
/// Plain data, consistent in itself: every event before the position is in exactly one of the open windows, the
/// published output, or the pending parts that the snapshot lists; no event behind it is in any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    checkpoint: u64,
    attempt: u64,
    plan: ExecutionPlan,
    position: Position,
    windows: Windows,
    parts: Vec<Part>,
}

impl Snapshot {
    pub(crate) fn new(
        (checkpoint, attempt): (u64, u64),
        plan: ExecutionPlan,
        position: Position,
        windows: Windows,
        parts: Vec<Part>,
    ) -> Self {
        Self { checkpoint, attempt, plan, position, windows, parts }
    }

    /// The id that it was triggered with.
    #[must_use]
    pub fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// The attempt that took it.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// The plan that it was taken under.
    #[must_use]
    pub fn plan(&self) -> &ExecutionPlan {
        &self.plan
    }

    /// Where the source stood, with its account of late, blank and rejected records.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Records of the input that it covers, in the measure of [`crate::Progress::events`].
    #[must_use]
    pub fn events(&self) -> u64 {
        self.position.cursor.records
    }

    /// Whether it covers the whole input: once it is committed, the output is complete.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.position.finished
    }

    pub(crate) fn windows(&self) -> &Windows {
        &self.windows
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The snapshot as bytes: a line with format and checksum, then JSON.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPlan`]: a path in the plan is not UTF-8.
    pub fn encode(&self) -> Result<Bytes, EngineError> {
        let body = serde_json::to_vec(self).map_err(|cause| {
            EngineError::new(ErrorKind::InvalidPlan, format!("cannot encode the snapshot: {cause}"))
        })?;
        let mut bytes = format!("{MAGIC}{FORMAT} {}\n", hex(&Sha256::digest(&body))).into_bytes();
        bytes.extend_from_slice(&body);
        Ok(Bytes::from(bytes))
    }

    /// Reads what [`Self::encode`] wrote. Any other bytes are an error, whoever made them.
    ///
    /// # Errors
    /// * [`ErrorKind::UnknownFormat`]: a snapshot, but of another format.
    /// * [`ErrorKind::CorruptSnapshot`]: not a snapshot, damaged, or with contents that no engine writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let corrupt = |what: String| EngineError::new(ErrorKind::CorruptSnapshot, what);
        let rest =
            bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(|| corrupt("the first words are wrong".to_owned()))?;
        let end = rest.iter().take(128).position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| corrupt("the first line does not end".to_owned()))?;
        let (header, body) = (String::from_utf8_lossy(&rest[..end]), &rest[end + 1..]);
        let (format, checksum) = header.split_once(' ').unwrap_or((&header, ""));
        if format != FORMAT {
            let what = format!("format {format:?}, only {FORMAT:?} is known");
            return Err(EngineError::new(ErrorKind::UnknownFormat, what));
        }
        if checksum != hex(&Sha256::digest(body)) {
            return Err(corrupt("the checksum does not match the contents".to_owned()));
        }
        let snapshot: Self = serde_json::from_slice(body).map_err(|cause| corrupt(cause.to_string()))?;
        match snapshot.flaw() {
            Some(flaw) => Err(corrupt(flaw)),
            None => Ok(snapshot),
        }
    }

    /// The first thing in it that no engine writes, if there is one: a matching checksum proves no good intent.
    fn flaw(&self) -> Option<String> {
        if let Err(invalid) = self.plan.validate() {
            return Some(invalid.to_string());
        }
        let cursor = &self.position.cursor;
        let counts = [cursor.records, cursor.byte, cursor.accepted, cursor.blank, cursor.rejects.total()];
        if counts.into_iter().chain([self.position.late]).any(|count| count > COUNT_MAX) {
            return Some("a count of the position is beyond all bounds".to_owned());
        }
        if self.position.time_max_ms > crate::event::TIME_MAX_MS {
            return Some("the greatest event time is beyond all bounds".to_owned());
        }
        if self.position.finished && !self.windows.is_empty() {
            return Some("windows are open although the input has ended".to_owned());
        }
        for part in &self.parts {
            let digits = part.sha256.len() == 64 && part.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !digits || part.attempt != self.attempt || part.checkpoint > self.checkpoint {
                return Some(format!("part {part:?} cannot belong to checkpoint {}", self.checkpoint));
            }
        }
        self.windows.flaw(self.plan.window_ms)
    }
}
