use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ha_core::Error;
use reqwest::header::HeaderValue;

use super::header::{self, SECRET_BYTES_MAX};
use crate::settings::{Token, invalid};

/// Gives the token of the moment, for every request.
pub(super) struct TokenReader(Source);

enum Source {
    Fixed(Option<HeaderValue>),
    File { path: PathBuf, last: Mutex<Last> },
}

/// What was read of the file last.
struct Last {
    good: HeaderValue,
    /// Whether the log knows that the file is not as it should be.
    told: bool,
}

impl TokenReader {
    /// # Errors
    /// [`ErrorKind::Invalid`](ha_core::ErrorKind::Invalid): there is no token where one should be.
    pub(super) fn new(token: &Token) -> Result<Self, Error> {
        let refused = |why: &str| invalid("token", why.to_owned());
        Ok(Self(match token {
            Token::None => Source::Fixed(None),
            Token::Secret(secret) => Source::Fixed(Some(header::of_token(secret).map_err(refused)?)),
            Token::File(path) => {
                let good = read(path).map_err(|why| refused(&why))?;
                Source::File { path: path.clone(), last: Mutex::new(Last { good, told: false }) }
            }
        }))
    }

    /// The header's value, marked as a secret so that no log shows it.
    ///
    /// A file is read each time: the times that file systems keep are too coarse to tell two tokens apart
    /// that were written one right after the other, and the file is small.
    pub(super) fn current(&self) -> Option<HeaderValue> {
        let (path, last) = match &self.0 {
            Source::Fixed(value) => return value.clone(),
            Source::File { path, last } => (path, last),
        };
        let read = read(path);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(value) => *last = Last { good: value, told: false },
            // Race: whoever replaces the token may have emptied the file and not written it yet.
            // Closed by: the last token counts until there is another; Consul decides whether it is still one.
            // Cost if missed: a session that ends because of a file that is being written.
            Err(why) if !last.told => {
                tracing::warn!(why, "the Consul token file is not as it should be; the last token counts on");
                last.told = true;
            }
            Err(_) => {}
        }
        Some(last.good.clone())
    }
}

fn read(path: &Path) -> Result<HeaderValue, String> {
    let named = |why: &dyn std::fmt::Display| format!("the file {}: {why}", path.display());
    // Opening a pipe could wait for ever.
    if !std::fs::metadata(path).map_err(|error| named(&error))?.is_file() {
        return Err(named(&"it is no regular file"));
    }
    let file = File::open(path).map_err(|error| named(&error))?;
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that what is too long is seen.
    let most = u64::try_from(SECRET_BYTES_MAX + 1).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes).map_err(|error| named(&error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| named(&"it is no text"))?;
    header::of_token(text.trim_ascii()).map_err(|why| named(&why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reader: &TokenReader) -> String {
        reader.current().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_token_that_is_replaced_counts_at_once_and_a_glitch_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let reader = TokenReader::new(&Token::File(path.clone())).unwrap();
        assert_eq!(shown(&reader), "first");
        // Of equal length, and possibly within one tick of the file system's clock.
        std::fs::write(&path, "other\n").unwrap();
        assert_eq!(shown(&reader), "other");
        for glitch in ["", " \n", "two words", &"x".repeat(5000)] {
            std::fs::write(&path, glitch).unwrap();
            assert_eq!(shown(&reader), "other");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(shown(&reader), "other");
        std::fs::write(&path, "third").unwrap();
        assert_eq!(shown(&reader), "third");
    }

    #[test]
    fn a_file_that_holds_no_token_is_refused_at_the_start_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let refused = || TokenReader::new(&Token::File(path.clone())).err().unwrap().to_string();
        assert!(refused().contains("token"), "{}", refused());
        for content in [&b""[..], b"s3cret s3cret", b"s3cret\0", b"\xff\xfes3cret"] {
            std::fs::write(&path, content).unwrap();
            assert!(!refused().contains("s3cret"), "{}", refused());
        }
        let no_file = TokenReader::new(&Token::File(folder.path().into()));
        assert!(no_file.is_err());
    }

    #[test]
    fn a_token_is_marked_as_a_secret() {
        let reader = TokenReader::new(&Token::Secret("s3cret".into())).unwrap();
        assert!(!format!("{:?}", reader.current()).contains("s3cret"));
    }
}
