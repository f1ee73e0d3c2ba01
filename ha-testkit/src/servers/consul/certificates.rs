use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The certificates of an agent that speaks TLS, and of its clients; all of one authority of its own.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes an authority, a certificate for servers on loopback, and one for clients.
    ///
    /// # Panics
    /// Consul does not make them.
    pub(super) fn create(consul: &Path, folder: &Path) -> Self {
        let tls = |arguments: &[&str]| {
            let mut command = Command::new(consul);
            command.arg("tls").args(arguments).current_dir(folder).stdin(Stdio::null());
            let output = command.output().expect("the program runs");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "consul tls {arguments:?} failed: {errors}");
        };
        tls(&["ca", "create"]);
        let mut server = vec!["cert", "create", "-server", "-dc=dc1", "-additional-dnsname=localhost"];
        server.extend(["-additional-ipaddress=127.0.0.2", "-additional-ipaddress=127.0.0.3"]);
        tls(&server);
        tls(&["cert", "create", "-client"]);
        Self { folder: folder.to_owned() }
    }

    /// The certificate of the authority, as PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("consul-agent-ca.pem")
    }

    /// The certificate of a client, as PEM.
    #[must_use]
    pub fn client(&self) -> PathBuf {
        self.folder.join("dc1-client-consul-0.pem")
    }

    /// The key of that client, as PEM.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.folder.join("dc1-client-consul-0-key.pem")
    }

    pub(super) fn configure(&self, config: &mut Value) {
        config["ca_file"] = json!(self.authority());
        config["cert_file"] = json!(self.folder.join("dc1-server-consul-0.pem"));
        config["key_file"] = json!(self.folder.join("dc1-server-consul-0-key.pem"));
        config["verify_incoming"] = json!(true);
        config["verify_outgoing"] = json!(true);
        config["verify_server_hostname"] = json!(true);
    }
}
