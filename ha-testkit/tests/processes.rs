//! Real processes over a store that is served to them: what a leader's death by SIGKILL and its pause by
//! SIGSTOP cost, and what they do not.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use ha_core::backend::{Backend, Entry, Prefix, SessionOptions};
use ha_core::checkpoint::{
    CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::election::Leadership;
use ha_core::seam::{Moment, Seam};
use ha_core::state::StateStorage;
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, PresenceOptions, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::remote::{Remote, Server};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

const SILENCE: Duration = Duration::from_millis(2500);
/// More than any of these tests writes: nothing is subsumed, so that everything acknowledged must be there.
const RETAINED: usize = 1_000_000;

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
    storage: String,
}

impl Member {
    async fn services(&self, seam: &Seam) -> HaServices {
        let backend = Remote::connect(self.server, &self.label, seam.clone()).await.unwrap();
        let storage = StateStorage::open(&self.storage, seam.clone()).unwrap();
        let session = SessionOptions { silence: SILENCE, label: self.label.clone() };
        // Here silence is to decide; what evidence does is shown elsewhere.
        let options = ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() };
        HaServices::new(Arc::new(backend), storage, &options, seam.clone()).unwrap()
    }
}

async fn checkpoints(leadership: &Leadership) -> Arc<dyn CompletedCheckpointStore> {
    let factory = leadership.checkpoint_recovery_factory();
    let (job, discarder) = (JobId::new("job").unwrap(), Arc::new(DiscardStateOnly));
    let recovered =
        factory.create_recovered_completed_checkpoint_store(&job, RETAINED, RecoveryClaimMode::default(), discarder);
    recovered.await.unwrap()
}

fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, Bytes::from(format!("state {id}")))
}

/// Leads and writes one checkpoint after the other, and tells of each that was acknowledged. When it
/// is refused, it tells how, tries a few more times, and tells why its leadership is over.
async fn lead(member: Member, stage: Stage) {
    let services = member.services(stage.seam()).await;
    let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let store = checkpoints(&leadership).await;
    leadership.publish(&member.label).await.unwrap();
    stage.tell("leading", leadership.token().to_string());
    let first = store.get_latest_checkpoint_id().await.unwrap() + 1;
    let mut refused = 0;
    for id in first.. {
        match store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await {
            Ok(_) => {
                let until = leadership.valid_until().moment().since_origin();
                stage.tell(
                    "acknowledged",
                    json!({ "id": id, "valid_until_ns": u64::try_from(until.as_nanos()).unwrap() }),
                );
            }
            Err(error) => {
                refused += 1;
                stage.tell("refused", json!({ "id": id, "kind": format!("{:?}", error.kind()) }));
                if refused == 5 {
                    break;
                }
            }
        }
    }
    stage.tell("lost", format!("{:?}", leadership.lost().await));
    std::future::pending().await
}

#[test]
fn leader() {
    role("leader", lead);
}

#[derive(Serialize, Deserialize)]
struct Nothing {}

/// Starts a process of its own, tells its number, stops it, and waits to be killed.
#[test]
fn parent() {
    role("parent", async |_: Nothing, stage| {
        let grandchild = Process::spawn(stage.seam().clone(), "sleeper", &Nothing {});
        grandchild.told("there").await;
        let mut stopped = Process::spawn(stage.seam().clone(), "sleeper", &Nothing {});
        stopped.told("there").await;
        stopped.stop().await;
        stage.tell("children", [grandchild.id(), stopped.id()]);
        std::future::pending().await
    });
}

#[test]
fn sleeper() {
    role("sleeper", async |_: Nothing, stage: Stage| {
        stage.tell("there", ());
        std::future::pending().await
    });
}

#[test]
fn who_fails() {
    role("who_fails", async |_: Nothing, stage: Stage| {
        stage.tell("there", ());
        panic!("this is why");
    });
}

/// A served store, a place for states, and a standby in this process.
struct World {
    seam: Seam,
    server: Server,
    storage: TempDir,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        let server = Server::start(Embedded::new(seam.clone()), seam.clone()).unwrap();
        Self { seam, server, storage: TempDir::new().unwrap() }
    }

    fn member(&self, label: &str) -> Member {
        let storage = url::Url::from_directory_path(self.storage.path()).unwrap().to_string();
        Member { label: label.into(), server: self.server.address(), storage }
    }

    async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let output = self.seam.timeout(Duration::from_secs(60), future).await;
        output.unwrap_or_else(|| panic!("waited in vain: {what}"))
    }

    async fn leadership(&self, services: &HaServices) -> Leadership {
        let election = services.dispatcher_leader_election().unwrap();
        self.in_time("the standby leads", election.campaign()).await.unwrap()
    }

    /// All that is stored in the backend.
    async fn everything(&self) -> Vec<Entry> {
        self.server.store().connect().list(&Prefix::root()).await.unwrap().entries
    }
}

fn acknowledged(events: &[Event]) -> BTreeSet<u64> {
    let ids = events.iter().filter(|event| event.name == "acknowledged");
    ids.map(|event| event.value["id"].as_u64().unwrap()).collect()
}

async fn until_acknowledged(leader: &Process, count: usize) {
    leader.until("checkpoints are acknowledged", |events| (acknowledged(events).len() >= count).then_some(())).await;
}

async fn found(store: &Arc<dyn CompletedCheckpointStore>) -> Result<BTreeSet<u64>, Error> {
    let all = store.get_all_checkpoints().await?;
    for one in &all {
        assert_eq!(one.state, Bytes::from(format!("state {}", one.id)), "the pointer leads to another state");
    }
    Ok(all.iter().map(|one| one.id).collect())
}

