use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ha_core::seam::{Moment, Seam};
use serde_json::json;
use tempfile::TempDir;

use super::options::{Mode, Options};
use super::{Certificates, access};
use crate::factory::Missing;
use crate::servers::http::{self, Answer};
use crate::servers::ports::Ports;
use crate::servers::program::Program;

/// How long an agent may take until it serves. A cluster elects a leader first.
const PATIENCE: Duration = Duration::from_secs(90);
/// The pause between two looks at something that must come to pass.
const PAUSE: Duration = Duration::from_millis(10);

/// The ports of an agent, by their number in its block.
const HTTP: u16 = 0;
const SERVER: u16 = 1;
pub(super) const SERF_LAN: u16 = 2;
const SERF_WAN: u16 = 3;
const HTTPS: u16 = 4;

/// A Consul agent. Dropping it kills it and removes what it stored.
pub struct Agent {
    program: Program,
    /// The command line, for the next start.
    command: Vec<String>,
    name: String,
    host: Ipv4Addr,
    ports: Arc<Ports>,
    options: Options,
    certificates: Option<Certificates>,
    token: Option<String>,
    seam: Seam,
    // Last: removed when the agent is gone.
    folder: TempDir,
}

impl Agent {
    /// Starts an agent on loopback and waits until it serves.
    ///
    /// # Errors
    /// [`Missing`]: there is no program.
    ///
    /// # Panics
    /// It does not serve within a minute and a half; the text shows what it wrote.
    ///
    /// # Cancel safety
    /// After a drop nothing is left of it.
    pub async fn start(seam: Seam, options: Options) -> Result<Self, Missing> {
        let host = Ipv4Addr::LOCALHOST;
        let ports = Arc::new(Ports::reserve(&seam, &[host]));
        let mut agent = Self::launch(seam, options, host, ports)?;
        agent.ready().await;
        if agent.options.acl && agent.options.mode != Mode::Client {
            agent.token = Some(access::bootstrap(&agent).await);
        }
        Ok(agent)
    }

    /// Starts an agent on that address and does not wait.
    pub(super) fn launch(seam: Seam, options: Options, host: Ipv4Addr, ports: Arc<Ports>) -> Result<Self, Missing> {
        let consul = super::program()?;
        let folder = tempfile::Builder::new().prefix("ha-consul-").tempdir().expect("a temporary folder");
        let certificates = options.tls.then(|| Certificates::create(&consul, folder.path()));
        let name = format!("agent-{}", seam.uuid());
        let at = host.to_string();
        let mut own = json!({
            "node_name": name, "bind_addr": at, "advertise_addr": at, "client_addr": at,
            "ports": {
                "http": ports.port(HTTP), "server": ports.port(SERVER),
                "serf_lan": ports.port(SERF_LAN), "serf_wan": ports.port(SERF_WAN),
                "https": if options.tls { i32::from(ports.port(HTTPS)) } else { -1 },
                "dns": -1, "grpc": -1,
            },
        });
        if options.mode != Mode::Developer {
            own["data_dir"] = json!(folder.path().join("data"));
        }
        if let Some(certificates) = &certificates {
            certificates.configure(&mut own);
        }
        let config = folder.path().join("config.json");
        std::fs::write(&config, options.config(own).to_string()).expect("a configuration in a folder of ours");
        let mut command = vec![text(consul), "agent".into(), format!("-config-file={}", text(config))];
        if options.mode == Mode::Developer {
            command.push("-dev".into());
        }
        let program = Self::run(&seam, &command, &folder);
        Ok(Self { program, command, name, host, ports, options, certificates, token: None, seam, folder })
    }

    fn run(seam: &Seam, command: &[String], folder: &TempDir) -> Program {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        Program::start(seam.clone(), "consul", &command, folder.path())
    }

