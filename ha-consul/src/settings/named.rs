//! Settings by name, as a configuration file gives them.

use std::time::Duration;

use ha_core::{BackendSettings, Error};

use super::{BasicAuth, ConsulSettings, Token, invalid};
use crate::address::Address;

/// Every name there is.
const NAMES: [&str; 26] = [
    "address",
    "host",
    "port",
    "acl-token",
    "acl-token-file",
    "auth",
    "datacenter",
    "namespace",
    "partition",
    "prove-access-below",
    "connect-timeout",
    "request-timeout",
    "blocking-query-wait",
    "answer-bytes-max",
    "requests-max",
    "agent-check",
    "session-ttl",
    "serf-health",
    "lock-delay",
    "tls.enabled",
    "tls.ca-file",
    "tls.ca-path",
    "tls.cert-file",
    "tls.key-file",
    "tls.server-name",
    "tls.verify",
];

impl ConsulSettings {
    /// These settings, and over them those that are given by name. All values are text.
    ///
    /// | name | setting |
    /// |---|---|
    /// | `address` | [`addresses`](Self::addresses); several are separated by commas |
    /// | `host`, `port` | one address, in the place of `address`; without `port`, Consul's own |
    /// | `acl-token`, `acl-token-file` | [`token`](Self::token), one or the other |
    /// | `auth` | [`auth`](Self::auth), as `user:password` |
    /// | `datacenter`, `namespace`, `partition`, `prove-access-below`, `answer-bytes-max`, `requests-max` | those of the same name |
    /// | `connect-timeout`, `request-timeout` | those of the same name |
    /// | `blocking-query-wait` | [`blocking_wait`](Self::blocking_wait) |
    /// | `agent-check`, `session-ttl`, `serf-health`, `lock-delay` | those of [`liveness`](Self::liveness) |
    /// | `tls.enabled` | `true`: TLS to all [`addresses`](Self::addresses), also where they say `http://` |
    /// | `tls.ca-file`, `tls.ca-path`, `tls.cert-file`, `tls.key-file`, `tls.server-name`, `tls.verify` | those of [`tls`](Self::tls) |
    ///
    /// Durations are whole numbers with `ms`, `s`, `min`, `h` or `d` behind them, as in `30 s`; without one, milliseconds.
    ///
    /// ```
    /// use ha_consul::ConsulSettings;
    /// use ha_core::BackendSettings;
    /// let named = BackendSettings::new().with("host", "consul.local").with("session-ttl", "30 s");
    /// let settings = ConsulSettings::default().with_named(&named)?;
    /// assert_eq!(settings.addresses, ["consul.local:8500"]);
    ///
    /// let error = ConsulSettings::default().with_named(&BackendSettings::new().with("adress", "a")).unwrap_err();
    /// assert!(error.to_string().contains("no such setting; known: address, host, port"), "{error}");
    /// # Ok::<(), ha_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](ha_core::ErrorKind::Invalid): a name that is not known, or a value that does not fit; the
    /// text names the setting, and those there are, and shows no secret.
    pub fn with_named(mut self, named: &BackendSettings) -> Result<Self, Error> {
        named.only(&NAMES)?;
        let text = |name: &str| named.get(name).map(str::to_owned);
        let path = |name: &str| named.get(name).map(std::path::PathBuf::from);
        self.addresses = addresses(named)?.unwrap_or(self.addresses);
        if switch(named, "tls.enabled")? == Some(true) {
            self.addresses = self.addresses.iter().map(|address| Address::with_tls(address)).collect();
        }
        self.token = match (text("acl-token"), path("acl-token-file")) {
            (Some(_), Some(_)) => return Err(invalid("acl-token", "give it or acl-token-file, not both".into())),
            (Some(secret), None) => Token::Secret(secret),
            (None, Some(path)) => Token::File(path),
            (None, None) => self.token,
        };
        if let Some(auth) = named.get("auth") {
            let (user, password) = auth.split_once(':').unwrap_or((auth, ""));
            self.auth = Some(BasicAuth { user: user.into(), password: password.into() });
        }
        self.datacenter = text("datacenter").or(self.datacenter);
        self.namespace = text("namespace").or(self.namespace);
        self.partition = text("partition").or(self.partition);
        self.prove_access_below = text("prove-access-below").or(self.prove_access_below);
        self.connect_timeout = duration(named, "connect-timeout")?.unwrap_or(self.connect_timeout);
        self.request_timeout = duration(named, "request-timeout")?.unwrap_or(self.request_timeout);
        self.blocking_wait = duration(named, "blocking-query-wait")?.unwrap_or(self.blocking_wait);
        self.answer_bytes_max = number(named, "answer-bytes-max")?.unwrap_or(self.answer_bytes_max);
        self.requests_max = number(named, "requests-max")?.unwrap_or(self.requests_max);
        let liveness = &mut self.liveness;
        liveness.agent_check = switch(named, "agent-check")?.unwrap_or(liveness.agent_check);
        liveness.session_ttl = duration(named, "session-ttl")?.or(liveness.session_ttl);
        liveness.serf_health = switch(named, "serf-health")?.unwrap_or(liveness.serf_health);
        liveness.lock_delay = duration(named, "lock-delay")?.unwrap_or(liveness.lock_delay);
        let tls = &mut self.tls;
        tls.ca_file = path("tls.ca-file").or(tls.ca_file.take());
        tls.ca_path = path("tls.ca-path").or(tls.ca_path.take());
        tls.cert_file = path("tls.cert-file").or(tls.cert_file.take());
        tls.key_file = path("tls.key-file").or(tls.key_file.take());
        tls.server_name = text("tls.server-name").or(tls.server_name.take());
        tls.verify = switch(named, "tls.verify")?.unwrap_or(tls.verify);
        self.validate()?;
        Ok(self)
    }
}

