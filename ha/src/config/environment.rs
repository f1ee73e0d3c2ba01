//! Settings from environment variables.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use ha_core::{Error, ErrorKind};

use super::option::ConfigOption;
use super::options::{self, HA};
use super::origin::Origin;
use super::{Configuration, DidYouMean, nearest};

/// What every variable of ours begins with.
const PREFIX: &str = "HA_";
/// A file to begin with.
const FILE: &str = "HA_CONFIG";
/// A URL over that.
const URL: &str = "HA_URL";

impl Configuration {
    /// What the variables of the environment say whose names begin with `HA_`.
    ///
    /// An option's variable is its key without `high-availability.`, in capitals, with `_` for each `.` and `-` and
    /// before each capital: `high-availability.cluster-id` is `HA_CLUSTER_ID`, `high-availability.storageDir` is
    /// `HA_STORAGE_DIR`, `s3.endpoint` is `HA_S3_ENDPOINT`. An empty variable counts as absent.
    ///
    /// Two more are the sources below them: `HA_CONFIG` names a YAML file (cargo feature `yaml`), `HA_URL` is a
    /// [URL](Self::from_url) that counts over the file; all others count over both.
    ///
    /// Others may have variables that begin so too. One that is no option's is an error if it is close to one that is, and
    /// else passed over; what Kubernetes sets for a service named `ha…` (`HA_SERVICE_HOST`, `HA_PORT`) always is.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: a variable is no text, misspelt, or says something else than another; the file or the URL
    /// is not in order. [`ErrorKind::NotFound`], [`ErrorKind::Unsupported`]: the file cannot be read, or no file can.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(std::env::vars_os())
    }

    /// As [`Configuration::from_env`], with other variables than those of this process.
    ///
    /// ```
    /// use ha::config::Configuration;
    /// let configuration = Configuration::from_variables([("HA_TYPE", "consul"), ("HA_CONSUL_HOST", "10.0.0.1")])?;
    /// assert_eq!(configuration.get("high-availability.consul.host"), Some("10.0.0.1"));
    /// # Ok::<(), ha::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Configuration::from_env`].
    pub fn from_variables<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Result<Self, Error>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let known: Vec<(String, &'static str)> = names();
        let (mut own, mut file, mut url) = (Self::new(), Self::new(), Self::new());
        for (name, value) in variables {
            // A name that is no text is none of ours.
            let Ok(name) = name.into().into_string() else { continue };
            let value = value.into();
            if !name.starts_with(PREFIX) || value.is_empty() {
                continue;
            }
            if name == FILE {
                file = Self::from_file_of_a_variable(Path::new(&value))?;
                continue;
            }
            let key = match known.iter().find(|(known, _)| *known == name) {
                Some((_, key)) => (*key).to_owned(),
                None if name == URL => String::new(),
                None => match component(&name) {
                    Some(key) => key,
                    None => {
                        unknown(&name, &known)?;
                        continue;
                    }
                },
            };
            // The value is not shown: it may be a secret.
            let value = value.into_string().map_err(|_| invalid(&name, "the variable is no UTF-8 text"))?;
            if name == URL {
                url = Self::from_url(&value).map_err(|e| invalid(&name, &e.to_string()))?;
            } else if !is_of_kubernetes(&name, &value) {
                own.give(&key, value, Origin::Variable(Arc::from(name)))?;
            }
        }
        Ok(file.and_then(url).and_then(own))
    }

    #[cfg(feature = "yaml")]
    fn from_file_of_a_variable(path: &Path) -> Result<Self, Error> {
        Self::from_yaml_file(path)
    }

    #[cfg(not(feature = "yaml"))]
    fn from_file_of_a_variable(_: &Path) -> Result<Self, Error> {
        let why = "YAML files are not compiled in; depend on `ha` with the cargo feature `yaml`";
        Err(Error::new(ErrorKind::Unsupported, "configuration").at(format!("variable {FILE}")).because(why))
    }
}

fn invalid(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "configuration").at(format!("variable {name}")).because(why)
}

/// The variable of that key.
pub(super) fn variable_of(key: &str) -> String {
    let key = key.strip_prefix(HA).unwrap_or(key);
    let mut name = PREFIX.to_owned();
    for letter in key.chars() {
        if matches!(letter, '.' | '-' | '_') {
            name.push('_');
        } else {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
    }
    name
}

/// The variable of each option, and its key. Deprecated names have none, nor does what goes on with a component.
fn names() -> Vec<(String, &'static str)> {
    let options = ConfigOption::all().filter(|option| !option.key.starts_with(options::LEADER_ADDRESS));
    let own = options.flat_map(|option| {
        let others = option.aliases.iter().filter(|alias| !alias.deprecated).map(|alias| alias.key);
        std::iter::once(option.key).chain(others)
    });
    let keys = own.chain(super::settings::storage_names());
    keys.map(|key| (variable_of(key), key)).collect()
}

/// The key of a component's address: components are written in small letters, as Flink's are.
fn component(name: &str) -> Option<String> {
    let component = name.strip_prefix(&variable_of(options::LEADER_ADDRESS)).filter(|name| !name.is_empty())?;
    Some(format!("{}{}", options::LEADER_ADDRESS, component.to_ascii_lowercase()))
}

/// # Errors
/// [`ErrorKind::Invalid`]: it is one of ours, misspelt.
fn unknown(name: &str, known: &[(String, &'static str)]) -> Result<(), Error> {
    if is_of_kubernetes(name, "") {
        return Ok(());
    }
    match nearest(name, known.iter().map(|(known, _)| known.as_str())) {
        None => {
            tracing::debug!(variable = %super::shown(name), "it begins as those of this library do, and is none of them");
            Ok(())
        }
        near => Err(invalid(name, &format!("there is no such option{}", DidYouMean(near)))),
    }
}

/// Whether Kubernetes has set it, for a service whose name begins with `ha`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let ports = name.rsplit_once("_PORT_").is_some_and(|(_, port)| port.starts_with(|c: char| c.is_ascii_digit()));
    let service = name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    // `HA_CONSUL_PORT=tcp://10.0.0.1:8500` is that of a service `ha-consul`, and not our port of Consul.
    let port =
        name.ends_with("_PORT") && (value.is_empty() || value.starts_with("tcp://") || value.starts_with("udp://"));
    ports || service || port
}

#[cfg(test)]
mod tests;
