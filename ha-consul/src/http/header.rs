//! Secrets as the values of headers, marked so that no log shows them. Why one cannot be is said without it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use crate::settings::BasicAuth;

/// The longest secret that is sent. Consul's own have 36 bytes; a signed one has some hundreds.
pub(super) const SECRET_BYTES_MAX: usize = 4096;

pub(crate) fn of_token(secret: &str) -> Result<HeaderValue, &'static str> {
    if secret.is_empty() {
        return Err("it is empty; leave it away to be anonymous");
    }
    if secret.len() > SECRET_BYTES_MAX {
        return Err("it is longer than 4096 bytes; it is no token (and is not shown here)");
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it holds characters that no token has, such as spaces or line ends (and is not shown here)");
    }
    secret_value(secret)
}

pub(crate) fn of_user(auth: &BasicAuth) -> Result<HeaderValue, &'static str> {
    let text = format!("{}:{}", auth.user, auth.password);
    if auth.user.contains(':') || text.chars().any(char::is_control) || text.len() > SECRET_BYTES_MAX {
        return Err("a user without a colon, and a password, up to 4096 bytes without control characters, are allowed");
    }
    secret_value(&format!("Basic {}", STANDARD.encode(text)))
}

fn secret_value(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "it cannot be sent (and is not shown here)")?;
    value.set_sensitive(true);
    Ok(value)
}
