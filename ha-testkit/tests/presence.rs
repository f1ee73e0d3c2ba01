//! Evidence of death between real processes: a killed leader is replaced without waiting for its silence, a
//! stopped or starved one is not.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Backend, Expect, Key, Name, SessionOptions};
use ha_core::election::Leadership;
use ha_core::record::Body;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::writer::Committed;
use ha_core::{
    ComponentId, HaServices, HighAvailabilityServices, PresenceOptions, PresenceStats, ServicesOptions,
    application_prefix,
};
use ha_embedded::Embedded;
use ha_testkit::faults::{Call, Fault, Faulty, Plan};
use ha_testkit::process::{Process, Stage, role};
use ha_testkit::remote::{Remote, Server};
use ha_testkit::run::block_on;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// Longer than any wait here: whoever leads before it is over was not let in by silence.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(2500);

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
    silence: Duration,
    /// How many independent latches it leads on besides.
    shards: usize,
    /// What it waits for before it lets go of the descriptors that it took.
    relieved_by: Option<PathBuf>,
}

impl Member {
    async fn services(&self, seam: &Seam) -> HaServices {
        self.services_with(PresenceOptions::Automatic, seam).await
    }

    async fn services_with(&self, presence: PresenceOptions, seam: &Seam) -> HaServices {
        self.services_through(Plan::none(), presence, seam).await
    }

    /// Calls to the store may go wrong.
    async fn services_through(&self, plan: Plan, presence: PresenceOptions, seam: &Seam) -> HaServices {
        let backend = Remote::connect(self.server, &self.label, seam.clone()).await.unwrap();
        let backend = Faulty::new(Arc::new(backend), seam.clone(), plan);
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        let session = SessionOptions { silence: self.silence, label: self.label.clone() };
        let options = ServicesOptions { session, presence, ..ServicesOptions::default() };
        HaServices::new(Arc::new(backend), storage, &options, seam.clone()).unwrap()
    }

    async fn lead_shards(&self, services: &HaServices) -> Vec<Leadership> {
        let mut leaderships = Vec::new();
        for shard in 0..self.shards {
            let election = services.leader_election_on(&shard_name(shard), ComponentId::dispatcher()).unwrap();
            leaderships.push(election.campaign().await.unwrap());
        }
        leaderships
    }
}

fn shard_name(number: usize) -> Name {
    Name::new(format!("shard-{number}")).unwrap()
}

#[derive(Serialize, Deserialize)]
struct Note {
    by: String,
    number: u64,
}

impl Body for Note {
    const KIND: &'static str = "note";
}

fn note_key() -> Key {
    application_prefix().key(&Name::new("note").unwrap())
}

/// Writes until it is refused five times; says how.
async fn write(leadership: &Leadership, by: &str, seam: &Seam) -> Vec<String> {
    let (mut expect, mut refusals) = (Expect::Absent, Vec::new());
    for number in 0.. {
        let note = Note { by: by.into(), number };
        match leadership.guarded(|draft| draft.put(note_key(), expect, &note)).await {
            Ok(Committed::Applied(revisions)) => expect = Expect::Revision(revisions[0]),
            Ok(Committed::Conflict { found, .. }) => panic!("somebody else writes: {found:?}"),
            Err(error) => refusals.push(format!("{:?}", error.kind())),
        }
        if refusals.len() == 5 {
            break;
        }
        seam.sleep(Duration::from_millis(10)).await;
    }
    refusals
}

/// Leads, and writes until it is refused.
#[test]
fn leader() {
    role("leader", async |member: Member, stage: Stage| {
        let services = member.services(stage.seam()).await;
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let _shards = member.lead_shards(&services).await;
        leadership.publish(&member.label).await.unwrap();
        stage.tell("leading", services.presence_stats().unwrap().address);
        stage.tell("refused", write(&leadership, &member.label, stage.seam()).await);
        stage.tell("lost", leadership.lost().await.to_string());
        std::future::pending().await
    });
}

/// Leads without a single descriptor left, until it is relieved.
#[test]
fn starved() {
    role("starved", async |member: Member, stage: Stage| {
        let services = member.services(stage.seam()).await;
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        leadership.publish(&member.label).await.unwrap();
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: hard }).unwrap();
        let mut taken: Vec<File> = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        assert!(taken.len() < 256);
        stage.tell("starved", services.presence_stats().unwrap().address);
        let relieved_by = member.relieved_by.as_deref().unwrap();
        while !relieved_by.exists() {
            stage.seam().sleep(Duration::from_millis(5)).await;
        }
        drop(taken);
        stage.tell("relieved", leadership.is_valid());
        std::future::pending().await
    });
}

