//! Where state is stored, and the options of that place.

use std::fmt;
use std::path::Path;

use ha_core::{BackendSettings, Error, ErrorKind};

use super::super::{Configuration, HighAvailabilityMode};

/// Where state is stored.
///
/// `Debug` shows the URL without credentials, and no option.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageSettings {
    /// The place: `file://`, `memory://`, or what else the build has.
    pub url: String,
}

impl fmt::Debug for StorageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageSettings").field("url", &without_credentials(&self.url)).finish_non_exhaustive()
    }
}

/// The keys of the state storage.
pub(in crate::config) fn storage_keys() -> impl Iterator<Item = &'static str> {
    std::iter::empty()
}

/// The part of the document about them.
pub(in crate::config) fn storage_reference() -> String {
    String::new()
}

/// Whether the key is an option of the state storage.
pub(in crate::config) fn is_storage_key(key: &str) -> bool {
    storage_keys().any(|known| known == key)
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
    Ok(url.map(|url| StorageSettings { url }))
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

/// The URL as it may be shown.
fn without_credentials(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    match (shown.split_once("://"), shown.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => shown.to_owned(),
    }
}
