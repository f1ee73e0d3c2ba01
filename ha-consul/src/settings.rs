use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ha_core::{Error, ErrorKind};

use crate::address::Address;

/// Where Consul is and how it is spoken to. Plain data; [`ConsulSettings::validate`] says what does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulSettings {
    /// The agents, as `host:port`, `http://host:port` or `unix:///path`. Tried in turn; the local
    /// agent first is best. Default: `127.0.0.1:8500`.
    pub addresses: Vec<String>,
    /// What each request proves itself by. Default: nothing.
    pub token: Token,
    /// The datacenter; the agent's own if it is not given.
    pub datacenter: Option<String>,
    /// The namespace (Consul Enterprise).
    pub namespace: Option<String>,
    /// The admin partition (Consul Enterprise).
    pub partition: Option<String>,
    /// How long a connection may take. Default: two seconds.
    pub connect_timeout: Duration,
    /// How long a request that does not wait on purpose may take. Consul itself holds requests for up to
    /// seven seconds while it elects a leader. Default: eight seconds.
    pub request_timeout: Duration,
    /// How long a request that waits for changes stays with Consul. Default: 30 seconds.
    pub blocking_wait: Duration,
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
            datacenter: None,
            namespace: None,
            partition: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(8),
            blocking_wait: Duration::from_secs(30),
            liveness: Liveness::default(),
        }
    }
}

/// What a request proves itself by.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Token {
    /// Nothing: Consul's anonymous token.
    #[default]
    None,
    /// This secret.
    Secret(String),
    /// What stands in this file; it is read again when it changes.
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl ConsulSettings {
    /// The settings for one agent.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self { addresses: vec![address.into()], ..Self::default() }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: names the field, the value and the bound.
    pub fn validate(&self) -> Result<(), Error> {
        self.parsed_addresses()?;
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
        Ok(())
    }

    pub(crate) fn parsed_addresses(&self) -> Result<Vec<Address>, Error> {
        if self.addresses.is_empty() {
            return Err(invalid("addresses", "there are none; give the address of an agent".into()));
        }
        self.addresses.iter().map(|address| Address::parse(address)).collect()
    }
}

pub(crate) fn invalid(field: &str, why: String) -> Error {
    Error::new(ErrorKind::Invalid, "consul settings").at(field).because(why)
}
