//! The settings of a backend's own, as its connector reads them.

use ha_core::{BackendSettings, Error, ErrorKind};

use super::super::option::{ConfigOption, Effect, Kind};
use super::super::options;
use super::super::value::{parse_boolean, parse_number};
use super::super::{Configuration, HighAvailabilityMode, parse_duration, parse_memory_size};
use super::checked::of_factory;

/// What is handed on under another name.
const IN_SECONDS: &str = "high-availability.consul.session.ttl";

pub(super) fn settings(configuration: &Configuration, mode: &HighAvailabilityMode) -> Result<BackendSettings, Error> {
    let mut settings = BackendSettings::new();
    for (key, entry) in configuration.entries() {
        if let Some(name) = of_factory(key, mode) {
            settings = settings.with(name, entry.value.as_str());
            continue;
        }
        let section = options::section_of(key).filter(|section| section.types.contains(&mode.type_name()));
        let Some(name) = section.and_then(|section| key.strip_prefix(section.prefix)) else { continue };
        let option = ConfigOption::find(key);
        if option.is_some_and(|option| option.effect != Effect::Set) || key == IN_SECONDS {
            continue;
        }
        let kind = option.map_or(Kind::Text, |option| option.kind);
        let value = canonical(kind, &entry.value).map_err(|error| entry.invalid(error))?;
        settings = settings.with(name, value);
    }
    match mode.type_name() {
        "consul" => of_consul(configuration, settings),
        "filesystem" => Ok(of_filesystem(configuration, settings)),
        _ => Ok(settings),
    }
}

/// A value in the one form that every connector reads.
fn canonical(kind: Kind, value: &str) -> Result<String, Error> {
    match kind {
        Kind::Boolean => parse_boolean(value).map(|value| value.to_string()),
        Kind::Number => parse_number(value).map(|value| value.to_string()),
        Kind::MemorySize => parse_memory_size(value).map(|value| value.to_string()),
        Kind::Duration => {
            let duration = parse_duration(value)?;
            if duration.subsec_nanos() % 1_000_000 != 0 {
                let error = Error::new(ErrorKind::Invalid, "duration").at(super::super::shown(value));
                return Err(error.because("whole milliseconds are wanted"));
            }
            Ok(duration.as_millis().to_string())
        }
        _ => Ok(value.trim().to_owned()),
    }
}

fn of_consul(configuration: &Configuration, mut settings: BackendSettings) -> Result<BackendSettings, Error> {
    if let Some(entry) = configuration.entry(IN_SECONDS) {
        if settings.get("session-ttl").is_some() {
            return Err(entry.invalid("give it or high-availability.consul.session-ttl, not both"));
        }
        let seconds = parse_number(&entry.value).map_err(|error| entry.invalid(error))?;
        let ms = seconds.checked_mul(1000).ok_or_else(|| entry.invalid("too long"))?;
        settings = settings.with("session-ttl", ms.to_string());
    }
    Ok(settings)
}

/// The directory is that of the storage, if nothing else was said: its journal has a folder of its own there.
fn of_filesystem(configuration: &Configuration, settings: BackendSettings) -> BackendSettings {
    if settings.get("directory").is_some() {
        return settings;
    }
    let storage = configuration.get("high-availability.storageDir").and_then(super::storage::directory_of);
    match storage {
        Some(directory) => settings.with("directory", directory),
        None => settings,
    }
}
