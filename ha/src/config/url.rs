//! Settings as one line: `consul://localhost:8500/flink?cluster-id=/prod&session-ttl=10s`.

use std::fmt;

use ha_core::{Error, ErrorKind};

use super::option::ConfigOption;
use super::options::{self, HA};
use super::origin::Origin;
use super::{Configuration, DidYouMean, HighAvailabilityMode, nearest, shown};

/// Far more than a line that somebody types; what is longer is not looked at.
const URL_BYTES_MAX: usize = 16 * 1024;

impl Configuration {
    /// The settings that stand in a URL.
    ///
    /// | part | what it is |
    /// |---|---|
    /// | scheme | `high-availability.type`: `consul`, `filesystem`, `embedded`, `none`, or a type of your own |
    /// | host and port | with `consul`, its `host` and `port`; several agents, separated by commas, are its `address` |
    /// | path | with `filesystem` its `directory`, else `high-availability.path.root` |
    /// | query | any other key: in full, or without `high-availability.`, or without `high-availability.consul.` |
    ///
    /// With a type of your own, host and port are its setting `address`, and so are keys of the query that are not known
    /// here: settings of its own. What a URL cannot hold is written as `%` and two hexadecimal digits: `%26` is `&`. A `+`
    /// is a plus.
    ///
    /// ```
    /// use ha::config::Configuration;
    /// let url = "consul://localhost:8500/flink?cluster-id=/prod&session-ttl=10s&storageDir=file:///var/lib/ha";
    /// let configuration = Configuration::from_url(url)?;
    /// assert_eq!(configuration.get("high-availability.type"), Some("consul"));
    /// assert_eq!(configuration.get("high-availability.consul.port"), Some("8500"));
    /// assert_eq!(configuration.get("high-availability.cluster-id"), Some("/prod"));
    /// # Ok::<(), ha::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: it is no such URL, or a key of the query is not known; the text has the nearest one that is,
    /// and shows no value. Whether there is such a type is found out when it is opened.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let parts = Parts::of(url)?;
        let mut given = Given { kind: parts.scheme, configuration: Self::new() };
        given.set("high-availability.type", parts.scheme)?;
        given.take_authority(&decoded(parts.authority)?)?;
        given.take_path(&decoded(parts.path)?)?;
        for pair in parts.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| invalid("write every option as `name=value`"))?;
            given.take(&decoded(name)?, decoded(value)?)?;
        }
        Ok(given.configuration)
    }
}

/// The text is never shown: it may hold a token.
fn invalid(why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "configuration").at("URL").because(why)
}

fn no_user() -> Error {
    invalid(
        "no user and no password belong before the host; write an option, as in ?acl-token=…, or better a variable or a \
         file with the token",
    )
}

struct Parts<'u> {
    scheme: &'u str,
    authority: &'u str,
    path: &'u str,
    query: &'u str,
}

impl<'u> Parts<'u> {
    fn of(url: &'u str) -> Result<Self, Error> {
        if url.len() > URL_BYTES_MAX {
            return Err(invalid(format!("{} bytes; at most {URL_BYTES_MAX} are allowed", url.len())));
        }
        let form = "write scheme://host:port/path?name=value&name=value, as in consul://localhost:8500/flink";
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| invalid(form))?;
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(letter) {
            return Err(invalid(form));
        }
        if rest.contains('#') {
            return Err(invalid("a `#` has no meaning here; write %23 for one within a value"));
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_at(before.find('/').unwrap_or(before.len()));
        // A password may hold a `/` or a `?`, and then ends as a port, a path or the name of an option, which errors show.
        let named = rest.split('=').next().unwrap_or_default();
        if !authority.is_empty() && named.contains('@') {
            return Err(no_user());
        }
        Ok(Self { scheme, authority, path, query })
    }
}

/// What stands behind `%` signs.
fn decoded(text: &str) -> Result<String, Error> {
    let refused =
        || invalid("behind each `%` stand two hexadecimal digits, and all of it is UTF-8; write %25 for a `%`");
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let value = digit(rest.next()).zip(digit(rest.next())).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or_else(refused)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| refused())
}

