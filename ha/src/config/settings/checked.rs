//! What is checked of every value, whether or not anything reads it.

use std::ops::RangeInclusive;

use ha_core::{Error, ErrorKind};

use super::super::configuration::Entry;
use super::super::option::{ConfigOption, Effect, Kind};
use super::super::options::{self, HA};
use super::super::value::{parse_attempts, parse_boolean, parse_number};
use super::super::{
    Configuration, DidYouMean, HighAvailabilityMode, Origin, nearest, parse_duration, parse_memory_size, shown,
};
use super::{is_storage_key, storage_keys};

/// Ports from one to another, both included.
pub type PortRange = RangeInclusive<u16>;

/// Ports as Flink writes them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ports(pub(super) Vec<PortRange>);

/// More than anybody lists.
const RANGES_MAX: usize = 1000;

impl Ports {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let why = "no ports; write one (`0` for any), a range, or several of them, as in `50000-50010,50100`";
        let refused = || Error::new(ErrorKind::Invalid, "ports").at(shown(text)).because(why);
        let port = |text: &str| parse_number(text).ok().and_then(|port| u16::try_from(port).ok()).ok_or_else(refused);
        let range = |part: &str| match part.split_once('-') {
            None => port(part).map(|port| port..=port),
            Some((first, last)) => Ok(port(first)?..=port(last)?).and_then(|range| match range.is_empty() {
                true => Err(refused()),
                false => Ok(range),
            }),
        };
        if text.split(',').count() > RANGES_MAX {
            return Err(refused());
        }
        text.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }
}

/// Checks that every key is one that there is, and that every value is of its kind. Tells the log of what is deprecated and
/// of what has no effect.
pub(super) fn checked(configuration: &Configuration, mode: &HighAvailabilityMode) -> Result<(), Error> {
    for (key, entry) in configuration.entries() {
        match ConfigOption::find(key) {
            Some(option) => check_value(option, entry)?,
            None if is_storage_key(key) || is_component(key) || of_factory(key, mode).is_some() => {}
            None => check_unknown(key, entry)?,
        }
    }
    Ok(())
}

fn check_value(option: &'static ConfigOption, entry: &Entry) -> Result<(), Error> {
    let value = entry.value.trim();
    let (named, origin) = (&entry.written, &entry.origin);
    if option.aliases.iter().any(|alias| alias.deprecated && alias.key == entry.written) {
        tracing::warn!(key = %named, %origin, "this key is deprecated; write `{}`", option.key);
    }
    let kind = match option.kind {
        Kind::Text => Ok(()),
        Kind::Boolean => parse_boolean(value).map(drop),
        Kind::Number => parse_number(value).map(drop),
        Kind::Attempts => parse_attempts(value).map(drop),
        Kind::Duration => parse_duration(value).map(drop),
        Kind::MemorySize => parse_memory_size(value).map(drop),
        Kind::Ports => Ports::parse(value).map(drop),
        Kind::OneOf(words) => one_of(words, value),
    };
    kind.map_err(|error| entry.invalid(error))?;
    match option.effect {
        Effect::Set => Ok(()),
        Effect::Nothing(why) => {
            tracing::warn!(key = %named, %origin, "this key has no effect: {why}");
            Ok(())
        }
        Effect::Fixed(values, why) => {
            let given = value.trim_matches('/');
            match values.iter().any(|known| known.eq_ignore_ascii_case(given)) {
                true => Ok(()),
                false if values.is_empty() => Err(unsupported(entry, format!("{why}; remove the key"))),
                false => Err(unsupported(entry, format!("{why}; remove the key, or write {}", values.join(" or ")))),
            }
        }
    }
}

fn unsupported(entry: &Entry, why: String) -> Error {
    Error::new(ErrorKind::Unsupported, "configuration").at(entry.place()).because(why)
}

/// Flink takes these words for them too.
const SYNONYMS: [&str; 4] = ["off", "disable", "fixeddelay", "exponentialdelay"];

fn one_of(words: &[&str], value: &str) -> Result<(), Error> {
    let is = |word: &&str| word.eq_ignore_ascii_case(value);
    if words.iter().any(is) || SYNONYMS.iter().any(is) {
        return Ok(());
    }
    let hint = DidYouMean(nearest(value, words.iter().copied()));
    let why = format!("one of {} is wanted{hint}", words.join(", "));
    Err(Error::new(ErrorKind::Invalid, "value").at(shown(value)).because(why))
}