fn addresses(named: &BackendSettings) -> Result<Option<Vec<String>>, Error> {
    match (named.get("address"), named.get("host"), named.get("port")) {
        (None, None, None) => Ok(None),
        (Some(several), None, None) => Ok(Some(several.split(',').map(|address| address.trim().to_owned()).collect())),
        (None, host, port) => {
            let (host, port) = (host.unwrap_or("127.0.0.1"), port.unwrap_or("8500"));
            // A host with a scheme or a port of its own is an address.
            if host.contains("://") || (host.contains(':') && !host.starts_with('[')) {
                return Err(invalid("host", "a name or an IP address; everything else is for `address`".into()));
            }
            Ok(Some(vec![format!("{host}:{port}")]))
        }
        (Some(_), _, _) => Err(invalid("address", "give it, or host and port, not both".into())),
    }
}

fn switch(named: &BackendSettings, name: &str) -> Result<Option<bool>, Error> {
    match named.get(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(invalid(name, format!("{other:.40?}; write true or false"))),
    }
}

fn number(named: &BackendSettings, name: &str) -> Result<Option<usize>, Error> {
    let parsed = |text: &str| text.trim().parse().map_err(|_| invalid(name, format!("{text:.40?} is no whole number")));
    named.get(name).map(parsed).transpose()
}

