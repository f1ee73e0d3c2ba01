use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backend::Name;
use crate::excerpt::excerpt;
use crate::state::StateHandle;
use crate::{Error, ErrorKind};

/// What a blob is called: its SHA-256 and its length. Flink's `BlobKey`, without the random part.
///
/// ```
/// use ha_core::blob::BlobKey;
/// let key = BlobKey::of(b"hello");
/// assert_eq!(key.length(), 5);
/// assert!(key.to_string().starts_with("2cf24dba5fb0a30e") && key.to_string().ends_with("-5"));
/// assert_eq!(key.to_string().parse::<BlobKey>()?, key);
/// # Ok::<(), ha_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobKey {
    sha256: [u8; 32],
    length: u64,
}

impl BlobKey {
    /// The key of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self { sha256: Sha256::digest(content).into(), length: content.len() as u64 }
    }

    /// How many bytes the blob has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The key as one segment of a backend's key.
    pub(crate) fn name(&self) -> Name {
        Name::new(self.to_string()).expect("digits and a hyphen, at most 85 of them, are a name")
    }

    /// The key of the state; `None` if its checksum is none.
    pub(super) fn of_state(handle: &StateHandle) -> Option<Self> {
        Some(Self { sha256: sha256_from(&handle.sha256)?, length: handle.length })
    }
}

/// Only what [`BlobKey`] displays, so that one key has one spelling.
fn sha256_from(hex: &str) -> Option<[u8; 32]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

impl FromStr for BlobKey {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Invalid`]: it is not what [`BlobKey`] displays.
    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.split_once('-').and_then(|(hex, length)| {
            let key = Self { sha256: sha256_from(hex)?, length: length.parse().ok()? };
            (key.to_string() == text).then_some(key)
        });
        parsed.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "blob key")
                .at(excerpt(text, 100))
                .because("expected 64 hexadecimal digits, a hyphen and the length")
        })
    }
}

impl TryFrom<String> for BlobKey {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<BlobKey> for String {
    fn from(key: BlobKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.sha256 {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{}", self.length)
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_spelling() {
        let good = BlobKey::of(b"x").to_string();
        assert_eq!(good.parse::<BlobKey>().unwrap(), BlobKey::of(b"x"));
        let upper = good.to_uppercase();
        let (hex, _) = good.split_once('-').unwrap();
        let wrong =
            [hex, &upper, &format!("{good} "), &format!("{hex}-01"), &format!("{hex}-+1"), &format!("{hex}--1")];
        for text in
            wrong.into_iter().chain(["", "-", "../..", &good[1..], "é-1", &format!("{hex}-18446744073709551616")])
        {
            assert_eq!(text.parse::<BlobKey>().unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
    }
}
