//! What a deposed leader can still change that is a process of its own, was stopped by SIGSTOP, and goes on
//! when its successor has begun.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Backend, Entry, Prefix, SessionOptions};
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, PresenceOptions, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::async_trait;
use ha_testkit::process::{Process, role};
use ha_testkit::remote::{Remote, Server};
use ha_testkit::run::block_on;
use ha_testkit::trials::{self, ASK_EVERY, Late, Member as _, Work, assert_all_was_refused, files_below, work_late};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const SILENCE: Duration = Duration::from_millis(2500);
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
    /// Where the states lie.
    place: PathBuf,
}

#[async_trait]
impl trials::Member for Member {
    fn label(&self) -> &str {
        &self.label
    }

    async fn services(&self, seam: &Seam) -> Result<HaServices, Error> {
        let backend = Remote::connect(self.server, &self.label, seam.clone()).await?;
        let states = url::Url::from_directory_path(self.place.join("states")).unwrap();
        let storage = StateStorage::open(states.as_str(), seam.clone())?;
        let session = SessionOptions { silence: SILENCE, label: self.label.clone() };
        // Silence is to decide here.
        let options = ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() };
        HaServices::new(Arc::new(backend), storage, &options, seam.clone())
    }
}

struct World {
    seam: Seam,
    server: Server,
    place: TempDir,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        let server = Server::start(Embedded::new(seam.clone()), seam.clone()).unwrap();
        Self { seam, server, place: TempDir::new().unwrap() }
    }

    fn member(&self, label: &str) -> Member {
        Member { label: label.into(), server: self.server.address(), place: self.place.path().into() }
    }

    async fn until<T>(&self, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                self.seam.sleep(ASK_EVERY).await;
            }
        };
        let found = self.seam.timeout(PATIENCE, found).await;
        found.unwrap_or_else(|| panic!("waited in vain: {what}"))
    }

    async fn entries(&self) -> Vec<Entry> {
        self.server.store().connect().list(&Prefix::root()).await.unwrap().entries
    }

    /// Every file of the state storage, and its bytes.
    fn states(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files_below(&self.place.path().join("states"))
    }
}

#[test]
fn late_worker() {
    role("late_worker", work_late::<Member>);
}

///
#[test]
fn a_stopped_leader_changes_nothing_of_any_kind_once_its_successor_has_begun() {
    block_on(async {
        // Fails if any kind of write has a way around the deadline and the fence.
        let w = World::new();
        let late = Late { member: w.member("stopped"), go: w.place.path().join("go") };
        let mut leader = Process::spawn(w.seam.clone(), "late_worker", &late);
        leader.told("working").await;
        leader.stop().await;
        let standby = w.member("standby").services(&w.seam).await.unwrap();
        let begun = w.seam.timeout(PATIENCE, Work::begun(&standby, "standby")).await;
        let successor = begun.expect("a successor leads");
        std::fs::write(w.place.path().join("go"), "").unwrap();
        let (entries, states) = (w.entries().await, w.states());

        leader.cont();
        leader.told("done").await;
        assert_all_was_refused(&leader);
        assert_eq!(w.entries().await, entries, "a deposed leader has changed what its successor wrote");
        // What it wrote in vain is deleted again; what its successor has is not.
        w.until("only the successor's states are left", || (w.states() == states).then_some(())).await;
        assert!(successor.leadership.is_valid(), "and its successor was not disturbed");
    });
}
