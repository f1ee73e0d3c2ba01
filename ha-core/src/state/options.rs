use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::keys::{self, CREDENTIALS, STORAGE_KEYS, StorageKey};
use crate::excerpt::excerpt;
use crate::{Error, ErrorKind};

/// Options of the state storage, by the names of [`STORAGE_KEYS`]: addresses, credentials, limits.
///
/// Values may be secret: `Debug` shows the names alone, and so does every error from here.
///
/// ```
/// use ha_core::state::StorageOptions;
/// let options = StorageOptions::new().with("s3.endpoint", "http://127.0.0.1:9000").with("s3.secret-key", "hidden");
/// options.check().unwrap();
/// assert!(!format!("{options:?}").contains("hidden"));
/// let misspelt = StorageOptions::new().with("s3.end-point", "http://127.0.0.1:9000").check().unwrap_err();
/// assert!(misspelt.to_string().contains("did you mean `s3.endpoint`?"), "{misspelt}");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StorageOptions {
    values: BTreeMap<String, String>,
}

impl StorageOptions {
    /// No options: every one comes from the environment, or has its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one, in place of an earlier value. An alias sets what it stands for. Nothing is checked here.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let name = StorageKey::named(name).map_or(name, |key| key.name);
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The value of an option, if it is set here.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = StorageKey::named(name).map_or(name, |key| key.name);
        self.values.get(name).map(String::as_str)
    }

    /// The names that are set, in order; never an alias.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Refuses what has no meaning, so that a misspelt name is not a default in silence, and limits that are none.
    /// [`StateStorage::open_with`](super::StateStorage::open_with) does this too.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): names the option, and the nearest that there is.
    pub fn check(&self) -> Result<(), Error> {
        self.names().try_for_each(|name| StorageKey::named(name).map(drop))?;
        self.flag("s3.path.style.access")?;
        Limits::of(self).map(drop)
    }

    /// These, and what they do not say from the environment. Credentials are taken as a whole.
    pub(super) fn or_from(mut self, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let has_own = |names: &[&str]| names.iter().any(|name| self.values.contains_key(*name));
        let taken: Vec<&str> =
            CREDENTIALS.iter().filter(|group| has_own(group)).flat_map(|g| g.iter().copied()).collect();
        for key in STORAGE_KEYS.iter().filter(|key| !taken.contains(&key.name)) {
            if !self.values.contains_key(key.name) {
                // An empty variable is one that is not set: so shells and containers unset them.
                let found = key.variables.iter().filter_map(|name| variable(name)).find(|value| !value.is_empty());
                found.map(|value| self.values.insert(key.name.to_owned(), value));
            }
        }
        self
    }

    /// These, and what they do not say from the other.
    pub(super) fn or(mut self, other: Self) -> Self {
        for (name, value) in other.values {
            self.values.entry(name).or_insert(value);
        }
        self
    }

    /// The values that nobody may see.
    pub(super) fn secrets(&self) -> Vec<String> {
        let secret = STORAGE_KEYS.iter().filter(|key| key.secret);
        secret.filter_map(|key| self.get(key.name)).map(str::to_owned).collect()
    }

    /// The value as a truth.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.get(name).map(str::trim) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(bad(name, text, "write `true` or `false`")),
        }
    }
}

impl<'a, V: Into<String>> FromIterator<(&'a str, V)> for StorageOptions {
    fn from_iter<I: IntoIterator<Item = (&'a str, V)>>(options: I) -> Self {
        options.into_iter().fold(Self::new(), |options, (name, value)| options.with(name, value))
    }
}

impl fmt::Debug for StorageOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// What is asked of an object store over a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) request: Duration,
    pub(super) retry: Duration,
    pub(super) parallelism: usize,
    pub(super) part_bytes: usize,
}

impl Limits {
    pub(super) fn of(options: &StorageOptions) -> Result<Self, Error> {
        let text = |name| options.get(name).unwrap_or_else(|| default_of(name));
        let duration = |name, least: Duration, most: Duration| {
            let text = text(name);
            let found = number(text, TIME_UNITS).or_else(|| iso(text));
            let found = found.map(Duration::from_millis).filter(|found| (least..=most).contains(found));
            found.ok_or_else(|| bad(name, text, format!("write a duration from {least:?} to {most:?}, as `30 s`")))
        };
        let hour = Duration::from_secs(3600);
        let request = duration(keys::REQUEST_TIMEOUT, Duration::from_millis(100), hour)?;
        let retry = duration(keys::RETRY_TIMEOUT, Duration::ZERO, hour)?;
        let within = |name, units: Units, least: u64, most: u64, form: &str| {
            let text = text(name);
            let found = number(text, units).filter(|found| (least..=most).contains(found));
            found.and_then(|found| usize::try_from(found).ok()).ok_or_else(|| bad(name, text, form))
        };
        let parallelism = within(keys::PARALLELISM, &[(&[""], 1)], 1, 64, "write a number from 1 to 64")?;
        let (mb, form) = (1 << 20, "write a size from 5 mb to 512 mb, as `8 mb`");
        let part_bytes = within(keys::PART_SIZE, MEMORY_UNITS, 5 * mb, 512 * mb, form)?;
        Ok(Self { request, retry, parallelism, part_bytes })
    }

