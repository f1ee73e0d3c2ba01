//! Processes that contend for one leadership while they are killed, stopped and cut off: no two of them ever
//! believe at one instant that they lead.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::seam::{Moment, Seam};
use ha_core::state::StateStorage;
use ha_core::{HaServices, HighAvailabilityServices, PresenceOptions, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::process::{Process, Stage, role};
use ha_testkit::remote::{Hold, Remote, Server};
use ha_testkit::run::block_on;
use serde::{Deserialize, Serialize};

const SILENCE: Duration = Duration::from_millis(800);
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a process asks itself whether it leads.
const ASK_EVERY: Duration = Duration::from_millis(5);

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
}

/// One answer to the question who leads: at an instant from `asked` to `answered` this process did, by all
/// that it knows. All processes of a machine have one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Leads {
    token: u64,
    asked_ns: u64,
    answered_ns: u64,
}

fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.since_origin().as_nanos()).unwrap()
}

async fn services(member: &Member, seam: &Seam) -> HaServices {
    let backend = Remote::connect(member.server, &member.label, seam.clone()).await.unwrap();
    let session = SessionOptions { silence: SILENCE, label: member.label.clone() };
    // Without evidence of death: whoever follows on it needs no luck, and who follows on silence might.
    let options = ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() };
    let storage = StateStorage::open("memory://", seam.clone()).unwrap();
    HaServices::new(Arc::new(backend), storage, &options, seam.clone()).unwrap()
}

/// Contends again and again, and asks itself all the time whether it leads.
#[test]
fn contender() {
    role("contender", async |member: Member, stage: Stage| {
        let services = services(&member, stage.seam()).await;
        loop {
            let campaign = services.dispatcher_leader_election().unwrap().campaign().await;
            let Ok(leadership) = campaign else {
                stage.seam().sleep(ASK_EVERY).await;
                continue;
            };
            let token = leadership.token().epoch();
            loop {
                let asked = stage.seam().now();
                let leads = leadership.is_valid();
                let answered = stage.seam().now();
                if !leads {
                    break;
                }
                let (asked_ns, answered_ns) = (nanoseconds(asked), nanoseconds(answered));
                stage.tell("leads", Leads { token, asked_ns, answered_ns });
                stage.seam().sleep(ASK_EVERY).await;
            }
            stage.tell("over", token);
        }
    });
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
    dead: Vec<(String, Leads)>,
}

impl World {
    fn spawn(&mut self, label: &str) {
        let member = Member { label: label.into(), server: self.server.address() };
        self.processes.insert(label.into(), Process::spawn(self.seam.clone(), "contender", &member));
    }

    fn told(&self) -> Vec<(String, Leads)> {
        let living = self.processes.iter().flat_map(|(label, process)| leads_of(label, process));
        self.dead.iter().cloned().chain(living).collect()
    }

    /// Who leads under a greater token than that.
    async fn leader_after(&self, token: u64) -> (String, u64) {
        let found = async {
            loop {
                let latest = self.told().into_iter().max_by_key(|(_, leads)| leads.token);
                match latest.filter(|(_, leads)| leads.token > token) {
                    Some((label, leads)) => return (label, leads.token),
                    None => self.seam.sleep(ASK_EVERY).await,
                }
            }
        };
        self.seam.timeout(PATIENCE, found).await.expect("somebody leads after the one before")
    }

    /// Waits until a process has seen that its term is over.
    async fn is_over(&self, label: &str, token: u64) {
        let over = |events: &[ha_testkit::process::Event]| {
            events.iter().any(|event| event.name == "over" && event.value.as_u64() == Some(token)).then_some(())
        };
        self.processes[label].until("its term is over", over).await;
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
                self.dead.extend(leads_of(label, &killed));
                self.spawn(&format!("{label}+"));
                return self.leader_after(token).await;
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

fn leads_of(label: &str, process: &Process) -> Vec<(String, Leads)> {
    let leads = process.events().into_iter().filter(|event| event.name == "leads");
    leads.map(|event| (label.to_owned(), serde_json::from_value(event.value).unwrap())).collect()
}

/// Panics if a process believed that it led after another one had begun to, under a later token.
fn check(told: &[(String, Leads)]) {
    let mut terms: BTreeMap<u64, (&str, u64, u64)> = BTreeMap::new();
    for (label, leads) in told {
        // A term is one process's. Once begun, it lasted up to each later answer.
        let term = terms.entry(leads.token).or_insert((label, leads.answered_ns, leads.asked_ns));
        assert_eq!(term.0, label, "token {} was given to two", leads.token);
        term.1 = term.1.min(leads.answered_ns);
        term.2 = term.2.max(leads.asked_ns);
    }
    let terms: Vec<_> = terms.into_iter().collect();
    for pair in terms.windows(2) {
        let [(old, (one, _, last)), (new, (other, first, _))] = pair else { unreachable!("windows of two") };
        assert!(
            last <= first,
            "{one} believed in token {old} {} ns after {other} had begun to lead under {new}",
            last - first
        );
    }
}

#[test]
fn the_check_sees_two_leaders_at_one_instant() {
    let leads = |label: &str, token, at| (label.to_owned(), Leads { token, asked_ns: at, answered_ns: at + 1 });
    let apart = [leads("a", 1, 10), leads("a", 1, 20), leads("b", 2, 30), leads("a", 3, 40)];
    check(&apart);
    for wrong in [leads("a", 1, 32), leads("b", 3, 50)] {
        let told: Vec<_> = apart.iter().cloned().chain([wrong]).collect();
        assert!(std::panic::catch_unwind(|| check(&told)).is_err(), "{told:?}");
    }
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
        check(&told);
        let tokens: std::collections::BTreeSet<u64> = told.iter().map(|(_, leads)| leads.token).collect();
        assert!(tokens.len() > blows.len(), "after each blow another one led: {tokens:?}");
    });
}
