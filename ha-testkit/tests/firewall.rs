//! Presence behind packet filters, in a network namespace of its own: one that rejects costs one leader change at
//! most, one that drops costs nothing but the silence.
//!
//! Where no namespace can be made or no rule set, the tests say so and are skipped; where `CI` is set, they fail.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::election::Leadership;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{HaServices, HighAvailabilityServices, PresenceStats, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::process::{Process, Stage, role};
use ha_testkit::remote::{Remote, Server};
use ha_testkit::run::block_on;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};

/// Set for the program that runs inside the namespace; names the test.
const INSIDE: &str = "HA_TEST_INSIDE_A_NAMESPACE";
/// A presence server holds that many connections, and lets go of the oldest for another one.
const CONNECTIONS_MAX: usize = 128;

/// Ends everything inside with the test, whatever way that ends.
struct Inside(Child);

impl Drop for Inside {
    fn drop(&mut self) {
        // It has ended already, unless the test panics.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this is the program inside; outside, it is started, and must succeed.
fn is_inside(test: &str) -> bool {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == test) {
        return true;
    }
    // Not in a role of another test's process either.
    if let Err(missing) = namespaces() {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        ha_testkit::run::tell(format_args!("SKIPPED {test}: {missing}"));
        return false;
    }
    let program = std::env::current_exe().expect("a program knows where it is");
    let child = Command::new("unshare")
        .args(["--net", "--fork", "--kill-child=KILL", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, test)
        .stdin(Stdio::null())
        .spawn()
        .expect("`unshare` was found before");
    let status = Inside(child).0.wait().expect("a child of ours can be waited for");
    assert!(status.success(), "inside the namespace: {status}");
    false
}

fn namespaces() -> Result<(), String> {
    // The lock on the tables is one for all namespaces: whoever comes second waits.
    let script = "ip link set lo up && iptables -w 60 -A INPUT -p tcp --dport 1 -j REJECT --reject-with tcp-reset";
    let output = Command::new("unshare").args(["--net", "sh", "-c", script]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("no namespace with packet filters: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("no `unshare`: {error}")),
    }
}

/// Sets rules inside the namespace.
fn iptables(arguments: &str) {
    let status = Command::new("iptables")
        .args(["-w", "60"])
        .args(arguments.split(' '))
        .status()
        .expect("`iptables` was found before");
    assert!(status.success(), "iptables {arguments}");
}

/// Whoever comes from the usual address is refused at that port; what is connected stays so.
fn reject(port: u16) {
    iptables(&format!("-I INPUT -s 127.0.0.1 -p tcp --dport {port} -j REJECT --reject-with tcp-reset"));
}

/// Makes a presence server let go of everybody who is connected, through the firewall.
async fn crowd_out(address: SocketAddr) {
    let mut crowd = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let stream: TcpStream = socket.connect(address).await.unwrap();
        // Greeted, so it was accepted.
        stream.readable().await.unwrap();
        crowd.push(stream);
    }
}

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
    silence: Duration,
}

impl Member {
    async fn services(&self, seam: &Seam) -> HaServices {
        let backend = Remote::connect(self.server, &self.label, seam.clone()).await.unwrap();
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        let session = SessionOptions { silence: self.silence, label: self.label.clone() };
        let options = ServicesOptions { session, ..ServicesOptions::default() };
        HaServices::new(Arc::new(backend), storage, &options, seam.clone()).unwrap()
    }
}

#[test]
fn leader() {
    role("leader", async |member: Member, stage: Stage| {
        let services = member.services(stage.seam()).await;
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        leadership.publish(&member.label).await.unwrap();
        stage.tell("leading", services.presence_stats().unwrap().address);
        stage.tell("lost", leadership.lost().await.to_string());
        std::future::pending().await
    });
}

struct World {
    seam: Seam,
    server: Server,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        Self { server: Server::start(Embedded::new(seam.clone()), seam.clone()).unwrap(), seam }
    }

    fn member(&self, label: &str, silence: Duration) -> Member {
        Member { label: label.into(), server: self.server.address(), silence }
    }

