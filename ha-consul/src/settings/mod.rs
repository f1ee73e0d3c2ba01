mod environment;
mod named;
mod tls;
mod token;

use std::fmt;
use std::time::Duration;

use ha_core::backend::Prefix;
use ha_core::{Error, ErrorKind, shown_url};

use crate::address::Address;
use crate::http::header;

pub use tls::Tls;
pub use token::{BasicAuth, Token};

/// Where Consul is and how it is spoken to. Plain data; [`ConsulSettings::validate`] says what does not fit.
///
/// `Debug` shows no secret, also not one that was written into an address by mistake.
///
/// ```
/// use ha_consul::{ConsulSettings, Token};
/// let mut settings = ConsulSettings::at("consul.local:8500");
/// settings.token = Token::File("/run/secrets/consul-token".into());
/// settings.validate()?;
/// # Ok::<(), ha_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConsulSettings {
    /// The agents, as `host` (port 8500), `host:port`, `http://host:port`, `https://host:port` or
    /// `unix:///path/of/socket`. One that cannot be reached is passed over for the next one; the local agent first
    /// is best. All of them belong to one datacenter. Default: `127.0.0.1:8500`.
    pub addresses: Vec<String>,
    /// What each request proves itself by. Default: nothing.
    pub token: Token,
    /// For what may stand in front of Consul and asks for a user. Default: nobody.
    pub auth: Option<BasicAuth>,
    /// How `https://` addresses are spoken to.
    pub tls: Tls,
    /// The datacenter; the agent's own if it is not given. Sessions and checks belong to an agent, so leading
    /// works only in the agent's own; another one can be read.
    pub datacenter: Option<String>,
    /// The namespace (Consul Enterprise).
    pub namespace: Option<String>,
    /// The admin partition (Consul Enterprise).
    pub partition: Option<String>,
    /// A place that the token must be allowed to read and write, proved when connecting
    /// ([`Consul::prove_access`](crate::Consul::prove_access)): Consul shows a place that may not be read as an empty
    /// one. Default: none, and a wrong policy shows itself at the first use.
    pub prove_access_below: Option<String>,
    /// How long a connection may take, TLS included. Default: two seconds; a healthy agent takes milliseconds, and
    /// the next address waits for this.
    pub connect_timeout: Duration,
    /// How long a request that does not wait on purpose may take, its answer included. Consul itself holds requests
    /// for up to seven seconds while it elects a leader. Default: eight seconds.
    pub request_timeout: Duration,
    /// How long a request that waits for changes stays with Consul. Default: 30 seconds.
    pub blocking_wait: Duration,
    /// How many requests are under way at once; further ones wait for their turn. Those that wait for changes and
    /// renewals are not counted. Default: 100. A stock agent takes 200 connections from one client address
    /// (`http_max_conns_per_client`) and cuts further ones, after which the outcome of a write is unknown.
    pub requests_max: usize,
    /// The longest answer that is read, in bytes. A list of a place is one answer. Default: 256 MiB, far more
    /// than any list of a cluster needs.
    pub answer_bytes_max: usize,
    /// How a session is kept alive.
    pub liveness: Liveness,
}

/// How Consul finds out that a process is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liveness {
    /// Whether an agent's check that this process keeps passing ends the session after one silence
    /// time-out. Without it (the token may not register services, or the address is a balancer in front
    /// of several agents) the session's own TTL does, after twice that. Default: yes.
    pub agent_check: bool,
    /// The session's own TTL, renewed at the servers. Consul takes no less than ten seconds unless its
    /// `session_ttl_min` says so, and waits twice as long. Default: the silence, but at least ten seconds.
    pub session_ttl: Option<Duration>,
    /// Whether Consul's own verdict that the node is gone (`serfHealth`) ends the session. It finds a
    /// dead host sooner, and may come while this process is well. Default: no.
    pub serf_health: bool,
    /// For how long a latch cannot be taken after its session has ended by itself. The fence makes it
    /// needless. Default: zero.
    pub lock_delay: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self { agent_check: true, session_ttl: None, serf_health: false, lock_delay: Duration::ZERO }
    }
}

impl Default for ConsulSettings {
    fn default() -> Self {
        Self {
            addresses: vec!["127.0.0.1:8500".into()],
            token: Token::None,
            auth: None,
            tls: Tls::default(),
            datacenter: None,
            namespace: None,
            partition: None,
            prove_access_below: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(8),
            blocking_wait: Duration::from_secs(30),
            requests_max: 100,
            answer_bytes_max: 256 << 20,
            liveness: Liveness::default(),
        }
    }
}

