use std::collections::BTreeMap;
use std::fmt;

use crate::excerpt::excerpt;
use crate::{Error, ErrorKind};

/// The settings of a backend's own, by name: its address, its credentials. Only its factory knows what
/// they mean.
///
/// Values may be secret: `Debug` shows the names alone, and so does every error from here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BackendSettings {
    values: BTreeMap<String, String>,
}

impl BackendSettings {
    /// No settings: every one has its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one, in place of an earlier value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// The value of a setting, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The names that are set, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Refuses what is set and has no meaning, so that a misspelt name is not a default in silence. Every
    /// factory calls it with all names that it knows.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): names the setting, and those there are.
    pub fn only(&self, known: &[&str]) -> Result<(), Error> {
        let Some(stray) = self.names().find(|name| !known.contains(name)) else { return Ok(()) };
        let there_is = if known.is_empty() { "there are none".into() } else { known.join(", ") };
        Err(Error::new(ErrorKind::Invalid, "backend settings")
            .at(excerpt(stray, 60))
            .because(format!("no such setting; known: {there_is}")))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for BackendSettings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        let values = settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values }
    }
}

impl fmt::Debug for BackendSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

    use super::*;

    #[test]
    fn a_stray_setting_is_named_and_no_value_is_ever_shown() {
        let settings = BackendSettings::new().with("adress", "host:1").with("token", "s3cret");
        let error = settings.only(&["address", "token"]).unwrap_err();
        let endless = BackendSettings::new().with("x".repeat(10_000), "");
        assert!(endless.only(&[]).unwrap_err().to_string().len() < 200);
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, "\"adress\""));
        assert!(error.to_string().contains("address, token"), "{error}");
        for shown in [format!("{settings:?}"), error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("s3cret") && !shown.contains("host:1"), "{shown}");
        }
    }
}
