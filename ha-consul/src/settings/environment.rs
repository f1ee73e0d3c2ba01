//! The variables that Consul's own command line reads.

use std::ffi::OsString;
use std::path::PathBuf;

use ha_core::Error;

use super::{BasicAuth, ConsulSettings, Token, invalid};
use crate::address::Address;

impl ConsulSettings {
    /// The default settings, and over them what the environment says.
    ///
    /// These are the variables that Consul's own command line reads, in its meaning; an empty one counts as
    /// absent, as there:
    ///
    /// | variable | setting |
    /// |---|---|
    /// | `CONSUL_HTTP_ADDR` | [`addresses`](Self::addresses); several are separated by commas |
    /// | `CONSUL_HTTP_SSL` | `true`: TLS, also where the address says `http://` |
    /// | `CONSUL_HTTP_SSL_VERIFY` | [`Tls::verify`](super::Tls::verify) |
    /// | `CONSUL_CACERT`, `CONSUL_CAPATH` | [`Tls::ca_file`](super::Tls::ca_file), [`Tls::ca_path`](super::Tls::ca_path) |
    /// | `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY` | [`Tls::cert_file`](super::Tls::cert_file), [`Tls::key_file`](super::Tls::key_file) |
    /// | `CONSUL_TLS_SERVER_NAME` | [`Tls::server_name`](super::Tls::server_name) |
    /// | `CONSUL_HTTP_TOKEN_FILE`, else `CONSUL_HTTP_TOKEN` | [`token`](Self::token) |
    /// | `CONSUL_HTTP_AUTH` | [`auth`](Self::auth), as `user:password` |
    /// | `CONSUL_NAMESPACE`, `CONSUL_PARTITION` | [`namespace`](Self::namespace), [`partition`](Self::partition) |
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](ha_core::ErrorKind::Invalid): a variable is no text, or not what it should be; the error
    /// names it and shows no secret.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// As [`ConsulSettings::from_env`], with something else in the place of the environment.
    ///
    /// ```
    /// use ha_consul::ConsulSettings;
    /// let settings = ConsulSettings::from_variables(|name| (name == "CONSUL_HTTP_ADDR").then(|| "10.0.0.1".into()))?;
    /// assert_eq!(settings.addresses, ["10.0.0.1"]);
    /// # Ok::<(), ha_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`ConsulSettings::from_env`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let variables = Variables(variable);
        let mut settings = Self::default();
        if let Some(addresses) = variables.text("CONSUL_HTTP_ADDR")? {
            settings.addresses = addresses.split(',').map(|address| address.trim().to_owned()).collect();
        }
        if variables.switch("CONSUL_HTTP_SSL")? == Some(true) {
            settings.addresses = settings.addresses.iter().map(|address| Address::with_tls(address)).collect();
        }
        let tls = &mut settings.tls;
        tls.verify = variables.switch("CONSUL_HTTP_SSL_VERIFY")?.unwrap_or(tls.verify);
        tls.ca_file = variables.path("CONSUL_CACERT");
        tls.ca_path = variables.path("CONSUL_CAPATH");
        tls.cert_file = variables.path("CONSUL_CLIENT_CERT");
        tls.key_file = variables.path("CONSUL_CLIENT_KEY");
        tls.server_name = variables.text("CONSUL_TLS_SERVER_NAME")?;
        // Consul prefers the file too.
        settings.token = match (variables.path("CONSUL_HTTP_TOKEN_FILE"), variables.text("CONSUL_HTTP_TOKEN")?) {
            (Some(path), _) => Token::File(path),
            (None, Some(secret)) => Token::Secret(secret),
            (None, None) => Token::None,
        };
        settings.auth = variables.text("CONSUL_HTTP_AUTH")?.map(|text| match text.split_once(':') {
            Some((user, password)) => BasicAuth { user: user.into(), password: password.into() },
            None => BasicAuth { user: text, password: String::new() },
        });
        settings.namespace = variables.text("CONSUL_NAMESPACE")?;
        settings.partition = variables.text("CONSUL_PARTITION")?;
        settings.validate()?;
        Ok(settings)
    }
}