/// Leads, and blocks the whole runtime that the application runs on, until it is relieved.
#[test]
fn blocked() {
    role("blocked", async |member: Member, stage: Stage| {
        let services = member.services(stage.seam()).await;
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        leadership.publish(&member.label).await.unwrap();
        stage.tell("blocked", services.presence_stats().unwrap().address);
        let relieved_by = member.relieved_by.as_deref().unwrap();
        while !relieved_by.exists() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        stage.tell("relieved", leadership.is_valid());
        std::future::pending().await
    });
}

/// A served store, and standbys in this process.
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
        Member { label: label.into(), server: self.server.address(), silence, shards: 0, relieved_by: None }
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

    async fn settled(&self, standby: &HaServices) {
        self.until("the standby saw the leader alive", || stats(standby).handshakes == 1).await;
    }

    async fn latch_text(&self) -> String {
        let latch = Key::new("flink/default/leader/latch").unwrap();
        let entry = self.server.store().connect().read(&latch).await.unwrap().unwrap();
        String::from_utf8(entry.value.to_vec()).unwrap()
    }
}

fn stats(services: &HaServices) -> PresenceStats {
    services.presence_stats().unwrap()
}

fn campaign(services: &HaServices) -> impl Future<Output = Leadership> + use<> {
    let election = services.dispatcher_leader_election().unwrap();
    async move { election.campaign().await.unwrap() }
}

/// Campaigns in the background.
fn contend(services: &HaServices) -> tokio::task::JoinHandle<Leadership> {
    #[expect(clippy::disallowed_methods, reason = "the handle brings the leadership back to the test")]
    tokio::spawn(campaign(services))
}

#[test]
fn a_killed_leader_is_replaced_on_evidence_and_not_by_silence() {
    block_on(async {
        // Fails if nobody looks, or if the attempt does not end the dead leader's term.
        let w = World::new();
        let mut leader = Process::spawn(w.seam.clone(), "leader", &w.member("killed", LONG));
        leader.told("leading").await;
        let (one, other) =
            (w.member("one", LONG).services(&w.seam).await, w.member("other", LONG).services(&w.seam).await);
        let (mut first, mut second) = (contend(&one), contend(&other));
        w.settled(&one).await;
        w.settled(&other).await;

        let killed = leader.kill();
        let (winner, leadership, loser, waiting) = w
            .in_time("one of the standbys leads", async {
                tokio::select! {
                    biased;
                    leadership = &mut first => (&one, leadership.unwrap(), &other, second),
                    leadership = &mut second => (&other, leadership.unwrap(), &one, first),
                }
            })
            .await;
        leadership.publish("successor").await.unwrap();
        println!("from kill to the acknowledged publication: {:.1?}", w.seam.now().since(killed));
        leader.exited().await;
        // The dead one's session lives on in the store: silence had no part in it.
        assert!(w.server.store().sessions().iter().any(|session| session.label == "killed"));
        let found = stats(winner);
        assert_eq!((found.evidence, found.takeovers, found.wrong_suspicions), (1, 1, 0));
        let latch = w.latch_text().await;
        assert!(latch.contains("\"took_over_from\":\"") && latch.contains("\"presence\":{"), "{latch}");

        // Who came too late watches the new leader, and nobody takes anybody for falsely accused.
        w.until("the other one saw the new leader alive", || stats(loser).handshakes == 2).await;
        let late = stats(loser);
        assert_eq!((late.takeovers, late.wrong_suspicions, late.disarmed), (0, 0, 0));
        leadership.resign().await.unwrap();
        let next = w.in_time("the other one leads after the resignation", waiting).await;
        drop(next);
    });
}

#[test]
fn all_latches_of_a_killed_process_are_taken_over_by_one_look_at_it() {
    block_on(async {
        // Fails if each latch has a connection of its own: a thousand shards would be a thousand sockets.
        let w = World::new();
        let member = Member { shards: 20, ..w.member("killed", LONG) };
        let mut leader = Process::spawn(w.seam.clone(), "leader", &member);
        leader.told("leading").await;
        let standby = w.member("standby", LONG).services(&w.seam).await;
        let shards: Vec<_> = (0..20)
            .map(|shard| standby.leader_election_on(&shard_name(shard), ComponentId::dispatcher()).unwrap())
            .collect();
        let campaigns = shards.iter().map(|election| election.campaign());
        let campaigns = futures_util::future::join_all(campaigns);
        let led = async {
            let (led, ()) = futures_util::future::join(campaigns, async {
                // One that comes too late to see the leader alive has to wait for silence. The leader follows 21
                // latches, and the standby waits at 20 and follows them.
                w.until("all of them wait", || w.server.store().waiting() >= 21 + 40).await;
                w.settled(&standby).await;
                leader.kill();
            })
            .await;
            led
        };
        let led = w.in_time("the standby leads on all latches", led).await;
        assert!(led.iter().all(Result::is_ok));
        let found = stats(&standby);
        assert_eq!((found.handshakes, found.evidence, found.takeovers), (1, 1, 20));
    });
}