    /// No operation on one state, or on one part of it, takes longer.
    pub(super) fn operation(&self) -> Duration {
        self.retry + 2 * self.request
    }
}

fn default_of(name: &str) -> &'static str {
    STORAGE_KEYS.iter().find(|key| key.name == name).and_then(|key| key.default).unwrap_or_default()
}

/// Names, and what each stands for.
type Units = &'static [(&'static [&'static str], u64)];

/// Flink's units of time, as far as a limit can be given in them, and their milliseconds.
const TIME_UNITS: Units = &[
    (&["", "ms", "milli", "millis", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "minute", "minutes"], 60_000),
    (&["h", "hour", "hours"], 3_600_000),
];
/// Flink's units of memory, and their bytes.
const MEMORY_UNITS: Units = &[
    (&["", "b", "bytes"], 1),
    (&["k", "kb", "kibibytes"], 1 << 10),
    (&["m", "mb", "mebibytes"], 1 << 20),
    (&["g", "gb", "gibibytes"], 1 << 30),
];

/// The milliseconds of a time in Java's form that is a number of one unit, such as `PT30S`.
fn iso(text: &str) -> Option<u64> {
    let rest = text.trim().to_ascii_uppercase();
    let rest = rest.strip_prefix("PT")?;
    rest.ends_with(['S', 'M', 'H']).then(|| number(rest, TIME_UNITS))?
}

/// A number with one of the units, in any case, with or without a space.
fn number(text: &str, units: Units) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<u64>().ok()?, text[digits..].trim().to_ascii_lowercase());
    let (_, factor) = units.iter().find(|(names, _)| names.contains(&unit.as_str()))?;
    number.checked_mul(*factor)
}

/// Of an option that is no secret.
pub(super) fn bad(name: &str, value: &str, what: impl fmt::Display) -> Error {
    let why = format!("{} is none: {what}", excerpt(value, 60));
    Error::new(ErrorKind::Invalid, "storage options").at(name).because(why)
}

/// The name with the fewest single-character edits to `word`; the first of equals.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> &'a str {
    // A word may come from anywhere, and be of any length.
    let word: String = word.chars().take(100).collect();
    names.min_by_key(|name| strsim::levenshtein(&word, name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_one_and_no_name_stands_for_two_options() {
        let limits = Limits::of(&StorageOptions::new()).unwrap();
        assert_eq!((limits.part_bytes, limits.parallelism), (8 << 20, 4));
        assert_eq!((limits.request, limits.retry), (Duration::from_secs(20), Duration::from_secs(30)));
        let names = STORAGE_KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
        let all: Vec<_> = names.collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), distinct.len());
        assert!(CREDENTIALS.iter().flat_map(|group| group.iter()).all(|name| StorageKey::named(name).is_ok()));
    }

    #[test]
    fn limits_are_read_in_flinks_forms_and_refused_out_of_bounds() {
        let limits = |name, value: &str| Limits::of(&StorageOptions::new().with(name, value));
        for (text, ms) in [
            ("30 s", 30_000),
            ("500ms", 500),
            ("1 min", 60_000),
            ("2000", 2_000),
            (" 1 H ", 3_600_000),
            ("PT5M", 300_000),
            ("2 Seconds", 2_000),
        ] {
            assert_eq!(limits(keys::REQUEST_TIMEOUT, text).unwrap().request, Duration::from_millis(ms), "{text}");
        }
        for text in
            ["", "s", "-1 s", "1 day", "2 h", "1.5 s", "99999999999999999999 s", "18446744073709551615 h", "5 é"]
        {
            let error = limits(keys::REQUEST_TIMEOUT, text).unwrap_err();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, keys::REQUEST_TIMEOUT), "{text}");
        }
        assert_eq!(limits(keys::PART_SIZE, "16MB").unwrap().part_bytes, 16 << 20);
        for (name, text) in [(keys::PART_SIZE, "4 mb"), (keys::PARALLELISM, "0"), (keys::PARALLELISM, "65")] {
            assert!(limits(name, text).is_err(), "{name} {text}");
        }
    }

    #[test]
    fn an_alias_sets_what_it_stands_for_and_the_later_wins() {
        let options = StorageOptions::new().with("s3.path-style-access", "false").with("s3.path.style.access", "true");
        assert_eq!(options.names().collect::<Vec<_>>(), ["s3.path.style.access"]);
        assert_eq!(options.flag("s3.path-style-access"), Ok(Some(true)));
    }

    #[test]
    fn credentials_of_two_sources_are_never_mixed() {
        let environment = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => Some(format!("env-{name}")),
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_ENDPOINT_URL" => Some(String::new()),
            _ => None,
        };
        let own = StorageOptions::new().with("s3.access-key", "id").with("s3.secret-key", "secret");
        let merged = own.or_from(&environment);
        assert_eq!(merged.get("s3.access-key"), Some("id"));
        assert_eq!(merged.get("s3.session-token"), None, "the token belongs to another key");
        assert_eq!(merged.get("s3.region"), Some("eu-west-1"));
        assert_eq!(merged.get("s3.endpoint"), None, "an empty variable is not set");
        let merged = StorageOptions::new().or_from(&environment);
        assert_eq!(merged.get("s3.session-token"), Some("env-AWS_SESSION_TOKEN"));
    }
}
