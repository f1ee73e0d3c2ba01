//! Times and durations, as people read and write them.

use std::time::Duration;

/// Reads `30s`, `500 ms`, `10min`, `2h`, `1d`; a number without a unit is refused.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let form = || format!("{text:?} is no duration: write 500ms, 30s, 10min, 2h or 7d");
    let number: u64 = number.parse().map_err(|_| form())?;
    let ms = match unit {
        "ms" => 1,
        "s" | "sec" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(form()),
    };
    number.checked_mul(ms).map(Duration::from_millis).ok_or_else(form)
}

/// A length of time in its largest unit or two: `3d 4h`, `12s`, `350ms`.
pub(crate) fn rough(ms: u64) -> String {
    let (s, m, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{s}s"),
        60_000..3_600_000 => format!("{m}min {}s", s % 60),
        3_600_000..86_400_000 => format!("{h}h {}min", m % 60),
        _ => format!("{}d {}h", h / 24, h % 24),
    }
}

/// A moment of the wall clock in UTC: `2026-03-01 12:30:05Z`.
pub(crate) fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, by eras of 400 years that begin on the first of March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Bytes in a unit that fits: `1.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit_and_never_without() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("10 min", 600_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5s", "1 week", "99999999999999999999s", "18446744073709551615d", "ß"] {
            assert!(duration(text).unwrap_err().contains("is no duration"), "{text}");
        }
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_709_251_199, "2024-02-29 23:59:59Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(utc(unix_s * 1000), text);
        }
        // Whatever a store says is shown, and nothing panics.
        assert!(utc(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn lengths_and_sizes_are_rough() {
        assert_eq!([rough(7), rough(61_000), rough(90_000_000)], ["7ms", "1min 1s", "1d 1h"]);
        assert_eq!([bytes(3), bytes(1536), bytes(u64::MAX)], ["3 B", "1.5 KiB", "16384.0 PiB"]);
    }
}
