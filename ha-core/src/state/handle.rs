use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::excerpt::{Excerpt, excerpt};
use crate::{Error, ErrorKind};

/// How much of a URL an error shows: more than any that this library writes has.
const URI_BYTES_MAX: usize = 1024;

/// Where state is, how long it is, and its checksum: all that a backend stores of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHandle {
    /// The URL of the state, without credentials.
    pub uri: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256, as 64 hexadecimal digits.
    pub sha256: String,
}

impl StateHandle {
    /// Checks that these are the bytes that the handle was made for.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`]: the text says in what they differ.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() as u64 != self.length {
            return Err(self.corrupt(format!("{} bytes, {} were written", bytes.len(), self.length)));
        }
        let found = sha256_of(bytes);
        if found != self.sha256 {
            return Err(self.corrupt(format!("SHA-256 {found}, {} was written", excerpt(&self.sha256, 64))));
        }
        Ok(())
    }

    /// Where the state is, for an error: a handle that was read may say anything, at any length.
    pub(crate) fn shown(&self) -> Excerpt<'_> {
        shown(&self.uri)
    }

    pub(super) fn corrupt(&self, why: String) -> Error {
        Error::new(ErrorKind::Corrupt, "read state").at(self.shown()).because(why)
    }
}

/// A URL as errors show it.
pub(super) fn shown(uri: &str) -> Excerpt<'_> {
    excerpt(uri, URI_BYTES_MAX)
}

pub(super) fn sha256_of(bytes: &[u8]) -> String {
    hex_of(&Sha256::digest(bytes))
}

pub(super) fn hex_of(digest: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * digest.len());
    for byte in digest {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
    }
    hex
}