struct Variables<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    /// An empty variable counts as absent.
    fn path(&self, name: &str) -> Option<PathBuf> {
        (self.0)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(value) = (self.0)(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        // The value is not shown: it may be a secret.
        value.into_string().map(Some).map_err(|_| invalid(name, "the variable is no UTF-8 text".into()))
    }

    /// The words for "yes" and "no" are those of Go, in which Consul is written.
    fn switch(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => Err(invalid(name, format!("{other:.40?}; write true or false"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use ha_core::ErrorKind;

    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<ConsulSettings, Error> {
        ConsulSettings::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn an_environment_that_says_nothing_changes_nothing() {
        assert_eq!(from(&[]).unwrap(), ConsulSettings::default());
        let empty = ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_SSL", "CONSUL_HTTP_TOKEN", "CONSUL_CACERT", "CONSUL_NAMESPACE"];
        assert_eq!(from(&empty.map(|name| (name, ""))).unwrap(), ConsulSettings::default());
    }

    #[test]
    fn every_variable_of_consuls_command_line_has_its_setting() {
        let settings = from(&[
            ("CONSUL_HTTP_ADDR", "a.local:8500, unix:///run/consul.sock"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
            ("CONSUL_CACERT", "/tls/ca.pem"),
            ("CONSUL_CAPATH", "/tls/authorities"),
            ("CONSUL_CLIENT_CERT", "/tls/own.pem"),
            ("CONSUL_CLIENT_KEY", "/tls/own-key.pem"),
            ("CONSUL_TLS_SERVER_NAME", "server.dc1.consul"),
            ("CONSUL_HTTP_TOKEN", "b1gs33cr3t"),
            ("CONSUL_HTTP_AUTH", "me:pass:word"),
            ("CONSUL_NAMESPACE", "team"),
            ("CONSUL_PARTITION", "part"),
        ])
        .unwrap();
        assert_eq!(settings.addresses, ["a.local:8500", "unix:///run/consul.sock"]);
        let tls = &settings.tls;
        assert!(!tls.verify);
        assert_eq!((&tls.ca_file, &tls.ca_path), (&Some("/tls/ca.pem".into()), &Some("/tls/authorities".into())));
        assert_eq!((&tls.cert_file, &tls.key_file), (&Some("/tls/own.pem".into()), &Some("/tls/own-key.pem".into())));
        assert_eq!(tls.server_name.as_deref(), Some("server.dc1.consul"));
        assert_eq!(settings.token, Token::Secret("b1gs33cr3t".into()));
        assert_eq!(settings.auth, Some(BasicAuth { user: "me".into(), password: "pass:word".into() }));
        assert_eq!((settings.namespace.as_deref(), settings.partition.as_deref()), (Some("team"), Some("part")));
        let shown = format!("{settings:?}");
        assert!(!shown.contains("b1gs33cr3t") && !shown.contains("pass:word"), "{shown}");
    }

    #[test]
    fn a_token_file_counts_before_a_token() {
        let settings = from(&[("CONSUL_HTTP_TOKEN", "secret"), ("CONSUL_HTTP_TOKEN_FILE", "/run/token")]).unwrap();
        assert_eq!(settings.token, Token::File("/run/token".into()));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn the_switch_for_tls_counts_for_every_address_but_a_socket() {
        let addresses = |address: &str| {
            from(&[("CONSUL_HTTP_SSL", "1"), ("CONSUL_HTTP_ADDR", address)]).map(|settings| settings.addresses)
        };
        assert_eq!(addresses("").unwrap(), ["https://127.0.0.1:8500"]);
        assert_eq!(addresses("http://a:1,https://b:2").unwrap(), ["https://a:1", "https://b:2"]);
        assert_eq!(addresses("unix:///run/c.sock").unwrap(), ["unix:///run/c.sock"]);
    }

    #[test]
    fn a_variable_that_does_not_fit_is_named_and_a_secret_is_not_shown() {
        for (name, value) in [
            ("CONSUL_HTTP_SSL", "maybe"),
            ("CONSUL_HTTP_SSL_VERIFY", "yes"),
            ("CONSUL_HTTP_ADDR", "http://me:s3cret@a:1"),
            ("CONSUL_HTTP_ADDR", "a:1?token=s3cret"),
            ("CONSUL_HTTP_TOKEN", "s3cret\n"),
            ("CONSUL_HTTP_AUTH", "me:s3cret\u{7}"),
            ("CONSUL_CLIENT_CERT", "/only/one"),
            ("CONSUL_NAMESPACE", "a&token=s3cret"),
        ] {
            let error = from(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let garbage = OsString::from_vec(vec![0xff, 0xfe]);
        let error = ConsulSettings::from_variables(|name| (name == "CONSUL_HTTP_TOKEN").then(|| garbage.clone()));
        assert!(error.unwrap_err().to_string().contains("CONSUL_HTTP_TOKEN"));
    }
}
