use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::header::HeaderValue;

use super::failure::{Failure, FailureKind};
use crate::settings::Token;

/// Gives the token of the moment, for every request.
pub(super) struct TokenReader {
    token: Token,
    read: Mutex<Option<(SystemTime, HeaderValue)>>,
}

impl TokenReader {
    pub(super) fn new(token: Token) -> Self {
        Self { token, read: Mutex::default() }
    }

    /// The header's value, marked as a secret so that no log shows it.
    pub(super) fn current(&self) -> Result<Option<HeaderValue>, Failure> {
        let refused = |why: String| Failure::new(FailureKind::Denied, why);
        let header = |secret: &str| {
            let mut value = HeaderValue::from_str(secret.trim())
                .map_err(|_| refused("the token holds characters that no token has; nothing was sent".into()))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let path = match &self.token {
            Token::None => return Ok(None),
            Token::Secret(secret) => return header(secret).map(Some),
            Token::File(path) => path,
        };
        let unreadable =
            |error: std::io::Error| refused(format!("the token file {} cannot be read ({error})", path.display()));
        let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(unreadable)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = read.as_ref().filter(|(at, _)| *at == changed) {
            return Ok(Some(value.clone()));
        }
        let value = header(&std::fs::read_to_string(path).map_err(unreadable)?)?;
        *read = Some((changed, value.clone()));
        Ok(Some(value))
    }
}
