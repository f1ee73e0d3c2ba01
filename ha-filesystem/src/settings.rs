use std::path::PathBuf;
use std::time::Duration;

use ha_core::{Error, ErrorKind};
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

    pub(crate) fn poll(&self, is_told: bool) -> Duration {
        let default = if is_told { 1_000 } else { 50 };
        Duration::from_millis(self.poll_ms.unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
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
    fn unknown_fields_are_refused() {
        let parsed: Result<FilesystemSettings, _> = serde_json::from_str(r#"{"directory":"x","pol_ms":5}"#);
        assert!(parsed.is_err());
        let parsed: FilesystemSettings = serde_json::from_str(r#"{"directory":"x","poll_ms":5}"#).unwrap();
        assert_eq!(parsed, FilesystemSettings { poll_ms: Some(5), ..FilesystemSettings::at("x") });
    }
}
