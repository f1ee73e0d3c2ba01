//! What a file of a journal looks like, so that `cat` shows it and no damage goes unseen:
//!
//! ```text
//! ha-journal-entry 1 <sha256 of all that follows this line>
//! {"journal":"…", …, "bytes":5, …}
//! value
//! ```
//! First what it is, in which version, and the checksum (`tail -n +2 | sha256sum` tells the same); then the head, one
//! line of JSON; then the values that the head gives the lengths of, each followed by a line feed.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::excerpt::{Unreadable, excerpt};
use crate::{Error, ErrorKind};

/// The one version that is written and read.
const VERSION: u32 = 1;

/// A kind of file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The first word of the file.
    pub(super) magic: &'static str,
    /// What writing and reading one is called in errors.
    pub(super) write: &'static str,
    pub(super) read: &'static str,
}

impl Kind {
    /// Puts a file together.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the head cannot be written as JSON.
    pub(super) fn seal<'a>(
        self,
        head: &impl Serialize,
        values: impl Iterator<Item = &'a Bytes> + Clone,
    ) -> Result<Bytes, Error> {
        let first = self.magic.len() + 80;
        let values_bytes: usize = values.clone().map(|value| value.len() + 1).sum();
        let head = serde_json::to_vec(head)
            .map_err(|e| Error::new(ErrorKind::Invalid, self.write).because("its head is no JSON").caused_by(e))?;
        let mut digest = Sha256::new();
        digest.update(&head);
        digest.update(b"\n");
        for value in values.clone() {
            digest.update(value);
            digest.update(b"\n");
        }
        let mut file = Vec::with_capacity(first + head.len() + 1 + values_bytes);
        file.extend_from_slice(self.first_line(&digest.finalize()).as_bytes());
        file.extend_from_slice(&head);
        file.push(b'\n');
        for value in values {
            file.extend_from_slice(value);
            file.push(b'\n');
        }
        Ok(file.into())
    }

    fn first_line(self, digest: &[u8]) -> String {
        use fmt::Write;
        let mut line = format!("{} {VERSION} ", self.magic);
        for byte in digest {
            // Writing to a text cannot fail.
            let _ = write!(line, "{byte:02x}");
        }
        line.push('\n');
        line
    }

    /// Takes a file apart, after its checksum was found right.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn open<H: DeserializeOwned>(self, file: &Bytes) -> Result<(H, Values), Flaw> {
        let rest = self.check_version(file)?;
        if file.len() < rest {
            return Err(Flaw::corrupt("it ends within its first line"));
        }
        if file[..rest] != *self.first_line(&Sha256::digest(&file[rest..])).as_bytes() {
            return Err(Flaw::corrupt("its checksum is not that of its content"));
        }
        let head_bytes = file[rest..].iter().position(|byte| *byte == b'\n');
        let Some(head_bytes) = head_bytes else { return Err(Flaw::corrupt("its head has no end")) };
        let head = serde_json::from_slice(&file[rest..rest + head_bytes])
            .map_err(|e| Flaw { cause: Some(e.into()), ..Flaw::corrupt("its head is not that of such a file") })?;
        Ok((head, Values { file: file.clone(), at: rest + head_bytes + 1 }))
    }

    /// Where the first line of a file of this kind and version ends.
    fn check_version(self, file: &Bytes) -> Result<usize, Flaw> {
        if file.is_empty() {
            return Err(Flaw::corrupt("it is empty"));
        }
        let begins = String::from_utf8_lossy(&file[..file.len().min(self.magic.len() + 12)]);
        let mut words = begins.split(' ');
        if words.next() != Some(self.magic) {
            return Err(Flaw::corrupt(format!("it begins with {} instead of {:?}", excerpt(&begins, 40), self.magic)));
        }
        let version = words.next().filter(|version| version.bytes().all(|byte| byte.is_ascii_digit()));
        match version.and_then(|version| version.parse::<u32>().ok()) {
            Some(VERSION) => Ok(self.first_line(&[0; 32]).len()),
            Some(newer) if newer > VERSION => Err(Flaw {
                kind: ErrorKind::NewerFormat,
                ..Flaw::corrupt(format!("it is of version {newer}, and this process reads {VERSION}"))
            }),
            _ => Err(Flaw::corrupt(format!("it begins with {}, which names no version", excerpt(&begins, 40)))),
        }
    }

    /// The error for a file of that name.
    pub(super) fn error(self, name: impl fmt::Display, flaw: Flaw) -> Error {
        let what_to_do = match flaw.kind {
            ErrorKind::NewerFormat => "nothing was changed; upgrade this process",
            _ => {
                "nothing was changed or removed; all that came later rests on it: restore this file from a copy, or the \
                 whole journal from a backup"
            }
        };
        let error = Error::new(flaw.kind, self.read).at(name).because(format!("{}; {what_to_do}", flaw.why));
        match flaw.cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) struct Flaw {
    kind: ErrorKind,
    why: String,
    cause: Option<Unreadable>,
}

impl Flaw {
    pub(super) fn corrupt(why: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Corrupt, why: why.into(), cause: None }
    }
}

impl From<Error> for Flaw {
    /// Of something in the file that no writer may put there.
    fn from(error: Error) -> Self {
        Self::corrupt(format!("it contains what nobody may write ({error})"))
    }
}

/// The values of a file, in their order.
#[derive(Debug)]
pub(super) struct Values {
    file: Bytes,
    at: usize,
}

impl Values {
    /// The next value. A large one is a slice of the file; others are copied, because a slice keeps the whole file in
    /// memory: so what is kept for a value is at most four times its size.
    ///
    /// # Errors
    /// The file ends before it.
    pub(super) fn take(&mut self, bytes: u64) -> Result<Bytes, Flaw> {
        let left = &self.file[self.at..];
        let end = usize::try_from(bytes).ok().filter(|end| left.get(*end) == Some(&b'\n'));
        let Some(bytes) = end else {
            return Err(Flaw::corrupt(format!("a value of {bytes} bytes does not end where its head says")));
        };
        let value = if bytes >= self.file.len() / 4 {
            self.file.slice(self.at..self.at + bytes)
        } else {
            Bytes::copy_from_slice(&left[..bytes])
        };
        self.at += bytes + 1;
        Ok(value)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// There is more.
    pub(super) fn end(self) -> Result<(), Flaw> {
        if self.at < self.file.len() {
            return Err(Flaw::corrupt(format!("{} bytes too many stand at its end", self.file.len() - self.at)));
        }
        Ok(())
    }
}

/// A number of 128 bits as it stands in a file: 32 small hexadecimal digits.
pub(super) fn hex(number: u128) -> String {
    format!("{number:032x}")
}

/// Reads what [`hex`] writes, and nothing else.
pub(super) fn unhex(text: &str) -> Option<u128> {
    let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}
