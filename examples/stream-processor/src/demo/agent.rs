//! An agent of Consul that the demo starts for itself, for those who have none at hand.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ha::backend::{Backend, SessionOptions};
use ha::consul::{Consul, ConsulSettings};
use ha::seam::Seam;

/// How long an agent may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks at whether it does.
const PAUSE: Duration = Duration::from_millis(20);
/// How often other ports are tried, should somebody take one between the look and the start.
const TRIES: u32 = 3;

/// Waits for the end of this process, then ends the agent and removes its folder.
const KEEPER: &str = r#"read -r never; kill -KILL "$1"; rm -rf -- "$2""#;

/// A developer agent on free ports of loopback, which keeps all in memory. It is gone when this is dropped, and also when
/// this process is killed: then its keeper, whose standard input ends with us, ends it.
#[derive(Debug)]
pub struct Agent {
    agent: Child,
    keeper: Child,
    address: String,
    // Last: removed when the agent is gone.
    folder: tempfile::TempDir,
}

impl Agent {
    /// Starts an agent, and waits until it serves.
    ///
    /// # Errors
    /// There is no program of that name, or it does not serve; the text says what to do, or what it wrote.
    ///
    /// # Cancel safety
    /// After a drop nothing is left of it.
    pub async fn start(seam: &Seam) -> io::Result<Self> {
        let named = std::env::var_os("CONSUL_BIN").filter(|name| !name.is_empty());
        let program = sought(named, std::env::var_os("PATH"), &std::env::current_exe()?)?;
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let mut agent = Self::launch(&program)?;
            match agent.ready(seam).await {
                Err(_) if tries > 0 && agent.has_ended() => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(agent),
            }
        }
    }

    /// Host and port of its HTTP interface.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    fn launch(program: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("stream-processor-consul-").tempdir()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let [http, server, lan, wan] = free_ports()?;
        let mut agent = Command::new(program);
        agent
            .args(["agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-dns-port=-1", "-grpc-port=-1"])
            .args([format!("-http-port={http}"), format!("-server-port={server}")])
            .args([format!("-serf-lan-port={lan}"), format!("-serf-wan-port={wan}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: what ends us from a terminal reaches us alone.
            .process_group(0);
        let mut agent = agent.spawn()?;
        let mut keeper = Command::new("sh");
        let words = ["-c", KEEPER, "keeper", &agent.id().to_string()];
        keeper.args(words).arg(folder.path()).stdin(Stdio::piped()).process_group(0);
        match keeper.spawn() {
            Ok(keeper) => Ok(Self { agent, keeper, address: format!("127.0.0.1:{http}"), folder }),
            Err(error) => {
                // A child of ours that has not been waited for: it can be killed.
                let _ = agent.kill();
                let _ = agent.wait();
                Err(error)
            }
        }
    }

    /// Waits until sessions can be opened: there is a leader, and its node is known.
    async fn ready(&mut self, seam: &Seam) -> io::Result<()> {
        let give_up = seam.now() + PATIENCE;
        loop {
            let settings = ConsulSettings::at(&self.address);
            let last = match Consul::connect(settings, seam.clone()).await {
                Ok(consul) => match consul.open_session(&SessionOptions::default()).await {
                    Ok(_session) => return consul.close().await.map_err(io::Error::other),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if self.has_ended() || seam.now() > give_up {
                let wrote = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let lines: Vec<&str> = wrote.lines().rev().take(5).collect();
                let why = format!("the agent does not serve ({last}); it wrote last: {}", lines.join(" / "));
                return Err(io::Error::other(why));
            }
            seam.sleep(PAUSE).await;
        }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.agent.try_wait(), Ok(None))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // In this order: the keeper must not outlive the number of the agent. What has ended already cannot be killed.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// Whether the environment says where Consul is. An empty variable counts as absent, as for Consul.
///
/// # Errors
/// [`ha::ErrorKind::Invalid`]: a variable is not what it should be.
pub fn is_configured() -> Result<bool, ha::Error> {
    let addressed = std::env::var_os("CONSUL_HTTP_ADDR").is_some_and(|address| !address.is_empty());
    Ok(addressed || ConsulSettings::from_env()? != ConsulSettings::default())
}

/// Ports that are free for TCP and UDP.
fn free_ports() -> io::Result<[u16; 4]> {
    // All are held until the last one is found, so that none is found twice.
    let mut held = Vec::new();
    while held.len() < 4 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener, socket));
        }
    }
    Ok([held[0].0, held[1].0, held[2].0, held[3].0])
}

/// The program: the one that is named, else the first on the path, else the one that `cargo xtask servers` unpacked
/// below the target folder.
fn sought(named: Option<OsString>, path: Option<OsString>, built: &Path) -> io::Result<PathBuf> {
    let missing = |why: String| io::Error::new(io::ErrorKind::NotFound, why);
    if let Some(named) = named.map(PathBuf::from) {
        let why = || missing(format!("CONSUL_BIN={} is no file; correct it or unset it", named.display()));
        return if named.is_file() { Ok(named) } else { Err(why()) };
    }
    let on_path = path.iter().flat_map(std::env::split_paths).map(|folder| folder.join("consul"));
    let below = built.ancestors().skip(1).map(|folder| folder.join("servers/consul/tree/usr/bin/consul"));
    on_path.chain(below).find(|program| program.is_file()).ok_or_else(|| {
        missing(
            "there is neither an agent (CONSUL_HTTP_ADDR names one) nor a program to start one: `cargo xtask servers` \
             unpacks it, or install Consul, or set CONSUL_BIN to the program"
                .to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_sought_by_name_then_on_the_path_then_below_the_target_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let (named, on_path) = (file("named/other"), file("bin/consul"));
        let unpacked = file("target/servers/consul/tree/usr/bin/consul");
        let built = folder.path().join("target/release/stream-processor");
        let bin = || Some(folder.path().join("bin").into_os_string());
        assert_eq!(sought(Some(named.clone().into()), bin(), &built).unwrap(), named);
        assert_eq!(sought(None, bin(), &built).unwrap(), on_path);
        assert_eq!(sought(None, None, &built).unwrap(), unpacked);
        let nowhere = sought(None, None, &folder.path().join("elsewhere/x")).unwrap_err().to_string();
        assert!(nowhere.contains("cargo xtask servers") && nowhere.contains("CONSUL_HTTP_ADDR"), "{nowhere}");
        let broken = sought(Some("no-such-file".into()), bin(), &built).unwrap_err().to_string();
        assert!(broken.contains("CONSUL_BIN=no-such-file"), "{broken}");
    }
}