#[test]
fn a_standby_follows_a_killed_leader_after_its_silence_and_finds_all_that_was_acknowledged() {
    ha_testkit::run::block_on(async {
        // Fails if an acknowledgement comes before the write, or a closed connection counts as evidence.
        let w = World::new();
        let mut leader = Process::spawn(w.seam.clone(), "leader", &w.member("killed"));
        leader.told("leading").await;
        let standby = w.member("standby").services(&w.seam).await;
        until_acknowledged(&leader, 20).await;

        leader.kill();
        assert!(!leader.exited().await.success());
        let deadlines = leader.events().into_iter().filter_map(|event| event.value["valid_until_ns"].as_u64()).max();
        let deadline = Moment::after_origin(Duration::from_nanos(deadlines.unwrap()));
        let leadership = w.leadership(&standby).await;
        assert!(w.seam.now() >= deadline, "the successor came before the deadline that the leader relied on");

        let store = checkpoints(&leadership).await;
        let (found, acknowledged) = (found(&store).await.unwrap(), acknowledged(&leader.events()));
        assert!(acknowledged.is_subset(&found), "lost: {:?}", acknowledged.difference(&found));
        assert!(found.len() <= acknowledged.len() + 1, "at most the last one was not acknowledged any more");
        let next = found.last().unwrap() + 1;
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(next)).await.unwrap();
        standby.close().await.unwrap();
    });
}

#[test]
fn a_leader_that_was_stopped_past_its_silence_writes_nothing_and_steps_down() {
    ha_testkit::run::block_on(async {
        // Fails if any write of a leader that slept through its deadline is applied.
        let w = World::new();
        let mut leader = Process::spawn(w.seam.clone(), "leader", &w.member("stopped"));
        let old: u64 = leader.told("leading").await.value.as_str().unwrap().parse().unwrap();
        let standby = w.member("standby").services(&w.seam).await;
        until_acknowledged(&leader, 20).await;

        leader.stop().await;
        let leadership = w.leadership(&standby).await;
        assert!(leadership.token().to_string().parse::<u64>().unwrap() > old, "the token must grow");
        let store = checkpoints(&leadership).await;
        leadership.publish("successor").await.unwrap();
        let latest = store.get_latest_checkpoint_id().await.unwrap();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(latest + 1_000)).await.unwrap();
        let before = w.everything().await;
        let acknowledged_before = acknowledged(&leader.events());

        leader.cont();
        let lost = leader.told("lost").await;
        let events = leader.events();
        let kinds: Vec<&str> = events
            .iter()
            .filter(|event| event.name == "refused")
            .map(|event| event.value["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds.len(), 5, "every write is answered");
        let deposed = [ErrorKind::NotLeader, ErrorKind::Fenced].map(|kind| format!("{kind:?}"));
        // A write that was on its way when it was stopped may have been applied before: whether it was is what
        // the process finds out, and what it cannot find out it reports as unknown.
        assert!(kinds[1..].iter().all(|kind| deposed.iter().any(|one| one == kind)), "{kinds:?}");
        assert!(kinds[0] == "Indeterminate" || deposed.iter().any(|one| one == kinds[0]), "{kinds:?}");
        assert_ne!(lost.value, "", "it says why it stepped down");
        let late: BTreeSet<u64> = acknowledged(&events).difference(&acknowledged_before).copied().collect();
        let found = found(&store).await.unwrap();
        assert!(late.is_subset(&found), "acknowledged after the pause, and not there: {late:?}");
        assert_eq!(w.everything().await, before, "a deposed leader has changed what its successor wrote");
        standby.close().await.unwrap();
    });
}

#[cfg(target_os = "linux")]
fn is_alive(process: u64) -> bool {
    // A process that has ended and was not reaped by its new parent yet does nothing any more.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
#[cfg(target_os = "linux")]
fn no_process_outlives_its_parent_not_even_a_stopped_one() {
    ha_testkit::run::block_on(async {
        // Fails if a test run that is killed leaves processes behind.
        let w = World::new();
        let mut parent = Process::spawn(w.seam.clone(), "parent", &Nothing {});
        let children: Vec<u64> = serde_json::from_value(parent.told("children").await.value).unwrap();
        assert!(children.iter().all(|child| is_alive(*child)));
        parent.kill();
        parent.exited().await;
        w.in_time("the children have ended", async {
            while children.iter().any(|child| is_alive(*child)) {
                w.seam.sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_is_gone_when_its_value_is_dropped_by_a_panic_too() {
    ha_testkit::run::block_on(async {
        let w = World::new();
        let process = Process::spawn(w.seam.clone(), "sleeper", &Nothing {});
        process.told("there").await;
        let id = process.id();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _process = process;
            panic!("the test fails");
        }));
        assert!(caught.is_err());
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "it was not reaped");
    });
}

#[test]
fn the_end_of_a_process_that_is_waited_for_fails_the_wait_with_what_it_wrote() {
    ha_testkit::run::block_on(async {
        // Fails if a test waits for a dead process until its patience ends, or does not show why it died.
        let mut process = Process::spawn(Seam::system(), "who_fails", &Nothing {});
        assert_eq!(process.exited().await.code(), Some(101));
        let caught = std::panic::AssertUnwindSafe(process.told("never")).catch_unwind().await;
        let text = *caught.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("ended before: never") && text.contains("this is why"), "{text}");
        let late = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| process.kill()));
        assert!(late.is_err(), "a signal after the end would go to a stranger");
    });
}
