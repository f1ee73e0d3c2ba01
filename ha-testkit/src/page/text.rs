use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Text from outside, as it may stand in HTML: between tags and in quoted attributes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match visible(letter) {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            letter => f.write_char(letter),
        })
    }
}

/// What is shown instead of a letter that would act on what stands around it: control characters, and those that
/// turn the direction of the text.
pub(super) fn visible(letter: char) -> char {
    match letter {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}'),
        '\u{7f}'..='\u{9f}' => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        letter => letter,
    }
}

/// The beginning of a text, and a sign that it goes on if it does.
pub(super) fn clipped(text: &str, letters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(letters_max) {
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
        None => Cow::Borrowed(text),
    }
}

/// The same, of visible letters only.
pub(super) fn plain(text: &str, letters_max: usize) -> String {
    clipped(text, letters_max).chars().map(visible).collect()
}

/// A length of time as people read it: three digits that matter.
pub(super) fn duration(ns: u64) -> String {
    let value = ns as f64;
    let (value, unit) = match ns {
        0 => return "0 s".into(),
        1..1_000 => return "< 1 µs".into(),
        1_000..1_000_000 => (value / 1e3, "µs"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        1_000_000_000..600_000_000_000 => (value / 1e9, "s"),
        600_000_000_000..36_000_000_000_000 => (value / 60e9, "min"),
        _ => (value / 3600e9, "h"),
    };
    let digits = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// A moment, in seconds since the history began.
pub(super) fn moment(ns: u64) -> String {
    format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_in_a_page_is_only_shown() {
        let hostile = "</script>\"'&\0\u{202e}\n";
        assert_eq!(Escaped(hostile).to_string(), "&lt;/script&gt;&quot;&#39;&amp;␀\u{fffd}␊");
    }

    #[test]
    fn lengths_of_time_have_three_digits() {
        let shown =
            [0, 1, 1_500, 12_345_678, 999_000_000, 4_210_000_000, 75_000_000_000, 5_400_000_000_000].map(duration);
        assert_eq!(shown, ["0 s", "< 1 µs", "1.50 µs", "12.3 ms", "999 ms", "4.21 s", "75.0 s", "90.0 min"]);
        assert_eq!(clipped("straße", 5), "straß…");
    }
}
