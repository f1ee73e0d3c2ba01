use std::fmt;

/// The beginning of a text from outside, as it may stand in an error: quoted, with what could break the
/// line or hide something escaped, and cut off at a character after that many bytes.
///
/// A precision in a format string does not do this: `{:.40?}` shows all of a string.
pub(crate) fn excerpt(text: &str, bytes_max: usize) -> Excerpt<'_> {
    Excerpt { kept: beginning(text, bytes_max), bytes: text.len() }
}

/// The longest beginning of the text that has at most so many bytes and ends with a whole character.
pub(crate) fn beginning(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    // At most three steps: no character is longer than four bytes, and 0 is a boundary.
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// See [`excerpt`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Excerpt<'a> {
    kept: &'a str,
    /// How long the whole text is.
    bytes: usize,
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kept)?;
        if self.kept.len() < self.bytes {
            write!(f, "… ({} bytes)", self.bytes)?;
        }
        Ok(())
    }
}

/// The most bytes of what a reader of JSON says, as it stands below an error.
const UNREADABLE_BYTES_MAX: usize = 256;

/// Why something is no JSON of the shape that is wanted, as the cause of an error. What the reader itself says quotes what
/// it found, whole: a value of a mebibyte, and line feeds in it.
#[derive(Debug)]
pub(crate) struct Unreadable(String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        let said = error.to_string();
        let kept = beginning(&said, UNREADABLE_BYTES_MAX);
        let mut shown: String = kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if kept.len() < said.len() {
            shown.push_str(&format!("… at line {} column {}", error.line(), error.column()));
        }
        Self(shown)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_of_json_found_is_not_quoted_whole_and_breaks_no_line() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Empty {}
        let long = format!("{{\"a\\n{}\":1}}", "x".repeat(1 << 20));
        let shown = Unreadable::from(serde_json::from_str::<Empty>(&long).unwrap_err()).to_string();
        assert!(shown.len() < 400 && shown.contains("unknown field") && shown.contains("… at line 1"), "{shown}");
        assert!(!shown.contains('\n'), "{shown}");
        let short = serde_json::from_str::<u8>("[").unwrap_err();
        assert_eq!(Unreadable::from(serde_json::from_str::<u8>("[").unwrap_err()).to_string(), short.to_string());
    }

    #[test]
    fn a_text_that_fits_is_shown_whole_and_one_byte_more_is_cut_off() {
        assert_eq!(excerpt("", 0).to_string(), r#""""#);
        assert_eq!(excerpt("abc", 3).to_string(), r#""abc""#);
        assert_eq!(excerpt("abcd", 3).to_string(), r#""abc"… (4 bytes)"#);
        assert_eq!(excerpt("abcd", usize::MAX).to_string(), r#""abcd""#);
    }

    #[test]
    fn a_cut_never_divides_a_character() {
        let text = "aß€🙂".repeat(3);
        for most in 0..=text.len() + 1 {
            let kept = beginning(&text, most);
            assert!(text.starts_with(kept) && kept.len() <= most, "{most}: {kept}");
            assert!(most > text.len() || kept.len() + 3 >= most, "{most}: no more is cut off than it must be");
        }
        assert_eq!(excerpt("🙂", 3).to_string(), r#"""… (4 bytes)"#);
    }

    #[test]
    fn hostile_text_stays_on_one_line_and_within_a_bound() {
        let hostile = "\n\r\u{1b}[2J\u{202e}\"\\\0".repeat(100_000);
        let shown = excerpt(&hostile, 64).to_string();
        assert!(shown.len() < 64 * 10, "{} bytes", shown.len());
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown}");
    }

    /// Every place that shows what somebody else has written.
    #[test]
    fn no_error_is_as_long_as_the_text_that_it_refuses() {
        use crate::backend::{Entry, Key, Name, Prefix, Revision};
        let long = "ä".repeat(50_000);
        let record = format!(r#"{{"format":1,"kind":"{long}","write_id":"{:032x}","epoch":1,"body":{{}}}}"#, 0);
        let key = Key::new("a/b").unwrap();
        let entry = Entry { key, value: record.into(), revision: Revision::from_native(1), held: None };
        let handle = crate::state::StateHandle { uri: long.clone(), length: 1, sha256: long.clone() };
        let settings: crate::BackendSettings = [(long.as_str(), "x")].into_iter().collect();
        let errors = [
            Name::new(&long).unwrap_err(),
            Name::new(format!("/{long}")).unwrap_err(),
            Key::new(&long).unwrap_err(),
            Key::from_stored(format!("a/{long}")).unwrap_err(),
            Prefix::new(&long).unwrap_err(),
            long.parse::<crate::blob::BlobKey>().unwrap_err(),
            crate::record::decode::<crate::election::LeaderInformation>(&entry).unwrap_err(),
            handle.verify(b"x").unwrap_err(),
            handle.verify(b"").unwrap_err(),
            settings.only(&[]).unwrap_err(),
            crate::FactoryRegistry::new().factory(&long).unwrap_err(),
        ];
        for error in errors {
            let shown = error.to_string();
            assert!(shown.len() < 2_000, "{} bytes: {shown:.300}", shown.len());
        }
    }
}
