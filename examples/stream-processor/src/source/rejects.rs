use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How many places are kept for each reason.
const PLACES_MAX: usize = 5;

/// Why a record is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is not UTF-8.
    NotUtf8,
    /// It is longer than 64 KiB.
    TooLong,
    /// It starts with `{` but is not one JSON object.
    NotJson,
    /// The object has neither `key` nor `page`, or it is not a text of 1 to 64 bytes.
    NoKey,
    /// The key contains a control character.
    ControlInKey,
    /// `ts` is not a number from 0 to the end of the year 9999.
    Time,
    /// `value` is not an integer of 64 bits.
    Value,
}

/// The rejected records of one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// How many there are.
    pub count: u64,
    /// Byte offsets at which the first of them start, five at most.
    pub first: Vec<u64>,
}

/// The account of all records that are no events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rejects {
    by_reason: BTreeMap<Reason, Rejected>,
}

impl Rejects {
    /// How many records were rejected, for whatever reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason.values().fold(0, |sum, rejected| sum.saturating_add(rejected.count))
    }

    /// The reasons met, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, &Rejected)> {
        self.by_reason.iter().map(|(reason, rejected)| (*reason, rejected))
    }

    pub(super) fn note(&mut self, reason: Reason, byte: u64) {
        let rejected = self.by_reason.entry(reason).or_default();
        rejected.count += 1;
        if rejected.first.len() < PLACES_MAX {
            rejected.first.push(byte);
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotUtf8 => "not UTF-8",
            Self::TooLong => "longer than 64 KiB",
            Self::NotJson => "not a JSON object",
            Self::NoKey => "no key of 1 to 64 bytes",
            Self::ControlInKey => "control character in the key",
            Self::Time => "ts out of range",
            Self::Value => "value out of range",
        })
    }
}

impl fmt::Display for Rejects {
    /// One line for each reason, ready to be shown to a person; nothing if there is none.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (reason, Rejected { count, first }) in self.iter() {
            writeln!(formatter, "{count} rejected, {reason}; first at byte {first:?}")?;
        }
        Ok(())
    }
}
