use std::path::PathBuf;

/// How agents with `https://` addresses are spoken to. Other addresses do without it.
///
/// The files are PEM and are read when the handle is made: connect anew after they were replaced. TLS is the
/// cargo feature `tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that are trusted instead of those of the system, as one file.
    pub ca_file: Option<PathBuf>,
    /// The same, as a folder of such files. Only with `ca_file: None`, which counts first, as for Consul itself.
    pub ca_path: Option<PathBuf>,
    /// This process's certificate, for agents that ask for one (`verify_incoming`), and what leads from it to its
    /// authority. Together with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate.
    pub key_file: Option<PathBuf>,
    /// The name that the agent's certificate must hold, instead of the address's host (`server.dc1.consul`). It is
    /// also what the agent is told that it is asked for. A name, no IP address.
    pub server_name: Option<String>,
    /// Whether the agent's certificate is checked at all. Without it whoever stands in between can read the
    /// token and forge every answer. Default: yes.
    pub verify: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { ca_file: None, ca_path: None, cert_file: None, key_file: None, server_name: None, verify: true }
    }
}
