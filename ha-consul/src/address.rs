use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ha_core::{Error, shown_url};

use crate::settings::invalid;

/// Consul's own ports.
const PORT: u16 = 8500;
/// The most characters of a text that is no address, as it stands in an error.
const SHOWN_CHARS_MAX: usize = 80;

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A host and a port.
    Tcp {
        scheme: Scheme,
        /// A name or an IP address, the latter of version 6 in brackets.
        host: String,
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Address {
    /// `host`, `host:port`, `http://host:port`, `https://host:port`, `unix:///path`.
    ///
    /// A bare host means Consul's port. Behind a scheme a missing port is the scheme's own, as in every URL.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        // A precision would not shorten what is shown as `Debug`.
        let shown = || shown_url(text).chars().take(SHOWN_CHARS_MAX).collect::<String>();
        let refused = |why: &str| Err(invalid("addresses", format!("{:?}: {why}", shown())));
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                refused("write unix:///absolute/path")
            };
        }
        let (scheme, authority, default) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest, 80),
            Some(("https", rest)) => (Scheme::Https, rest, 443),
            Some(_) => return refused("write host:port, http://host:port, https://host:port or unix:///path"),
            None => (Scheme::Http, text, PORT),
        };
        if scheme == Scheme::Https && !cfg!(feature = "tls") {
            return refused("TLS is not compiled in: switch on the feature `tls` of the crate `ha-consul`");
        }
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '@', '?', '#']) {
            return refused("write host:port; tokens, paths and users do not belong here");
        }
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address.
            Some((_, rest)) if rest.ends_with(']') => (authority, None),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let port = match port.map(str::parse) {
            None => default,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return refused("the port is a number from 1 to 65535"),
        };
        if !is_host(host) {
            return refused("this is no host; an IPv6 address stands in brackets");
        }
        Ok(Self::Tcp { scheme, host: host.to_owned(), port })
    }

    /// The same address, spoken to with TLS.
    pub(crate) fn with_tls(text: &str) -> String {
        match text.split_once("://") {
            Some(("http", rest)) => format!("https://{rest}"),
            Some(_) => text.to_owned(),
            None if text.contains(':') => format!("https://{text}"),
            // Consul's port stays what it is.
            None => format!("https://{text}:{PORT}"),
        }
    }

    /// What a request's URL begins with, with another name in the place of the host if there is one. Over a unix
    /// socket the host means nothing.
    pub(crate) fn base(&self, server_name: Option<&str>) -> String {
        match self {
            Self::Tcp { scheme: Scheme::Https, host, port } => {
                format!("https://{}:{port}", server_name.unwrap_or(host))
            }
            Self::Tcp { .. } => self.to_string(),
            Self::Unix(_) => "http://consul".into(),
        }
    }
}

/// A name or an address, and nothing that has a meaning of its own in a URL.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    // A URL would take 010.1 or 2130706433 for an IP address, which nobody sees.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let is_number = match digits {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => last.bytes().all(|digit| digit.is_ascii_digit()),
    };
    !last.is_empty() && is_name && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { scheme, host, port } => write!(f, "{}://{host}:{port}", scheme.text()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_in_every_form_that_consul_takes() {
        for (text, base) in [
            ("10.0.0.1", "http://10.0.0.1:8500"),
            ("consul.local:8501", "http://consul.local:8501"),
            ("consul", "http://consul:8500"),
            ("3f2a1b:8500", "http://3f2a1b:8500"),
            ("http://consul.local", "http://consul.local:80"),
            ("http://[::1]:8500/", "http://[::1]:8500"),
            ("[fe80::1]", "http://[fe80::1]:8500"),
        ] {
            assert_eq!(Address::parse(text).unwrap().base(Some("never.for.http")), base);
        }
        assert_eq!(Address::parse("unix:///run/c.sock").unwrap(), Address::Unix("/run/c.sock".into()));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn with_tls_another_name_can_stand_in_the_place_of_the_host() {
        let address = Address::parse("https://10.0.0.1:8501").unwrap();
        assert_eq!(address.base(None), "https://10.0.0.1:8501");
        assert_eq!(address.base(Some("server.dc1.consul")), "https://server.dc1.consul:8501");
        assert_eq!(address.to_string(), "https://10.0.0.1:8501");
        assert_eq!(Address::parse("https://consul.local").unwrap().base(None), "https://consul.local:443");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_the_error_names_the_feature() {
        let error = Address::parse("https://10.0.0.1:8501").unwrap_err();
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_a_secret() {
        for text in [
            "",
            "ftp://a:1",
            "http://me:secret@a:1",
            "http://me:x?secret@a:1",
            "http://me:secret#x@a:1",
            "a:1?token=x@secret",
            "a:1?token=secret",
            "a:1#secret",
            "a/b",
            "unix://relative",
            "http://",
            ":8500",
            "a:0",
            "a:65536",
            "a:port",
            "::1",
            "[::1",
            "[zz]:1",
            "a b:1",
            "a:1\r\nX: secret@",
            "2130706433",
            "10.0.1",
            "0x7f.1",
            "\u{e4}:1",
            &"\u{e4}".repeat(100_000),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(error.to_string().len() < 1000, "{error}");
        }
    }
}
