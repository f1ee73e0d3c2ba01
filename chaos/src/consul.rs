use std::time::Duration;

use ha::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::proxy::{Fault, Matching, Proxy, Treatment};
use ha_testkit::servers::consul::{Agent, Cluster, Options as Settings};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::plan::{Step, Trouble};

/// Where all clusters are that workers on Consul make.
const ROOT: &str = "chaos";
/// How much longer each message takes on a slow line.
const SLOW: Duration = Duration::from_millis(150);

/// Servers of Consul, and between them and each worker a proxy.
#[derive(Debug)]
pub(crate) struct Consul {
    servers: Mutex<Servers>,
    /// The addresses of all servers, for whoever is not hindered.
    addresses: String,
    proxies: Vec<Mutex<Proxy>>,
}

#[derive(Debug)]
enum Servers {
    One(Box<Agent>),
    Three(Cluster),
}

impl Servers {
    fn agent(&mut self, number: usize) -> &mut Agent {
        match self {
            Self::One(agent) => agent,
            Self::Three(cluster) => cluster.agent(number % 3),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Three(_) => 3,
        }
    }

    /// Waits until all serve again: until then one more fault of a server would be another one than was meant.
    async fn complete(&mut self) {
        match self {
            Self::One(agent) => agent.ready().await,
            Self::Three(cluster) => {
                cluster.complete().await;
                for agent in cluster.agents() {
                    agent.ready().await;
                }
            }
        }
    }

    async fn leader(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Three(cluster) => cluster.leader(&[0, 1, 2]).await,
        }
    }
}

impl Consul {
    /// Starts that many servers, and a proxy for each worker.
    ///
    /// # Errors
    /// [`Missing`]: there is no program, or this machine has only one address of loopback.
    pub(crate) async fn start(seam: &Seam, servers: usize, workers: usize) -> Result<Self, Missing> {
        let settings = Settings::server().with(json!({ "session_ttl_min": "500ms" }));
        let mut servers = match servers {
            1 => Servers::One(Box::new(Agent::start(seam.clone(), settings).await?)),
            _ => Servers::Three(Cluster::start(seam.clone(), settings).await?),
        };
        let count = servers.count();
        let mut proxies = Vec::new();
        for worker in 0..workers {
            let address = servers.agent(worker % count).address();
            proxies.push(Mutex::new(Proxy::to(address, seam.clone()).await));
        }
        let addresses: Vec<String> = (0..count).map(|number| servers.agent(number).address()).collect();
        Ok(Self { servers: Mutex::new(servers), addresses: addresses.join(","), proxies })
    }

    /// What a worker is configured by: its own way to its server.
    pub(crate) async fn url(&self, worker: usize, storage: &str, silence_ms: u64) -> String {
        let address = self.proxies[worker].lock().await.address().to_owned();
        format!("consul://{address}/{}", Self::rest(storage, silence_ms))
    }

    /// What an observer is configured by that nothing stands in the way of.
    pub(crate) fn open_url(&self, storage: &str, silence_ms: u64) -> String {
        let first = self.addresses.split(',').next().unwrap_or_default();
        format!("consul://{first}/{}", Self::rest(storage, silence_ms))
    }

    fn rest(storage: &str, silence_ms: u64) -> String {
        let times = format!("session.silence={silence_ms}ms&session-ttl={silence_ms}ms");
        format!("{ROOT}?cluster-id=c&storageDir={storage}&{times}")
    }

    /// Hinders a worker's way to its server. Whether anything was on that way meanwhile.
    pub(crate) async fn hinder_way(&self, worker: usize, step: &Step, seam: &Seam) -> bool {
        let proxy = self.proxies[worker].lock().await;
        let before = proxy.hindered();
        let during = async |fault: Fault| {
            proxy.fault(fault);
            seam.sleep(step.lasts).await;
            proxy.fault(Fault::None);
            proxy.hindered() > before
        };
        let treating = async |treatment: Treatment| {
            let rule = proxy.treat(Matching::path("/v1/txn"), treatment);
            seam.sleep(step.lasts).await;
            rule.count() > 0
        };
        match step.trouble {
            Trouble::Cut => during(Fault::Cut).await,
            Trouble::Hang => during(Fault::Stall).await,
            Trouble::RequestsHang => during(Fault::StallRequests).await,
            Trouble::AnswersHang => during(Fault::StallAnswers).await,
            Trouble::HalfOpen => during(Fault::HalfOpen).await,
            Trouble::AnswersLost => treating(Treatment::LoseAnswer).await,
            Trouble::Late => treating(Treatment::Hold).await,
            _ => {
                proxy.delay(SLOW);
                seam.sleep(step.lasts).await;
                proxy.delay(Duration::ZERO);
                proxy.hindered() > before
            }
        }
    }

    /// Hinders servers, and waits until all serve again. The workers, by their number below that count, whose agents
    /// these are.
    pub(crate) async fn hinder_servers(&self, step: &Step, seam: &Seam, workers: usize) -> Vec<usize> {
        let mut servers = self.servers.lock().await;
        let which = match step.trouble {
            Trouble::KillServersLeader | Trouble::PauseServersLeader => vec![servers.leader().await],
            Trouble::KillServers => (0..servers.count()).collect(),
            _ => vec![step.target % servers.count()],
        };
        if matches!(step.trouble, Trouble::PauseServer | Trouble::PauseServersLeader) {
            let server = servers.agent(which[0]);
            server.stop().await;
            seam.sleep(step.lasts).await;
            server.cont();
        } else {
            for number in &which {
                servers.agent(*number).kill();
            }
            seam.sleep(step.lasts).await;
            for number in &which {
                servers.agent(*number).start_again();
            }
        }
        servers.complete().await;
        (0..workers).filter(|worker| which.contains(&(worker % servers.count()))).collect()
    }

    /// Destroys the session that holds the latch. Whether there was one.
    pub(crate) async fn destroy_session(&self) -> bool {
        let mut servers = self.servers.lock().await;
        let agent = servers.agent(0);
        let latch = agent.ask("GET", &format!("/v1/kv/{ROOT}/c/leader/latch/.lock?consistent"), b"").await;
        if latch.status != 200 {
            return false;
        }
        let held = latch.json().get(0).and_then(|latch| latch.get("Session")).cloned();
        let Some(Value::String(session)) = held else { return false };
        agent.ask("PUT", &format!("/v1/session/destroy/{session}"), b"").await.status == 200
    }
}