impl ConsulSettings {
    /// The settings for one agent.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self { addresses: vec![address.into()], ..Self::default() }
    }

    /// Checks every field, and opens no file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: names the field, the value and the bound. Secrets are named and not shown.
    pub fn validate(&self) -> Result<(), Error> {
        self.parsed_addresses()?;
        self.place_to_prove()?;
        let bounded = |field: &str, value: Duration, least: Duration, most: Duration| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(invalid(field, format!("{value:?}; from {least:?} to {most:?} are allowed")))
        };
        let (ms, minute) = (Duration::from_millis(10), Duration::from_secs(60));
        bounded("connect_timeout", self.connect_timeout, ms, minute)?;
        bounded("request_timeout", self.request_timeout, ms, minute)?;
        bounded("blocking_wait", self.blocking_wait, Duration::from_secs(1), 10 * minute)?;
        bounded("liveness.lock_delay", self.liveness.lock_delay, Duration::ZERO, minute)?;
        if let Some(ttl) = self.liveness.session_ttl {
            bounded("liveness.session_ttl", ttl, ms, 24 * 60 * minute)?;
        }
        if self.answer_bytes_max < ANSWER_BYTES_LEAST {
            let why = format!("{}; at least {ANSWER_BYTES_LEAST} are needed", self.answer_bytes_max);
            return Err(invalid("answer_bytes_max", why));
        }
        if !(1..=REQUESTS_MOST).contains(&self.requests_max) {
            return Err(invalid(
                "requests_max",
                format!("{}; from 1 to {REQUESTS_MOST} are allowed", self.requests_max),
            ));
        }
        for (field, name) in self.scope() {
            // Part of a query, so it may hold nothing that means something there.
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                return Err(invalid(field, "letters, digits, - and _ make up a name of Consul's".into()));
            }
        }
        self.validate_secrets()?;
        self.validate_tls()
    }

    fn validate_secrets(&self) -> Result<(), Error> {
        if let Token::Secret(secret) = &self.token {
            header::of_token(secret).map_err(|why| invalid("token", why.into()))?;
        }
        if let Some(auth) = &self.auth {
            header::of_user(auth).map_err(|why| invalid("auth", why.into()))?;
        }
        Ok(())
    }

    fn validate_tls(&self) -> Result<(), Error> {
        let tls = &self.tls;
        match (&tls.cert_file, &tls.key_file) {
            (Some(_), None) => return Err(invalid("tls.key_file", "a certificate needs its key".into())),
            (None, Some(_)) => return Err(invalid("tls.cert_file", "a key needs its certificate".into())),
            _ => {}
        }
        let Some(name) = &tls.server_name else { return Ok(()) };
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if name.is_empty() || name.len() > 253 || !letters || name.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(invalid("tls.server_name", format!("{name:.80?} is no host name")));
        }
        Ok(())
    }

    /// Datacenter, namespace and partition, as far as they are given, by their names in a query.
    pub(crate) fn scope(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("dc", &self.datacenter), ("ns", &self.namespace), ("partition", &self.partition)];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    pub(crate) fn parsed_addresses(&self) -> Result<Vec<Address>, Error> {
        if self.addresses.is_empty() {
            return Err(invalid("addresses", "there are none; give the address of an agent".into()));
        }
        self.addresses.iter().map(|address| Address::parse(address)).collect()
    }

    pub(crate) fn place_to_prove(&self) -> Result<Option<Prefix>, Error> {
        let Some(place) = &self.prove_access_below else { return Ok(None) };
        Prefix::new(place.as_str()).map(Some).map_err(|error| invalid("prove_access_below", error.to_string()))
    }
}

/// What agents say of themselves fits into this.
const ANSWER_BYTES_LEAST: usize = 1 << 20;
/// More than any agent is set up for.
const REQUESTS_MOST: usize = 10_000;

impl fmt::Debug for ConsulSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(|address| shown_url(address)).collect();
        f.debug_struct("ConsulSettings")
            .field("addresses", &addresses)
            .field("token", &self.token)
            .field("auth", &self.auth)
            .field("tls", &self.tls)
            .field("datacenter", &self.datacenter)
            .field("namespace", &self.namespace)
            .field("partition", &self.partition)
            .field("prove_access_below", &self.prove_access_below)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("blocking_wait", &self.blocking_wait)
            .field("requests_max", &self.requests_max)
            .field("answer_bytes_max", &self.answer_bytes_max)
            .field("liveness", &self.liveness)
            .finish()
    }
}

pub(crate) fn invalid(field: &str, why: String) -> Error {
    Error::new(ErrorKind::Invalid, "consul settings").at(field).because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_by_its_name() {
        let default = ConsulSettings::default;
        let tls = Tls::default;
        for (field, settings) in [
            ("addresses", ConsulSettings { addresses: Vec::new(), ..default() }),
            ("token", ConsulSettings { token: Token::Secret("s3cret\r\nX-Evil: 1".into()), ..default() }),
            ("token", ConsulSettings { token: Token::Secret(String::new()), ..default() }),
            (
                "auth",
                ConsulSettings { auth: Some(BasicAuth { user: "a:b".into(), password: "s3cret".into() }), ..default() },
            ),
            ("dc", ConsulSettings { datacenter: Some("a&token=s3cret".into()), ..default() }),
            ("connect_timeout", ConsulSettings { connect_timeout: Duration::ZERO, ..default() }),
            ("answer_bytes_max", ConsulSettings { answer_bytes_max: 10, ..default() }),
            ("requests_max", ConsulSettings { requests_max: 0, ..default() }),
            ("prove_access_below", ConsulSettings { prove_access_below: Some("../s3cret?".into()), ..default() }),
            ("tls.key_file", ConsulSettings { tls: Tls { cert_file: Some("c".into()), ..tls() }, ..default() }),
            ("tls.cert_file", ConsulSettings { tls: Tls { key_file: Some("k".into()), ..tls() }, ..default() }),
            (
                "tls.server_name",
                ConsulSettings { tls: Tls { server_name: Some("127.0.0.1".into()), ..tls() }, ..default() },
            ),
        ] {
            let error = settings.validate().unwrap_err();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, field), "{error}");
            assert!(field == "prove_access_below" || !error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn no_secret_is_shown_not_even_one_in_the_wrong_place() {
        let settings = ConsulSettings {
            addresses: vec!["http://me:s3cret@a:1".into(), "b:2?token=s3cret".into()],
            token: Token::Secret("s3cret".into()),
            auth: Some(BasicAuth { user: "me".into(), password: "s3cret".into() }),
            ..ConsulSettings::default()
        };
        let shown = format!("{settings:?}");
        assert!(!shown.contains("s3cret") && shown.contains("a:1") && shown.contains("b:2"), "{shown}");
    }
}