    async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let output = self.seam.timeout(Duration::from_secs(60), future).await;
        output.unwrap_or_else(|| panic!("waited in vain: {what}"))
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let poll = async {
            while !holds() {
                self.seam.sleep(Duration::from_millis(1)).await;
            }
        };
        self.in_time(what, poll).await;
    }
}

fn stats(services: &HaServices) -> PresenceStats {
    services.presence_stats().unwrap()
}

/// Campaigns in the background.
fn contend(services: &HaServices) -> tokio::task::JoinHandle<Leadership> {
    let election = services.dispatcher_leader_election().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the handle brings the leadership back to the test")]
    tokio::spawn(async move { election.campaign().await.unwrap() })
}

#[test]
fn a_firewall_that_rejects_costs_one_leader_change_and_no_ping_pong() {
    if !is_inside("a_firewall_that_rejects_costs_one_leader_change_and_no_ping_pong") {
        return;
    }
    block_on(async {
        // Fails if the two, each of which sees the other refused, take the latch from one another in turn.
        let w = World::new();
        let silence = Duration::from_secs(60);
        let (one, other) =
            (w.member("one", silence).services(&w.seam).await, w.member("other", silence).services(&w.seam).await);
        let first = w.in_time("nobody else is there", contend(&one)).await.unwrap();
        let waiting = contend(&other);
        w.until("the other one saw it alive", || stats(&other).handshakes == 1).await;

        // The connection ends, and the firewall refuses the next: it looks like a death, and is none.
        let address = stats(&one).address.unwrap();
        reject(address.port());
        crowd_out(address).await;
        let second = w.in_time("the other one takes its place", waiting).await.unwrap();
        assert_eq!((stats(&other).evidence, stats(&other).takeovers), (1, 1));
        ha_testkit::run::tell(format_args!(
            "the evicted one stepped down: {}",
            w.in_time("it learns of it", first.lost()).await
        ));
        assert!(first.token() < second.token());
        drop(first);

        // The evicted one campaigns again, and sees the same of its successor.
        let waiting = contend(&one);
        w.until("it saw its successor alive", || stats(&one).handshakes == 1).await;
        assert_eq!((stats(&one).wrong_suspicions, stats(&one).disarmed), (1, 1));
        let address = stats(&other).address.unwrap();
        reject(address.port());
        crowd_out(address).await;
        w.until("the successor looks dead", || stats(&one).evidence == 1).await;
        // It would have been taken over within milliseconds.
        assert!(w.seam.timeout(Duration::from_secs(1), second.lost()).await.is_none());
        assert_eq!(stats(&one).takeovers, 0);
        assert!(second.is_valid());

        // A regular change: now the other one learns that it had been wrong.
        second.resign().await.unwrap();
        let third = w.in_time("it leads again", waiting).await.unwrap();
        let waiting = contend(&other);
        w.until("the other one knows that it was wrong", || stats(&other).wrong_suspicions == 1).await;
        assert_eq!(stats(&other).disarmed, 1);
        assert!(third.is_valid());
        waiting.abort();
    });
}

#[test]
fn dropped_packets_hide_a_death_and_silence_decides() {
    if !is_inside("dropped_packets_hide_a_death_and_silence_decides") {
        return;
    }
    block_on(async {
        // Fails if nothing heard is taken for evidence.
        let (w, silence) = (World::new(), Duration::from_millis(2500));
        let mut leader = Process::spawn(w.seam.clone(), "leader", &w.member("killed", silence));
        let address: SocketAddr = serde_json::from_value(leader.told("leading").await.value).unwrap();
        let standby = w.member("standby", silence).services(&w.seam).await;
        let waiting = contend(&standby);
        w.until("the standby saw it alive", || stats(&standby).handshakes == 1).await;
        iptables(&format!("-I INPUT -p tcp --dport {} -j DROP", address.port()));
        iptables(&format!("-I INPUT -p tcp --sport {} -j DROP", address.port()));
        let killed = leader.kill();
        let leadership = w.in_time("silence gives it to the standby", waiting).await.unwrap();
        ha_testkit::run::tell(format_args!(
            "from the kill to the next leader: {:.1?} (silence {silence:?})",
            w.seam.now().since(killed)
        ));
        assert_eq!((stats(&standby).evidence, stats(&standby).takeovers), (0, 0));
        assert!(leadership.is_valid());
    });
}