#[test]
fn a_stopped_leader_is_not_robbed_before_its_deadline_and_steps_down_when_it_goes_on() {
    block_on(async {
        // Fails if a process that merely does not answer is taken for dead, or writes after it was deposed.
        let w = World::new();
        let mut leader = Process::spawn(w.seam.clone(), "leader", &w.member("stopped", SHORT));
        leader.told("leading").await;
        let standby = w.member("standby", SHORT).services(&w.seam).await;
        let waiting = contend(&standby);
        w.settled(&standby).await;

        let stopped = leader.stop().await;
        let leadership = w.in_time("the standby leads by silence", waiting).await.unwrap();
        // Its last renewal was sent at most a third of the silence before, give or take the jitter.
        println!("from the stop to the next leader: {:.1?}", w.seam.now().since(stopped));
        let found = stats(&standby);
        assert_eq!((found.evidence, found.takeovers), (0, 0));
        let before = w.server.store().connect().read(&chrooted(&note_key())).await.unwrap();

        leader.cont();
        let refused = leader.told("refused").await.value;
        assert!(refused.as_array().unwrap().iter().all(|kind| kind == "Fenced" || kind == "NotLeader"), "{refused}");
        leader.told("lost").await;
        let after = w.server.store().connect().read(&chrooted(&note_key())).await.unwrap();
        assert_eq!(before, after, "a deposed leader wrote");
        assert!(leadership.is_valid());
        // It was not taken for dead, and says nothing else.
        assert!(!w.latch_text().await.contains("took_over_from"));
    });
}

fn chrooted(key: &Key) -> Key {
    Key::new(format!("flink/default/{key}")).unwrap()
}

#[test]
fn a_leader_without_descriptors_is_silent_and_not_dead() {
    block_on(async {
        // Fails if a failed accept ends the server, or a socket that greets nobody counts as a death.
        let (w, folder) = (World::new(), TempDir::new().unwrap());
        let relief = folder.path().join("relief");
        let member = Member { relieved_by: Some(relief.clone()), ..w.member("starved", LONG) };
        let mut leader = Process::spawn(w.seam.clone(), "starved", &member);
        let address: SocketAddr = serde_json::from_value(leader.told("starved").await.value).unwrap();
        let standby = w.member("standby", LONG).services(&w.seam).await;
        let waiting = contend(&standby);
        let visitor = w.in_time("the kernel lets a visitor in", tokio::net::TcpStream::connect(address)).await.unwrap();
        let greeted = w.seam.timeout(Duration::from_millis(300), visitor.readable()).await;
        assert!(greeted.is_none(), "a process without descriptors cannot accept");
        assert_eq!((stats(&standby).handshakes, stats(&standby).evidence), (0, 0));

        File::create(&relief).unwrap();
        assert_eq!(leader.told("relieved").await.value, true);
        w.settled(&standby).await;
        leader.kill();
        drop(w.in_time("the standby leads", waiting).await.unwrap());
        assert_eq!((stats(&standby).evidence, stats(&standby).takeovers), (1, 1));
    });
}

#[test]
fn a_leader_whose_runtime_is_blocked_is_seen_alive_and_keeps_its_leadership() {
    block_on(async {
        // Fails if whoever connects is greeted, or the session renewed, by the application's own runtime.
        let (w, folder) = (World::new(), TempDir::new().unwrap());
        let relief = folder.path().join("relief");
        // Not too short for a busy machine: the renewals must get through.
        let silence = Duration::from_secs(3);
        let member = Member { relieved_by: Some(relief.clone()), ..w.member("blocked", silence) };
        let leader = Process::spawn(w.seam.clone(), "blocked", &member);
        let address: SocketAddr = serde_json::from_value(leader.told("blocked").await.value).unwrap();
        let standby = w.member("standby", silence).services(&w.seam).await;
        let waiting = contend(&standby);
        w.settled(&standby).await;
        // Strangers that come one after the other, and one by one make the standby come anew, are no reason either.
        for _ in 0..300 {
            let stranger = w.in_time("a stranger is let in", tokio::net::TcpStream::connect(address)).await.unwrap();
            w.in_time("and greeted", stranger.readable()).await.unwrap();
        }
        w.seam.sleep(silence + silence / 2).await;
        assert!(!waiting.is_finished(), "a living leader was replaced");
        File::create(&relief).unwrap();
        assert_eq!(leader.told("relieved").await.value, true);
        assert_eq!((stats(&standby).evidence, stats(&standby).takeovers), (0, 0));
        waiting.abort();
    });
}

