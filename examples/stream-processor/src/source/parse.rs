use serde::Deserialize;
use serde_json::value::RawValue;

use super::rejects::Reason;
use crate::event::{Event, TIME_MAX_MS};

const KEY_MAX: usize = 64;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    Event(Event<'a>),
    Blank,
    Rejected(Reason),
}

/// The fields of a JSON event, not yet looked into: each has its own reason to be refused.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    page: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// Decides what the record is. `unescaped` lends its memory to a key that is written with escapes.
pub(super) fn line<'a>(line: &'a [u8], record: u64, unescaped: &'a mut String) -> Parsed<'a> {
    if line.len() > super::lines::LINE_MAX {
        return Parsed::Rejected(Reason::TooLong);
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Parsed::Rejected(Reason::NotUtf8);
    };
    let text = text.trim();
    if text.is_empty() {
        return Parsed::Blank;
    }
    let event = if text.starts_with('{') { json(text, record, unescaped) } else { Ok(word(text, record)) };
    match event {
        Ok(event) if event.key.chars().any(char::is_control) => Parsed::Rejected(Reason::ControlInKey),
        Ok(event) => Parsed::Event(event),
        Err(reason) => Parsed::Rejected(reason),
    }
}

fn word(text: &str, record: u64) -> Event<'_> {
    let word = text.split_whitespace().next().unwrap_or(text);
    Event { key: cut(word), time_ms: record.min(TIME_MAX_MS), value: 1 }
}

/// The longest beginning of at most `KEY_MAX` bytes that ends between two characters.
fn cut(word: &str) -> &str {
    let end = (0..=KEY_MAX.min(word.len())).rev().find(|end| word.is_char_boundary(*end));
    &word[..end.unwrap_or(0)]
}

fn json<'a>(text: &'a str, record: u64, unescaped: &'a mut String) -> Result<Event<'a>, Reason> {
    let fields: Fields<'a> = serde_json::from_str(text).map_err(|_syntax| Reason::NotJson)?;
    let key = fields.key.or(fields.page).ok_or(Reason::NoKey)?;
    let key = text_of(key.get(), unescaped).ok_or(Reason::NoKey)?;
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Reason::NoKey);
    }
    let time_ms = match fields.ts {
        None => record.min(TIME_MAX_MS),
        Some(raw) => time_of(raw.get()).ok_or(Reason::Time)?,
    };
    let value = match fields.value {
        None => 1,
        Some(raw) => raw.get().parse().map_err(|_range| Reason::Value)?,
    };
    Ok(Event { key, time_ms, value })
}

fn text_of<'a>(raw: &'a str, unescaped: &'a mut String) -> Option<&'a str> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner);
    }
    *unescaped = serde_json::from_str(raw).ok()?;
    Some(unescaped)
}

/// A whole number as it stands; a fraction of a millisecond is cut off.
fn time_of(raw: &str) -> Option<u64> {
    if let Ok(whole) = raw.parse::<u64>() {
        return (whole <= TIME_MAX_MS).then_some(whole);
    }
    // `RawValue` has proved the JSON grammar, but a text or an array is no number; nor may Rust's own "inf" slip in.
    let number: f64 = serde_json::from_str(raw).ok()?;
    // The bounds are checked before, and a double represents every integer up to the greater one exactly.
    (0.0..=TIME_MAX_MS as f64).contains(&number).then_some(number as u64)
}

#[cfg(test)]
mod tests;
