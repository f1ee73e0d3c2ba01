//! Processes that contend for one leadership while they are killed, stopped and cut off: no two of them ever
//! believe at one instant that they lead.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, PresenceOptions, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::async_trait;
use ha_testkit::process::{Process, role};
use ha_testkit::remote::{Hold, Remote, Server};
use ha_testkit::run::block_on;
use ha_testkit::trials::{self, ASK_EVERY, Believes, assert_never_two_at_once, believe, believed, is_over};
use serde::{Deserialize, Serialize};

const SILENCE: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
}

#[async_trait]
impl trials::Member for Member {
    fn label(&self) -> &str {
        &self.label
    }

    async fn services(&self, seam: &Seam) -> Result<HaServices, Error> {
        let backend = Remote::connect(self.server, &self.label, seam.clone()).await?;
        let session = SessionOptions { silence: SILENCE, label: self.label.clone() };
        // Without evidence of death: whoever follows on it needs no luck, and who follows on silence might.
        let options = ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() };
        let storage = StateStorage::open("memory://", seam.clone())?;
        HaServices::new(Arc::new(backend), storage, &options, seam.clone())
    }
}

#[test]
fn contender() {
    role("contender", believe::<Member>);
}

/// What befalls the process that leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Kill,
    /// A pause that is longer than its silence.
    Stop,
    /// Nothing of what it sends arrives.
    Requests,
    /// What it sends arrives, and nothing comes back.
    Answers,
}

struct World {
    seam: Seam,
    server: Server,
    processes: BTreeMap<String, Process>,
    /// What the dead have told.
    dead: Vec<(String, Believes)>,
}

impl World {
    fn spawn(&mut self, label: &str) {
        let member = Member { label: label.into(), server: self.server.address() };
        self.processes.insert(label.into(), Process::spawn(self.seam.clone(), "contender", &member));
    }

    fn told(&self) -> Vec<(String, Believes)> {
        let living = self.processes.iter().flat_map(|(label, process)| beliefs_of(label, process));
        self.dead.iter().cloned().chain(living).collect()
    }

    /// Who leads under a greater token than that.
    async fn leader_after(&self, token: u64) -> (String, u64) {
        let found = async {
            loop {
                let latest = self.told().into_iter().max_by_key(|(_, believes)| believes.token);
                match latest.filter(|(_, believes)| believes.token > token) {
                    Some((label, leads)) => return (label, leads.token),
                    None => self.seam.sleep(ASK_EVERY).await,
                }
            }
        };
        self.seam.timeout(PATIENCE, found).await.expect("somebody leads after the one before")
    }

    /// Waits until a process has seen that its term is over.
    async fn is_over(&self, label: &str, token: u64) {
        self.processes[label].until("its term is over", is_over(token)).await;
    }

    fn hold(&self, label: &str, what: Hold) {
        let clients = self.server.clients();
        let client = clients.iter().find(|client| client.label == label).expect("it has said hello");
        self.server.hold(&client.id, what).unwrap();
    }

    /// Lets the blow fall, waits for the next leader, and makes good again what can be. Answers who that is.
    async fn strike(&mut self, blow: Blow, label: &str, token: u64) -> (String, u64) {
        match blow {
            Blow::Kill => {
                let mut killed = self.processes.remove(label).unwrap();
                killed.kill();
                killed.exited().await;
                let told = beliefs_of(label, &killed);
                // On a busy machine it may have lost its term, and won another one, before the blow.
                let last = told.iter().map(|(_, believes)| believes.token).max().unwrap_or(token);
                self.dead.extend(told);
                self.spawn(&format!("{label}+"));
                return self.leader_after(token.max(last)).await;
            }
            Blow::Stop => drop(self.processes.get_mut(label).unwrap().stop().await),
            Blow::Requests => self.hold(label, Hold::Requests),
            Blow::Answers => self.hold(label, Hold::Answers),
        }
        let next = self.leader_after(token).await;
        match blow {
            Blow::Stop => drop(self.processes.get_mut(label).unwrap().cont()),
            // While it is still cut off: nobody but its own clock can tell it.
            _ => self.is_over(label, token).await,
        }
        self.is_over(label, token).await;
        if blow != Blow::Stop {
            self.hold(label, Hold::Nothing);
        }
        next
    }
}

fn beliefs_of(label: &str, process: &Process) -> Vec<(String, Believes)> {
    believed(&process.events()).into_iter().map(|believes| (label.to_owned(), believes)).collect()
}

///
#[test]
fn no_two_processes_ever_believe_at_one_instant_that_they_lead() {
    block_on(async {
        // Fails if a deadline is counted from an answer instead of its request, not counted while a process is
        // stopped, or prolonged by anything but an acknowledged renewal.
        let seam = Seam::system();
        let server = Server::start(Embedded::new(seam.clone()), seam.clone()).unwrap();
        let mut w = World { seam, server, processes: BTreeMap::new(), dead: Vec::new() };
        for label in ["a", "b", "c"] {
            w.spawn(label);
        }
        let (mut leader, mut token) = w.leader_after(0).await;
        let mut blows = [Blow::Kill, Blow::Stop, Blow::Requests, Blow::Answers].repeat(2);
        let seed = w.seam.random_u64();
        eprintln!("the blows fall in the order of {seed:#x}");
        for at in (1..blows.len()).rev() {
            blows.swap(at, usize::try_from((seed >> (4 * at)) % (at as u64 + 1)).unwrap());
        }
        for blow in &blows {
            (leader, token) = w.strike(*blow, &leader, token).await;
        }
        let told = w.told();
        assert_never_two_at_once(&told);
        let tokens: std::collections::BTreeSet<u64> = told.iter().map(|(_, believes)| believes.token).collect();
        assert!(tokens.len() > blows.len(), "after each blow another one led: {tokens:?}");
    });
}