struct Given<'u> {
    /// The scheme.
    kind: &'u str,
    configuration: Configuration,
}

impl Given<'_> {
    fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.configuration.give(key, value.to_owned(), Origin::Url)
    }

    fn is(&self, name: &str) -> bool {
        self.kind.eq_ignore_ascii_case(name)
    }

    /// Whether the options of this type are in the table.
    fn is_ours(&self) -> bool {
        let section = options::GROUPS.iter().filter_map(|group| group.of).any(|of| of.types.iter().any(|t| self.is(t)));
        let mode = HighAvailabilityMode::of(Some(self.kind));
        section || self.is("embedded") || !matches!(mode, HighAvailabilityMode::Factory(_))
    }

    fn take_authority(&mut self, authority: &str) -> Result<(), Error> {
        if authority.is_empty() {
            return Ok(());
        }
        if authority.contains('@') {
            return Err(no_user());
        }
        if self.is("consul") {
            return self.take_agents(authority);
        }
        if self.is("filesystem") {
            return Err(invalid("a directory has no host: write filesystem:///absolute/directory"));
        }
        if self.is_ours() {
            return Err(invalid(format!("{} has no host: write {0}:// and options", self.kind)));
        }
        let key = format!("{HA}{}.address", self.kind);
        self.set(&key, authority)
    }

    fn take_agents(&mut self, authority: &str) -> Result<(), Error> {
        if authority.contains(',') {
            return self.set("high-availability.consul.address", authority);
        }
        // The colons of an IPv6 address stand within brackets.
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                if !host.is_empty() {
                    self.set("high-availability.consul.host", host)?;
                }
                self.set("high-availability.consul.port", port)
            }
            _ => self.set("high-availability.consul.host", authority),
        }
    }

    fn take_path(&mut self, path: &str) -> Result<(), Error> {
        if self.is("filesystem") {
            return match path {
                "" | "/" => Ok(()),
                directory => self.set("high-availability.filesystem.directory", directory),
            };
        }
        match path.trim_matches('/') {
            "" => Ok(()),
            root => self.set("high-availability.path.root", root),
        }
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), Error> {
        let Some(key) = self.key(name) else {
            let names = self.names();
            let hint = DidYouMean(nearest(name, names.iter().map(String::as_str)));
            return Err(invalid(format!("{}: there is no such option{hint}", shown(name))));
        };
        self.configuration.give(&key, value, Origin::Url)
    }

    /// What stands before a short name: nothing, what all keys begin with, or what those of this type begin with.
    fn prefixes(&self) -> [String; 3] {
        let kind = self.kind.to_ascii_lowercase();
        // The type `none` has the options of standalone services.
        let section = if kind == "none" { "standalone" } else { &kind };
        [String::new(), HA.to_owned(), format!("{HA}{section}.")]
    }

    fn key(&self, name: &str) -> Option<String> {
        let known = |key: &String| {
            let component = key.strip_prefix(options::LEADER_ADDRESS).is_some_and(|name| !name.is_empty());
            component || ConfigOption::find(key).is_some() || super::settings::is_storage_key(key)
        };
        let candidates = self.prefixes().map(|prefix| format!("{prefix}{name}"));
        let own = || (!self.is_ours() && !name.is_empty()).then(|| format!("{HA}{}.{name}", self.kind));
        candidates.into_iter().find(known).or_else(own)
    }

    /// All names that can stand in this URL, each as short as it can be.
    fn names(&self) -> Vec<String> {
        let prefixes = self.prefixes();
        let shortest = |key: &'static str| {
            let cut = prefixes.iter().rev().find_map(|prefix| key.strip_prefix(prefix.as_str()));
            cut.unwrap_or(key).to_owned()
        };
        let others = super::settings::storage_keys().map(str::to_owned);
        ConfigOption::all().flat_map(ConfigOption::keys).map(shortest).chain(others).collect()
    }
}

#[cfg(test)]
mod tests;
