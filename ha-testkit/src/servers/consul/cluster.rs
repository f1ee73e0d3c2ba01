use std::net::Ipv4Addr;
use std::sync::Arc;

use ha_core::seam::Seam;

use super::{Agent, Options, access};
use crate::factory::Missing;
use crate::servers::ports::Ports;

/// Three servers that store together, on three addresses of loopback. Dropping it kills them and removes
/// what they stored.
#[derive(Debug)]
pub struct Cluster {
    agents: Vec<Agent>,
}

/// Where they are. The ports are the same on each.
const HOSTS: [Ipv4Addr; 3] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];

impl Cluster {
    /// Starts three servers with those settings and waits until they serve, and each has a vote.
    ///
    /// # Errors
    /// [`Missing`]: there is no program, or this machine has only one address of loopback.
    ///
    /// # Panics
    /// As [`Agent::start`]; or the options are those of another kind of agent, or ask for TLS.
    pub async fn start(seam: Seam, options: Options) -> Result<Self, Missing> {
        assert!(!options.tls, "servers of a cluster have no authority in common");
        for host in HOSTS {
            let bound = std::net::TcpListener::bind((host, 0));
            bound.map_err(|error| Missing(format!("{host} is no address of this machine: {error}")))?;
        }
        let ports = Arc::new(Ports::reserve(&seam, &HOSTS));
        let launch =
            |host: &Ipv4Addr, options: Options| Agent::launch(seam.clone(), options, *host, Arc::clone(&ports));
        // Nobody knows the port of the first one yet, and it is the same for all.
        let gossip = |host: &Ipv4Addr| format!("{host}:{}", ports.port(super::agent::SERF_LAN));
        let options = options.server_of(HOSTS.iter().map(gossip).collect());
        let agents = HOSTS.iter().map(|host| launch(host, options.clone())).collect::<Result<Vec<_>, _>>()?;
        let mut cluster = Self { agents };
        for agent in &cluster.agents {
            agent.ready().await;
        }
        if options.acl {
            let token = access::bootstrap(&cluster.agents[0]).await;
            cluster.agents.iter_mut().for_each(|agent| agent.take_token(token.clone()));
        }
        cluster.complete().await;
        Ok(cluster)
    }

    /// The servers, always in the same order.
    #[must_use]
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// One of them, counted from zero.
    ///
    /// # Panics
    /// There are only three.
    pub fn agent(&mut self, number: usize) -> &mut Agent {
        &mut self.agents[number]
    }

    /// Waits until all servers that `among` names agree on a leader, and answers its number. Say which ones
    /// run: one that stands still is waited for.
    ///
    /// # Panics
    /// They do not agree within a minute and a half.
    pub async fn leader(&self, among: &[usize]) -> usize {
        let agree = || async move {
            let mut seen = Vec::new();
            for number in among {
                seen.push(self.agents[*number].leader().await?);
            }
            let leader = self.agents.iter().position(|agent| agent.server_address() == seen[0])?;
            // A leader that is not among those asked is one that they have not missed yet.
            (among.contains(&leader) && seen.iter().all(|one| *one == seen[0])).then_some(leader)
        };
        self.agents[among[0]].until("the servers agree on a leader", agree).await
    }

    /// Waits until all three serve and each has a vote: until then the loss of one more stops them all.
    ///
    /// # Panics
    /// They do not within a minute and a half.
    pub async fn complete(&self) {
        self.leader(&[0, 1, 2]).await;
        let agent = &self.agents[0];
        let voters = || async move {
            let path = "/v1/operator/raft/configuration";
            let answer = agent.try_ask(agent.token_if_any(), "GET", path, b"").await.ok()?;
            let voters = answer.text().matches("\"Voter\":true").count();
            (answer.status == 200 && voters == HOSTS.len()).then_some(())
        };
        agent.until("all servers have a vote", voters).await;
    }
}