#[test]
fn a_leader_that_resigns_closes_or_is_dropped_is_followed_without_evidence() {
    block_on(async {
        // Fails if the socket closes before the latch is free.
        let w = World::new();
        let mut leading = w.member("first", LONG).services(&w.seam).await;
        let mut leadership = w.in_time("nobody else is there", campaign(&leading)).await;
        for round in 0..10 {
            let standby = w.member("next", LONG).services(&w.seam).await;
            let waiting = contend(&standby);
            w.settled(&standby).await;
            match round % 3 {
                0 => leadership.resign().await.unwrap(),
                1 => leading.close().await.unwrap(),
                // Everything at once; what is left to do is done in the background.
                _ => drop((leading, leadership)),
            }
            leadership = w.in_time("the next one leads", waiting).await.unwrap();
            assert_eq!(stats(&standby).takeovers, 0, "round {round}");
            leading = standby;
        }
        drop(leadership);
        assert!(stats(&leading).address.is_some());
        leading.close().await.unwrap();
        assert_eq!(stats(&leading).address, None);
    });
}

#[test]
fn evidence_that_was_acted_on_is_remembered_also_if_the_latch_is_given_up_at_once() {
    block_on(async {
        // Fails if a winner that may not lead after all forgets whom it evicted: it would never find out that it
        // was wrong, and evict the same living leader again and again.
        let (w, plan) = (World::new(), Plan::none());
        let mut leader = Process::spawn(w.seam.clone(), "leader", &w.member("killed", LONG));
        leader.told("leading").await;
        let standby = w.member("standby", LONG);
        let standby = standby.services_through(plan.clone(), PresenceOptions::Automatic, &w.seam).await;
        let waiting = contend(&standby);
        w.settled(&standby).await;
        // Asked before it took part, and again under its own term.
        plan.next_below(Call::Read, "flink/default/formats", Fault::FailBefore);
        leader.kill();
        drop(w.in_time("the standby leads in the end", waiting).await.unwrap());
        assert_eq!((stats(&standby).evidence, stats(&standby).takeovers), (1, 1));
    });
}

#[test]
fn services_that_were_closed_listen_no_more() {
    block_on(async {
        // Fails if an election that is over keeps the socket: a stranger is greeted by a process that takes no part.
        let w = World::new();
        let services = w.member("closed", LONG).services(&w.seam).await;
        let election = services.dispatcher_leader_election().unwrap();
        let leadership = w.in_time("nobody else is there", election.campaign()).await.unwrap();
        let address = stats(&services).address.unwrap();
        drop(tokio::net::TcpStream::connect(address).await.unwrap());
        services.close().await.unwrap();
        let refused = async {
            while tokio::net::TcpStream::connect(address).await.is_ok() {
                w.seam.sleep(Duration::from_millis(1)).await;
            }
        };
        // With every handle still there.
        w.in_time("nobody listens any more", refused).await;
        drop((leadership, election, services));
    });
}

#[test]
fn without_presence_on_either_side_nobody_is_taken_for_dead() {
    block_on(async {
        // Fails if the switch does not switch it off, or a record without presence confuses a standby.
        for (leads, waits) in
            [(PresenceOptions::Off, PresenceOptions::Automatic), (PresenceOptions::Automatic, PresenceOptions::Off)]
        {
            let w = World::new();
            let leader = w.member("leader", SHORT).services_with(leads, &w.seam).await;
            let leadership = w.in_time("nobody else is there", campaign(&leader)).await;
            let standby = w.member("standby", SHORT).services_with(waits, &w.seam).await;
            let waiting = contend(&standby);
            w.until("the standby waits", || w.server.store().waiting() >= 3).await;
            leadership.resign().await.unwrap();
            drop(w.in_time("the standby leads", waiting).await.unwrap());
            let seen = [&leader, &standby].map(|services| services.presence_stats());
            assert_eq!(seen.iter().flatten().count(), 1);
            assert!(seen.iter().flatten().all(|stats| (stats.handshakes, stats.evidence) == (0, 0)), "{seen:?}");
        }
    });
}