    /// Host and port of its HTTP interface.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.ports.port(HTTP))
    }

    /// Host and port of its interface with TLS; nothing listens there without [`Options::with_tls`].
    #[must_use]
    pub fn tls_address(&self) -> String {
        format!("{}:{}", self.host, self.ports.port(HTTPS))
    }

    pub(super) fn gossip_address(&self) -> String {
        format!("{}:{}", self.host, self.ports.port(SERF_LAN))
    }

    /// Where a server speaks to other servers: what [`Agent::leader`] answers of the leader.
    pub(super) fn server_address(&self) -> String {
        format!("{}:{}", self.host, self.ports.port(SERVER))
    }

    /// The name of its node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// The certificates that its clients need.
    ///
    /// # Panics
    /// It was started without [`Options::with_tls`].
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("an agent that was started with TLS")
    }

    /// The token that may do everything.
    ///
    /// # Panics
    /// It was started without [`Options::with_acl`].
    #[must_use]
    pub fn management_token(&self) -> &str {
        self.token.as_deref().expect("an agent that was started with access control")
    }

    /// A new token that may do what these rules say, in Consul's own words.
    ///
    /// # Panics
    /// It was started without [`Options::with_acl`], or Consul refuses the rules.
    pub async fn token(&self, rules: &str) -> String {
        access::token(self, rules).await
    }

    /// Asks it for something, with its management token if it has one. `path` begins with `/v1/`.
    ///
    /// # Panics
    /// It does not answer within a minute.
    pub async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.ask_as(self.token.as_deref(), method, path, body).await
    }

    /// As [`Agent::ask`], with that token, or none.
    ///
    /// # Panics
    /// As [`Agent::ask`].
    pub async fn ask_as(&self, token: Option<&str>, method: &str, path: &str, body: &[u8]) -> Answer {
        let answer = self.try_ask(token, method, path, body).await;
        answer.unwrap_or_else(|why| panic!("{method} {path}: {why}{}", self.program.report()))
    }

    pub(super) async fn try_ask(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, String> {
        let token: Vec<(&str, &str)> = token.iter().map(|token| ("X-Consul-Token", *token)).collect();
        http::ask(&self.seam, &self.address(), method, path, &token, body).await
    }

    /// What it believes to be the leader's address among the servers; `None` if there is no leader.
    pub async fn leader(&self) -> Option<String> {
        let answer = self.try_ask(None, "GET", "/v1/status/leader", b"").await.ok()?;
        let leader: String = serde_json::from_slice(&answer.body).ok()?;
        (answer.status == 200 && !leader.is_empty()).then_some(leader)
    }

    /// Waits until it serves: there is a leader, and its node can have sessions.
    ///
    /// # Panics
    /// It does not within a minute and a half, or ends; the text shows what it wrote.
    pub async fn ready(&self) {
        self.until("there is a leader", || self.leader()).await;
        if self.options.acl {
            // Nobody may see the nodes yet.
            return;
        }
        let path = format!("/v1/health/node/{}", self.name);
        let path = path.as_str();
        let known = || async move {
            let answer = self.try_ask(None, "GET", path, b"").await.ok()?;
            (answer.status == 200 && answer.text().contains("\"passing\"")).then_some(())
        };
        self.until("its node is known", known).await;
    }

    /// Looks until there is something, and answers it.
    pub(super) async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, mut look: impl FnMut() -> F) -> T {
        let deadline = self.seam.now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(!self.program.has_ended(), "the agent ended before: {what}{}", self.program.report());
            let late = self.seam.now() > deadline;
            assert!(!late, "waited {PATIENCE:?} in vain for the agent: {what}{}", self.program.report());
            self.seam.sleep(PAUSE).await;
        }
    }

    /// All that the cluster stores, as one archive.
    ///
    /// # Panics
    /// Consul refuses.
    pub async fn snapshot(&self) -> Vec<u8> {
        let answer = self.ask("GET", "/v1/snapshot", b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.body
    }

    /// Makes the cluster store what the archive holds and nothing else.
    ///
    /// # Panics
    /// Consul refuses.
    pub async fn restore(&self, snapshot: &[u8]) {
        let answer = self.ask("PUT", "/v1/snapshot", snapshot).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Kills it and waits until it is gone. Answers the moment just before.
    pub fn kill(&mut self) -> Moment {
        self.program.kill()
    }

    /// Asks it to end, as by `kill`. Answers the moment just before. What leaves the cluster by that is for the
    /// settings to say (`leave_on_terminate`).
    ///
    /// # Panics
    /// It has ended already.
    pub fn terminate(&self) -> Moment {
        self.program.terminate()
    }

    /// Lets it leave its cluster and end.
    ///
    /// # Panics
    /// It refuses, or does not end within two minutes.
    pub async fn leave(&mut self) {
        let answer = self.ask("PUT", "/v1/agent/leave", b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.exited().await;
    }

    /// Stops all of its threads, as a long pause of the machine does. Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already, or is not stopped within two minutes.
    pub async fn stop(&self) -> Moment {
        self.program.stop().await
    }

    /// Lets it go on after [`Agent::stop`]. Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already.
    pub fn cont(&self) -> Moment {
        self.program.cont()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It does not within two minutes.
    pub async fn exited(&mut self) {
        self.program.exited().await;
    }

    /// Starts it again after its end, with its data and its addresses, and does not wait until it serves: one
    /// server of three cannot, alone.
    pub fn start_again(&mut self) {
        self.program.kill();
        self.program = Self::run(&self.seam, &self.command, &self.folder);
    }

    /// Kills it, starts it again and waits until it serves.
    ///
    /// # Panics
    /// As [`Agent::start`].
    pub async fn restart(&mut self) {
        self.start_again();
        self.ready().await;
    }

    pub(super) fn take_token(&mut self, token: String) {
        self.token = Some(token);
    }

    pub(super) fn seam(&self) -> &Seam {
        &self.seam
    }

    pub(super) fn token_if_any(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Where it stores what it stores, and writes its log.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("paths of tests are UTF-8")
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("address", &self.address()).field("id", &self.id()).finish_non_exhaustive()
    }
}
