use std::fmt;
use std::path::PathBuf;

use ha_core::Error;

use crate::settings::invalid;

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// Ends without a slash.
    Http(String),
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// `host`, `host:port`, `http://host:port`, `unix:///path`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refused = |why: &str| Err(invalid("addresses", format!("{:.80?}: {why}", without_user(text))));
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                refused("write unix:///absolute/path")
            };
        }
        let authority = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => return refused("this build has no TLS; use the agent's plain port"),
            Some(_) => return refused("write host:port, http://host:port or unix:///path"),
            None => text,
        };
        let authority = authority.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ']) {
            return refused("write host:port; tokens, paths and users do not belong here");
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        Ok(Self::Http(if has_port { format!("http://{authority}") } else { format!("http://{authority}:8500") }))
    }

    /// What a request's URL begins with. Over a unix socket the host means nothing.
    pub(crate) fn base(&self) -> &str {
        match self {
            Self::Http(base) => base,
            Self::Unix(_) => "http://consul",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(base) => f.write_str(base),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Somebody may have written a password where it does not belong.
fn without_user(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_in_every_form_that_consul_takes() {
        for (text, base) in [
            ("10.0.0.1", "http://10.0.0.1:8500"),
            ("consul.local:8501", "http://consul.local:8501"),
            ("http://[::1]:8500/", "http://[::1]:8500"),
        ] {
            assert_eq!(Address::parse(text).unwrap().base(), base);
        }
        assert_eq!(Address::parse("unix:///run/c.sock").unwrap(), Address::Unix("/run/c.sock".into()));
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_a_password() {
        for text in ["", "ftp://a:1", "https://a:8501", "http://me:secret@a:1", "a/b", "unix://relative"] {
            let error = Address::parse(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
