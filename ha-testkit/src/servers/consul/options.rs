use serde_json::{Value, json};

use super::Agent;

/// What an agent is started as.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) mode: Mode,
    pub(super) acl: bool,
    pub(super) tls: bool,
    pub(super) join: Vec<String>,
    pub(super) extra: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Developer,
    Server { of: usize },
    Client,
}

impl Options {
    /// A server for itself that keeps all in memory, and is ready in a fraction of a second.
    #[must_use]
    pub fn developer() -> Self {
        Self::of(Mode::Developer)
    }

    /// A server for itself whose data outlasts it, until the value is dropped.
    #[must_use]
    pub fn server() -> Self {
        Self::of(Mode::Server { of: 1 })
    }

    /// An agent that stores nothing and passes on what it is asked to that agent's cluster.
    #[must_use]
    pub fn client_of(server: &Agent) -> Self {
        let mut options = Self::of(Mode::Client);
        options.join = vec![server.gossip_address()];
        options
    }

    /// One of several servers.
    pub(super) fn server_of(&self, join: Vec<String>) -> Self {
        Self { mode: Mode::Server { of: join.len() }, join, ..self.clone() }
    }

    fn of(mode: Mode) -> Self {
        Self { mode, acl: false, tls: false, join: Vec::new(), extra: json!({}) }
    }

    /// With access control: what no token allows is refused. The agent is ready when its first token was
    /// made; see [`Agent::management_token`].
    #[must_use]
    pub fn with_acl(mut self) -> Self {
        self.acl = true;
        self
    }

    /// With a second port that speaks TLS and asks its clients for certificates; see
    /// [`Agent::certificates`].
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// With further settings, as Consul's configuration names them: objects are merged into what is
    /// there, everything else replaces it.
    ///
    /// ```
    /// # use ha_testkit::servers::consul::Options;
    /// let options = Options::developer().with(serde_json::json!({
    ///     "session_ttl_min": "500ms",
    ///     "limits": { "kv_max_value_size": 1024 },
    /// }));
    /// ```
    #[must_use]
    pub fn with(mut self, settings: Value) -> Self {
        merge(&mut self.extra, settings);
        self
    }

    /// The whole configuration of an agent.
    pub(super) fn config(&self, own: Value) -> Value {
        let mut config = json!({
            "disable_update_check": true,
            "log_level": "INFO",
            // Tests open many connections from one address.
            "limits": { "http_max_conns_per_client": 10_000 },
        });
        if self.mode != Mode::Developer {
            merge(
                &mut config,
                json!({
                    "retry_join": self.join, "retry_interval": "1s",
                    // A restarted agent is the same one, and one that was killed is waited for.
                    "leave_on_terminate": false, "skip_leave_on_interrupt": true,
                    "performance": { "raft_multiplier": 1 },
                }),
            );
        }
        if let Mode::Server { of } = self.mode {
            let server = json!({
                "server": true, "bootstrap_expect": of,
                // Else a killed server is taken out of the cluster, and its return takes ten seconds.
                "autopilot": { "cleanup_dead_servers": false },
            });
            merge(&mut config, server);
        }
        if self.acl {
            let acl = json!({ "acl": {
                "enabled": true, "default_policy": "deny", "enable_token_persistence": true,
            }});
            merge(&mut config, acl);
        }
        merge(&mut config, own);
        merge(&mut config, self.extra.clone());
        config
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_settings_add_to_objects_and_replace_the_rest() {
        let options =
            Options::server().with(json!({"limits": {"kv_max_value_size": 7}})).with(json!({"log_level": "DEBUG"}));
        let config = options.config(json!({"node_name": "n"}));
        assert_eq!(config["limits"], json!({"http_max_conns_per_client": 10_000, "kv_max_value_size": 7}));
        assert_eq!((&config["log_level"], &config["node_name"]), (&json!("DEBUG"), &json!("n")));
        assert_eq!(config["bootstrap_expect"], 1);
    }

    #[test]
    fn an_agent_in_memory_is_given_nothing_that_it_would_store() {
        let config = Options::developer().config(json!({}));
        assert!(config.get("server").is_none() && config.get("retry_join").is_none(), "{config}");
    }
}