/// Whether it is the address of some component's leader.
fn is_component(key: &str) -> bool {
    key.strip_prefix(options::LEADER_ADDRESS).is_some_and(|component| !component.is_empty())
}

/// The name of a setting of the application's own factory, if that is what is wanted and the key is one of its.
pub(super) fn of_factory<'k>(key: &'k str, mode: &HighAvailabilityMode) -> Option<&'k str> {
    let HighAvailabilityMode::Factory(name) = mode else { return None };
    let prefix = format!("{HA}{name}.");
    // Types are written in any case.
    let begins = key.get(..prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(&prefix));
    let ours = options::section_of(key).is_some() || name == "embedded";
    let rest = begins.then(|| &key[prefix.len()..]).filter(|rest| !rest.is_empty() && !ours)?;
    Some(rest)
}

/// A key that is no option: an error, unless somebody else's in a file that others read too.
fn check_unknown(key: &str, entry: &Entry) -> Result<(), Error> {
    let in_a_file = matches!(entry.origin, Origin::File { .. });
    if options::is_foreign(key) {
        tracing::debug!(key, origin = %entry.origin, "this key is for a backend that this library does not have");
        return Ok(());
    }
    let strict = options::STRICT.iter().any(|prefix| key.starts_with(prefix) || prefix.trim_end_matches('.') == key);
    let storage = is_below_a_storage_key(key);
    // A file may have many of them: of those of others the beginning alone is compared, for a slip there would have a
    // service run without an election, and nobody would know.
    if in_a_file && !strict && !storage {
        return match is_nearly_ours(key) {
            Some(meant) => Err(entry.invalid(format!("there is no such option; did you mean `{meant}`?"))),
            None => Ok(()),
        };
    }
    let own = ConfigOption::all().flat_map(ConfigOption::keys);
    let near = nearest(key, own.chain(storage_keys()).chain(options::FOREIGN));
    // `s3.…` is a prefix of others too; what is close to a name of ours is meant to be it.
    if in_a_file && !strict && near.is_none() {
        tracing::warn!(key, origin = %entry.origin, "this key has no effect: the state storage here has no such option");
        return Ok(());
    }
    // `cluster-id` alone is meant for the key that ends so.
    let ending = format!(".{key}");
    let longer = || ConfigOption::all().map(|option| option.key).find(|known| known.ends_with(&ending));
    Err(entry.invalid(format!("there is no such option{}", DidYouMean(near.or_else(longer)))))
}

/// The key that is meant by one whose first part is nearly that of ours.
fn is_nearly_ours(key: &str) -> Option<String> {
    let ours = HA.trim_end_matches('.');
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    // Two letters at most: Flink has no other key that is as close.
    let is_near =
        first.len().abs_diff(ours.len()) <= 2 && strsim::damerau_levenshtein(&first.to_ascii_lowercase(), ours) <= 2;
    is_near.then(|| rest.map_or_else(|| ours.to_owned(), |rest| format!("{HA}{}", beginning(rest))))
}

fn beginning(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Whether options of the state storage begin as this key does: `s3.`, `gs.`.
fn is_below_a_storage_key(key: &str) -> bool {
    let first = |key: &str| key.split_once('.').map(|(first, _)| first.to_owned());
    first(key).is_some_and(|own| storage_keys().any(|known| first(known).is_some_and(|known| known == own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_flink_writes_them() {
        for (text, ports) in [
            ("0", vec![0..=0]),
            ("6123", vec![6123..=6123]),
            (" 50000-50010 , 50100 ", vec![50000..=50010, 50100..=50100]),
            ("1-65535", vec![1..=65535]),
        ] {
            assert_eq!(Ports::parse(text).unwrap(), Ports(ports), "{text}");
        }
        for text in ["", ",", "1,", "-1", "1-", "2-1", "65536", "a", "1--2", &"1,".repeat(5_000)] {
            assert!(Ports::parse(text).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn settings_of_a_factory_are_those_below_its_name_in_any_case() {
        let mode = HighAvailabilityMode::of(Some("com.Example.Store"));
        let name = |key| of_factory(key, &mode);
        assert_eq!(name("high-availability.com.Example.Store.address"), Some("address"));
        assert_eq!(name("high-availability.com.example.store.a.b"), Some("a.b"));
        assert_eq!(name("high-availability.com.example.store."), None);
        assert_eq!(name("high-availability.com.example.stores.a"), None);
        assert_eq!(name("high-availabilité"), None);
        assert_eq!(of_factory("high-availability.consul.adress", &HighAvailabilityMode::of(Some("consul"))), None);
    }
}
