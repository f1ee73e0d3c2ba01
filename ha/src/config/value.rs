//! Values in Flink's forms.

use std::time::Duration;

use ha_core::{Error, ErrorKind};

use super::shown;

/// Flink's units of time and their nanoseconds. In any case, as there.
const TIME_UNITS: [(&[&str], u128); 7] = [
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["m", "min", "minute", "minutes"], 60_000_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["", "ms", "milli", "millis", "millisecond", "milliseconds"], 1_000_000),
    (&["µs", "micro", "micros", "microsecond", "microseconds", "us"], 1_000),
    (&["ns", "nano", "nanos", "nanosecond", "nanoseconds"], 1),
];

/// Flink's units of memory and their bytes. All are powers of 1024, as there.
const MEMORY_UNITS: [(&[&str], u64); 5] = [
    (&["", "b", "bytes"], 1),
    (&["k", "kb", "kibibytes"], 1 << 10),
    (&["m", "mb", "mebibytes"], 1 << 20),
    (&["g", "gb", "gibibytes"], 1 << 30),
    (&["t", "tb", "tebibytes"], 1 << 40),
];

fn invalid(what: &'static str, text: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, what).at(shown(text)).because(why)
}

/// A whole number and the unit behind it, in small letters. `None` if there is no number, or it is too large.
fn number_and_unit(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    // `to_lowercase`, not the ASCII one: µ is written by two characters, and this leaves both as they are.
    Some((number.parse().ok()?, unit.trim().to_lowercase()))
}

/// A duration as Flink reads it: a whole number and a unit, with or without a space between them and in any case. A
/// number alone means milliseconds.
///
/// | unit | written |
/// |---|---|
/// | days | `d`, `day`, `days` |
/// | hours | `h`, `hour`, `hours` |
/// | minutes | `m`, `min`, `minute`, `minutes` |
/// | seconds | `s`, `sec`, `secs`, `second`, `seconds` |
/// | milliseconds | `ms`, `milli`, `millis`, `millisecond`, `milliseconds`, nothing |
/// | microseconds | `µs`, `us`, `micro`, `micros`, `microsecond`, `microseconds` |
/// | nanoseconds | `ns`, `nano`, `nanos`, `nanosecond`, `nanoseconds` |
///
/// Flink also takes Java's ISO forms (`PT30S`); so does this, as far as they are whole days, hours, minutes and seconds.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(ha::config::parse_duration("30s")?, Duration::from_secs(30));
/// assert_eq!(ha::config::parse_duration("1 min")?, Duration::from_secs(60));
/// assert_eq!(ha::config::parse_duration("500 ms")?, Duration::from_millis(500));
/// # Ok::<(), ha::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Invalid`]: it is no duration, or one of more than 2^64 seconds.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let why = "no duration; write a whole number and d, h, min, s, ms, us or ns, as in `30 s`";
    let no_duration = || invalid("duration", text, why);
    if let Some(duration) = parse_iso(text.trim()) {
        return Ok(duration);
    }
    let (number, unit) = number_and_unit(text).ok_or_else(no_duration)?;
    // The Greek letter mu looks the same as the micro sign, and is what some keyboards give.
    let unit = unit.replace('\u{3bc}', "\u{b5}");
    let (_, nanos) = TIME_UNITS.iter().find(|(names, _)| names.contains(&unit.as_str())).ok_or_else(no_duration)?;
    // At most 2^64 times 2^47.
    let nanos = u128::from(number) * nanos;
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| no_duration())?;
    Ok(Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).unwrap_or_default()))
}

/// `P1DT2H3M4S`, in any case, each part at most once and in this order.
fn parse_iso(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let rest = text.strip_prefix('P')?;
    let (days, times) = rest.split_once('T').unwrap_or((rest, ""));
    let (mut seconds, mut parts) = (0u64, 0);
    let mut take = |text: &mut &str, unit: char, each: u64| -> Option<()> {
        if let Some((number, rest)) = text.split_once(unit) {
            // `parse` would take a sign.
            let number: u64 = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
            seconds = seconds.checked_add(number.checked_mul(each)?)?;
            parts += 1;
            *text = rest;
        }
        Some(())
    };
    let (mut days, mut times) = (days, times);
    take(&mut days, 'D', 86_400)?;
    take(&mut times, 'H', 3_600)?;
    take(&mut times, 'M', 60)?;
    take(&mut times, 'S', 1)?;
    (days.is_empty() && times.is_empty() && parts > 0).then(|| Duration::from_secs(seconds))
}

/// A number of bytes as Flink reads it: a whole number and a unit, in any case. A number alone means bytes.
///
/// | unit | written |
/// |---|---|
/// | bytes | `b`, `bytes`, nothing |
/// | 1024 bytes | `k`, `kb`, `kibibytes` |
/// | 1024² bytes | `m`, `mb`, `mebibytes` |
/// | 1024³ bytes | `g`, `gb`, `gibibytes` |
/// | 1024⁴ bytes | `t`, `tb`, `tebibytes` |
///
/// ```
/// assert_eq!(ha::config::parse_memory_size("64mb")?, 64 << 20);
/// assert_eq!(ha::config::parse_memory_size("1 kb")?, 1024);
/// # Ok::<(), ha::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Invalid`]: it is no memory size, or one of 2^64 bytes and more.
pub fn parse_memory_size(text: &str) -> Result<u64, Error> {
    let no_size =
        || invalid("memory size", text, "no memory size; write a whole number and b, kb, mb, gb or tb, as in `64 mb`");
    let (number, unit) = number_and_unit(text).ok_or_else(no_size)?;
    let (_, bytes) = MEMORY_UNITS.iter().find(|(names, _)| names.contains(&unit.as_str())).ok_or_else(no_size)?;
    number.checked_mul(*bytes).ok_or_else(no_size)
}

/// `true` or `false`, in any case.
///
/// # Errors
/// [`ErrorKind::Invalid`]: it is neither.
pub(super) fn parse_boolean(text: &str) -> Result<bool, Error> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid("boolean", text, "write true or false")),
    }
}

/// A whole number from 0.
///
/// # Errors
/// [`ErrorKind::Invalid`]: it is none, or too large.
pub(super) fn parse_number(text: &str) -> Result<u64, Error> {
    let trimmed = text.trim();
    let number = trimmed.bytes().all(|byte| byte.is_ascii_digit()).then(|| trimmed.parse().ok()).flatten();
    number.ok_or_else(|| invalid("number", text, "no whole number, or too large"))
}

/// How often something is tried; `None`: without end. Flink's words, and its largest number, which means the same.
///
/// # Errors
/// [`ErrorKind::Invalid`]: it is none.
pub(super) fn parse_attempts(text: &str) -> Result<Option<u32>, Error> {
    let endless = ["infinite", "infinity", "unlimited"];
    if endless.contains(&text.trim().to_ascii_lowercase().as_str()) {
        return Ok(None);
    }
    match parse_number(text)? {
        0 => Err(invalid("attempts", text, "zero; at least 1 are wanted, or `infinite`")),
        2_147_483_647.. => Ok(None),
        number => Ok(u32::try_from(number).ok()),
    }
}

#[cfg(test)]
mod tests;
