use std::path::PathBuf;
use std::time::Duration;

use ha_core::journal::JournalOptions;
use ha_core::{BackendSettings, Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// Where the journal lies and how it is followed. Plain data; [`FilesystemSettings::validate`] says what does not fit.
///
/// ```
/// use ha_filesystem::FilesystemSettings;
/// let settings = FilesystemSettings::at("state/ha");
/// settings.validate()?;
/// # Ok::<(), ha_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesystemSettings {
    /// The directory. All that share it are one cluster's processes, or several clusters' with names of their own. It
    /// is made if it is missing. No default.
    pub directory: PathBuf,
    /// How often a handle that waits for an entry looks for it, in milliseconds, from 1 to 60,000. Default: 50 where
    /// other machines may write, which no notification tells of; else 1,000, as a net below the notifications.
    pub poll_ms: Option<u64>,
    /// Takes no free lock for evidence of death, and holds none: a crashed leader is then replaced after its silence,
    /// or by [presence](ha_core::PresenceOptions). For file systems whose locks are not to be trusted.
    pub ignore_locks: bool,
    /// Lets [`read`](ha_core::backend::Backend::read) and `list` be [monotonic](ha_core::backend::ReadGuarantee) where
    /// the file system's reads may be old: they then write nothing, and may be behind what others were acknowledged.
    /// Where reads are always new, which local disks are, it changes nothing. Each handle can have its own. Commits and
    /// leadership are not touched. Default: false, an entry for each such read.
    pub monotonic_reads: bool,
}

impl FilesystemSettings {
    /// The settings for that directory.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), ..Self::default() }
    }

    /// Checks every field; touches no file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: names the field, the value and the bound.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |field: &str, why: String| {
            Err(Error::new(ErrorKind::Invalid, "validate filesystem settings").at(field).because(why))
        };
        if self.directory.as_os_str().is_empty() {
            return invalid("directory", "empty: name the directory that all processes share".into());
        }
        match self.poll_ms {
            Some(ms) if !(1..=60_000).contains(&ms) => invalid("poll_ms", format!("{ms}; from 1 to 60000 are allowed")),
            _ => Ok(()),
        }
    }

    /// The same with what named settings say: `directory`, `poll-ms`, `ignore-locks` and `monotonic-reads` (`true` or `false`).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: names a setting that there is not, or whose value does not fit.
    pub fn with_named(mut self, settings: &BackendSettings) -> Result<Self, Error> {
        settings.only(&["directory", "poll-ms", "ignore-locks", "monotonic-reads"])?;
        let invalid = |name: &str, why: &str| {
            Error::new(ErrorKind::Invalid, "filesystem settings").at(format!("{name:?}")).because(why)
        };
        if let Some(directory) = settings.get("directory") {
            self.directory = directory.into();
        }
        if let Some(text) = settings.get("poll-ms") {
            let parsed = text.parse().map_err(|_| invalid("poll-ms", "a whole number of milliseconds is wanted"))?;
            self.poll_ms = Some(parsed);
        }
        for (name, field) in [("ignore-locks", &mut self.ignore_locks), ("monotonic-reads", &mut self.monotonic_reads)]
        {
            if let Some(text) = settings.get(name) {
                *field = text.parse().map_err(|_| invalid(name, "true or false is wanted"))?;
            }
        }
        Ok(self)
    }

    /// What the journal on it is opened with.
    pub(crate) fn journal(&self) -> JournalOptions {
        let options = JournalOptions::default();
        if self.monotonic_reads { options.with_monotonic_reads() } else { options }
    }

    pub(crate) fn poll(&self, is_told: bool) -> Duration {
        let default = if is_told { 1_000 } else { 50 };
        Duration::from_millis(self.poll_ms.unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
    use ha_core::backend::ReadGuarantee;

    use super::*;

    #[test]
    fn what_does_not_fit_is_named_with_its_bound() {
        assert!(FilesystemSettings::at("x").validate().is_ok());
        let error = FilesystemSettings::default().validate().unwrap_err();
        assert!(error.to_string().contains("directory"), "{error}");
        for ms in [0, 60_001, u64::MAX] {
            let settings = FilesystemSettings { poll_ms: Some(ms), ..FilesystemSettings::at("x") };
            let error = settings.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("poll_ms") && error.to_string().contains("60000"), "{error}");
        }
    }

    #[test]
    fn named_settings_say_the_same_and_a_misspelt_one_is_named() {
        let named = BackendSettings::new().with("directory", "x").with("poll-ms", "5").with("ignore-locks", "true");
        let settings = FilesystemSettings::default().with_named(&named).unwrap();
        let expected = FilesystemSettings { poll_ms: Some(5), ignore_locks: true, ..FilesystemSettings::at("x") };
        assert_eq!(settings, expected);
        let named = BackendSettings::new().with("directory", "x").with("monotonic-reads", "true");
        let settings = FilesystemSettings::default().with_named(&named).unwrap();
        assert_eq!(settings, FilesystemSettings { monotonic_reads: true, ..FilesystemSettings::at("x") });
        assert_eq!(settings.journal().reads, ReadGuarantee::Monotonic);
        assert_eq!(FilesystemSettings::at("x").journal(), JournalOptions::default());
        for (name, value) in
            [("poll-ms", "soon"), ("ignore-locks", "1"), ("monotonic-reads", "yes"), ("directroy", "x")]
        {
            let error = FilesystemSettings::at("x").with_named(&BackendSettings::new().with(name, value)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let parsed: Result<FilesystemSettings, _> = serde_json::from_str(r#"{"directory":"x","pol_ms":5}"#);
        assert!(parsed.is_err());
        let parsed: FilesystemSettings = serde_json::from_str(r#"{"directory":"x","poll_ms":5}"#).unwrap();
        assert_eq!(parsed, FilesystemSettings { poll_ms: Some(5), ..FilesystemSettings::at("x") });
    }
}
