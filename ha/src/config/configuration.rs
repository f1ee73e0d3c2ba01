use std::collections::BTreeMap;
use std::fmt;

use ha_core::{Error, ErrorKind};

use super::option::ConfigOption;
use super::origin::Origin;
use super::settings::{Settings, storage_key};
use super::shown;

/// A later source that gives the first takes back the second of an earlier source: both say the same, each in its way. A
/// later port alone does not take back addresses; nobody can tell of which agent it would be.
const REPLACES: [(&str, &str); 7] = [
    ("high-availability.consul.address", "high-availability.consul.host"),
    ("high-availability.consul.address", "high-availability.consul.port"),
    ("high-availability.consul.host", "high-availability.consul.address"),
    ("high-availability.consul.acl-token", "high-availability.consul.acl-token-file"),
    ("high-availability.consul.acl-token-file", "high-availability.consul.acl-token"),
    ("high-availability.consul.session-ttl", "high-availability.consul.session.ttl"),
    ("high-availability.consul.session.ttl", "high-availability.consul.session-ttl"),
];

/// Parts of credentials: of what an earlier source gave, the second is of no use with the first of a later one, and
/// together they would be nobody's. One source gives all parts of its own, in any order.
const OF_OTHER_CREDENTIALS: [(&str, &str); 11] = [
    ("s3.access-key", "s3.secret-key"),
    ("s3.access-key", "s3.session-token"),
    ("s3.secret-key", "s3.session-token"),
    ("gs.service-account-key", "gs.service-account-key-file"),
    ("gs.service-account-key-file", "gs.service-account-key"),
    ("azure.account-key", "azure.sas-token"),
    ("azure.account-key", "azure.client-secret"),
    ("azure.sas-token", "azure.account-key"),
    ("azure.sas-token", "azure.client-secret"),
    ("azure.client-secret", "azure.account-key"),
    ("azure.client-secret", "azure.sas-token"),
];

/// Keys and values as they were given, each with where it comes from. Nothing is checked before
/// [`settings`](Self::settings) but what a source itself must be: YAML, a URL.
///
/// `Debug` shows keys and where they come from, and no value: any may hold a secret.
///
/// ```
/// use ha::config::Configuration;
/// let configuration = Configuration::new().with("high-availability.cluster-idd", "/prod");
/// let error = configuration.settings().unwrap_err();
/// assert!(error.to_string().contains("did you mean `high-availability.cluster-id`?"), "{error}");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// By the options' own keys; what is no option stands under the key that it was given.
    entries: BTreeMap<String, Entry>,
}

/// One value.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The key as it was written, which may be an alias.
    pub(super) written: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

impl Entry {
    /// The key and where it was given, for an error.
    pub(super) fn place(&self) -> String {
        format!("{} ({})", shown(&self.written), self.origin)
    }

    /// An error about its value.
    pub(super) fn invalid(&self, why: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Invalid, "configuration").at(self.place()).because(why)
    }
}

impl Configuration {
    /// Nothing: every option has its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With that value for the key, in place of an earlier one. Keys are written in full, as
    /// `high-availability.cluster-id`.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<String>) -> Self {
        let mut later = Self::new();
        later.entries.insert(canonical(key), Entry { written: key.into(), value: value.into(), origin: Origin::Code });
        self.and_then(later)
    }

    /// These, and over them those of a later source, key by key.
    #[must_use]
    pub fn and_then(mut self, later: Self) -> Self {
        for (given, replaced) in REPLACES {
            if later.entries.contains_key(given) && !later.entries.contains_key(replaced) {
                self.entries.remove(replaced);
            }
        }
        for (given, replaced) in OF_OTHER_CREDENTIALS {
            let (new, old) = (later.entries.get(given), self.entries.get(replaced));
            let of_another_source = new.zip(old).is_some_and(|(new, old)| !new.origin.is_one_source_with(&old.origin));
            if of_another_source && !later.entries.contains_key(replaced) {
                self.entries.remove(replaced);
            }
        }
        self.entries.extend(later.entries);
        self
    }

    /// The value of that key, under whichever of its names it was given.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(&canonical(key)).map(|entry| entry.value.as_str())
    }

    /// Where the value of that key was given.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.entries.get(&canonical(key)).map(|entry| &entry.origin)
    }

    /// The keys that are set, in order; an option's own where an alias was given.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Checks everything, and makes settings of it. A deprecated name is told to the log with the one that takes its
    /// place.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: a key that is not known (the text has the nearest one that is), or a value that does not
    ///   fit. The text names the key and where it was given, and shows no secret.
    /// * [`ErrorKind::Unsupported`]: a value that is good for Flink and has no counterpart here; the text says what has.
    pub fn settings(&self) -> Result<Settings, Error> {
        Settings::read(self)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Takes one value in place of an earlier one.
    #[cfg(feature = "yaml")]
    pub(super) fn replace(&mut self, written: &str, value: String, origin: Origin) {
        self.entries.insert(canonical(written), Entry { written: written.into(), value, origin });
    }

    /// Takes one value of a source in which no key may be given two values.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the key was given another value before, perhaps by another name.
    pub(super) fn give(&mut self, written: &str, value: String, origin: Origin) -> Result<(), Error> {
        let given = Entry { written: written.into(), value, origin };
        match self.entries.get(&canonical(written)) {
            Some(before) if before.value != given.value => {
                Err(given.invalid(format!("another value than that of {}; remove one of them", before.place())))
            }
            Some(_) => Ok(()),
            None => {
                self.entries.insert(canonical(written), given);
                Ok(())
            }
        }
    }
}

/// The option's own key, if it is one.
fn canonical(key: &str) -> String {
    let own = ConfigOption::find(key).map(|option| option.key);
    own.or_else(|| storage_key(key).map(|key| key.name)).unwrap_or(key).to_owned()
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.iter().map(|(key, entry)| (key, format_args!("{}", entry.origin).to_string()));
        f.debug_map().entries(entries).finish()
    }
}