fn duration(named: &BackendSettings, name: &str) -> Result<Option<Duration>, Error> {
    let Some(text) = named.get(name) else { return Ok(None) };
    let digits = text.trim().trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let factor_ms = match text.trim()[digits.len()..].trim() {
        "" | "ms" => Some(1),
        "s" => Some(1000),
        "min" | "m" => Some(60 * 1000),
        "h" => Some(60 * 60 * 1000),
        "d" => Some(24 * 60 * 60 * 1000),
        _ => None,
    };
    let ms = digits.parse::<u64>().ok().zip(factor_ms).and_then(|(number, factor)| number.checked_mul(factor));
    let why = || invalid(name, format!("{text:.40?} is no duration; write a number and ms, s, min, h or d"));
    ms.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use ha_core::ErrorKind;

    use super::*;
    use crate::settings::{Liveness, Tls};

    fn named(pairs: &[(&str, &str)]) -> Result<ConsulSettings, Error> {
        ConsulSettings::default().with_named(&pairs.iter().copied().collect())
    }

    #[test]
    fn no_names_change_nothing() {
        assert_eq!(named(&[]).unwrap(), ConsulSettings::default());
        let base = ConsulSettings { token: Token::Secret("t".into()), ..ConsulSettings::at("a:1") };
        assert_eq!(base.clone().with_named(&BackendSettings::new()).unwrap(), base);
    }

    #[test]
    fn every_setting_can_be_given_by_name() {
        let settings = named(&[
            ("address", "a:1, b:2"),
            ("acl-token", "t"),
            ("auth", "me:pass:word"),
            ("datacenter", "dc2"),
            ("namespace", "n"),
            ("partition", "p"),
            ("prove-access-below", "flink"),
            ("connect-timeout", "1 s"),
            ("request-timeout", "1500"),
            ("blocking-query-wait", "1min"),
            ("answer-bytes-max", "2000000"),
            ("requests-max", "50"),
            ("agent-check", "false"),
            ("session-ttl", "30 s"),
            ("serf-health", "true"),
            ("lock-delay", "5s"),
            ("tls.ca-file", "/ca"),
            ("tls.ca-path", "/cas"),
            ("tls.cert-file", "/cert"),
            ("tls.key-file", "/key"),
            ("tls.server-name", "server.dc1.consul"),
            ("tls.verify", "false"),
        ]);
        let expected = ConsulSettings {
            addresses: vec!["a:1".into(), "b:2".into()],
            token: Token::Secret("t".into()),
            auth: Some(BasicAuth { user: "me".into(), password: "pass:word".into() }),
            tls: Tls {
                ca_file: Some("/ca".into()),
                ca_path: Some("/cas".into()),
                cert_file: Some("/cert".into()),
                key_file: Some("/key".into()),
                server_name: Some("server.dc1.consul".into()),
                verify: false,
            },
            datacenter: Some("dc2".into()),
            namespace: Some("n".into()),
            partition: Some("p".into()),
            prove_access_below: Some("flink".into()),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_millis(1500),
            blocking_wait: Duration::from_secs(60),
            answer_bytes_max: 2_000_000,
            requests_max: 50,
            liveness: Liveness {
                agent_check: false,
                session_ttl: Some(Duration::from_secs(30)),
                serf_health: true,
                lock_delay: Duration::from_secs(5),
            },
        };
        assert_eq!(settings.unwrap(), expected);
        assert_eq!(named(&[("host", "c"), ("port", "9")]).unwrap().addresses, ["c:9"]);
        assert_eq!(named(&[("port", "9")]).unwrap().addresses, ["127.0.0.1:9"]);
        assert_eq!(named(&[("host", "[::1]")]).unwrap().addresses, ["[::1]:8500"]);
        assert_eq!(named(&[("acl-token-file", "/t")]).unwrap().token, Token::File("/t".into()));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn the_switch_for_tls_counts_for_every_address_wherever_it_comes_from() {
        let with_tls = |base: ConsulSettings| base.with_named(&BackendSettings::new().with("tls.enabled", "true"));
        assert_eq!(with_tls(ConsulSettings::default()).unwrap().addresses, ["https://127.0.0.1:8500"]);
        assert_eq!(with_tls(ConsulSettings::at("http://b:2")).unwrap().addresses, ["https://b:2"]);
        let named = named(&[("host", "c"), ("port", "9"), ("tls.enabled", "true")]).unwrap();
        assert_eq!(named.addresses, ["https://c:9"]);
    }

    #[test]
    fn what_does_not_fit_is_named_and_no_secret_is_shown() {
        for (subject, pairs) in [
            ("\"adress\"", &[("adress", "s3cret")][..]),
            ("address", &[("address", "a"), ("host", "b")]),
            ("addresses", &[("address", "http://me:s3cret@a:1")]),
            ("host", &[("host", "http://a")]),
            ("host", &[("host", "a:1")]),
            ("addresses", &[("port", "many")]),
            ("acl-token", &[("acl-token", "s3cret"), ("acl-token-file", "/t")]),
            ("token", &[("acl-token", "s3cret\n")]),
            ("serf-health", &[("serf-health", "yes")]),
            ("answer-bytes-max", &[("answer-bytes-max", "-1")]),
            ("session-ttl", &[("session-ttl", "soon")]),
            ("session-ttl", &[("session-ttl", "99999999999999999999 s")]),
            ("session-ttl", &[("session-ttl", "18446744073709551615 d")]),
            ("session-ttl", &[("session-ttl", "")]),
            ("session-ttl", &[("session-ttl", "3 ю")]),
            ("liveness.session_ttl", &[("session-ttl", "0")]),
        ] {
            let error = named(pairs).unwrap_err();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, subject), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
