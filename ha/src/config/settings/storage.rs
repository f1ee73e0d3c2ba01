//! Where state is stored, and the options of that place.

use std::fmt::{self, Write};
use std::path::Path;

use ha_core::shown_url;
use ha_core::state::{STORAGE_KEYS, StorageKey, StorageOptions};
use ha_core::{BackendSettings, Error, ErrorKind};

use super::super::environment::variable_of;
use super::super::{Configuration, HighAvailabilityMode};

/// Where state is stored.
///
/// `Debug` shows the URL without credentials, and no option.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageSettings {
    /// The place: `file://`, `memory://`, or what else the build has.
    pub url: String,
    /// How it is reached. What stands neither here nor in the URL comes from the usual variables of that storage.
    pub options: StorageOptions,
}

impl fmt::Debug for StorageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = shown_url(&self.url);
        f.debug_struct("StorageSettings").field("url", &url).field("options", &self.options).finish()
    }
}

/// The option of the state storage that has this name.
pub(in crate::config) fn storage_key(name: &str) -> Option<&'static StorageKey> {
    STORAGE_KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name))
}

/// All names of options of the state storage.
pub(in crate::config) fn storage_keys() -> impl Iterator<Item = &'static str> {
    STORAGE_KEYS.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()))
}

/// Their own names, without the others.
pub(in crate::config) fn storage_names() -> impl Iterator<Item = &'static str> {
    STORAGE_KEYS.iter().map(|key| key.name)
}

/// The part of the document about them.
pub(in crate::config) fn storage_reference() -> String {
    let mut text = "\n## State storage\n\nHow the place at `high-availability.storageDir` is reached. The variables are asked where an \
                    option is set nowhere else.\n\n| key | default | variables | meaning |\n|---|---|---|---|\n"
        .to_owned();
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    for key in STORAGE_KEYS {
        let default = key.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        let own = variable_of(key.name);
        let variables: Vec<&str> = std::iter::once(own.as_str()).chain(key.variables.iter().copied()).collect();
        let (variables, secret) = (list(&variables), if key.secret { " **Secret.**" } else { "" });
        let also = match key.aliases {
            [] => String::new(),
            aliases => format!(" Also: {}.", list(aliases)),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "| `{}` | {default} | {variables} | {}{secret}{also} |", key.name, key.meaning);
    }
    text
}

/// Whether the key is an option of the state storage.
pub(in crate::config) fn is_storage_key(key: &str) -> bool {
    storage_key(key).is_some()
}

pub(super) fn settings(
    configuration: &Configuration,
    mode: &HighAvailabilityMode,
    backend: &BackendSettings,
) -> Result<Option<StorageSettings>, Error> {
    const KEY: &str = "high-availability.storageDir";
    let url = match configuration.entry(KEY) {
        Some(entry) => Some(url_of(&entry.value).ok_or_else(|| {
            entry.invalid("no place: write a URL, as in file:///shared/ha, or the absolute path of a directory")
        })?),
        None => match (mode.type_name(), backend.get("directory")) {
            ("none" | "embedded", _) => Some("memory://".to_owned()),
            ("filesystem", Some(directory)) => Some(url_of_directory(directory).ok_or_else(|| {
                let error =
                    Error::new(ErrorKind::Invalid, "configuration").at("high-availability.filesystem.directory");
                error.because(
                    "no absolute path, so where state is stored must be said: give high-availability.storageDir",
                )
            })?),
            _ => None,
        },
    };
    let mut options = StorageOptions::new();
    for (key, entry) in configuration.entries().filter(|(key, _)| is_storage_key(key)) {
        options = options.with(key, entry.value.trim());
        // All that were good so far: what is wrong is this one.
        options.check().map_err(|error| entry.invalid(error))?;
    }
    Ok(url.map(|url| StorageSettings { url, options }))
}

/// A URL as it is, and that of an absolute path, which Flink takes too.
fn url_of(text: &str) -> Option<String> {
    let text = text.trim();
    if text.contains("://") {
        return Some(text.to_owned());
    }
    // As in `file:/shared/ha`, which is how Java writes it.
    if let Some(path) = text.strip_prefix("file:") {
        return url_of_directory(path);
    }
    url_of_directory(text)
}

fn url_of_directory(path: &str) -> Option<String> {
    url::Url::from_file_path(Path::new(path)).ok().map(String::from)
}

/// The directory that a URL of the state storage names, if it is one of this machine's.
pub(super) fn directory_of(storage: &str) -> Option<String> {
    let url = url::Url::parse(&url_of(storage)?).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()?.into_os_string().into_string().ok()
}
