//! What every test has: a directory for a journal, and one for states.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ha_core::checkpoint::CompletedCheckpointStore;
use ha_core::election::Leadership;
use ha_core::seam::{Moment, Seam};
use ha_core::{HaServices, HighAvailabilityServices};
use ha_testkit::process::Process;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::fixture;
use crate::member::{Member, acknowledged, checkpoints};

/// How long a session may be silent where silence is to decide.
pub(crate) const SILENCE: Duration = Duration::from_millis(2500);
/// And where it is not: no test waits for that.
pub(crate) const ENDLESS: Duration = Duration::from_secs(3600);
/// How long anything is waited for that must come.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Many processes are much for a small machine: those tests take turns.
static HEAVY: Mutex<()> = Mutex::const_new(());

/// Lets a test that starts many processes run alone among its like.
pub(crate) async fn heavy() -> MutexGuard<'static, ()> {
    HEAVY.lock().await
}

pub(crate) struct World {
    pub(crate) seam: Seam,
    folder: TempDir,
}

impl World {
    /// On the disk that the project is built on.
    pub(crate) fn on_disk() -> Self {
        let named = tempfile::Builder::new().prefix("ha-filesystem-").to_owned();
        Self::at(named.tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    /// In memory, where the number of fsyncs matters.
    pub(crate) fn in_memory() -> Self {
        Self::at(fixture::folder().unwrap())
    }

    fn at(folder: TempDir) -> Self {
        let world = Self { seam: Seam::system(), folder };
        std::fs::create_dir(world.path("states")).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a process waits for.
    pub(crate) fn give(&self, name: &str) {
        std::fs::write(self.path(name), []).unwrap();
    }

    pub(crate) fn member(&self, label: &str) -> Member {
        Member {
            label: label.into(),
            journal: self.path("journal"),
            states: self.path("states"),
            root: "ha".into(),
            silence: SILENCE,
            ignore_locks: false,
            campaigns_with: None,
        }
    }

    pub(crate) async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        in_time(&self.seam, what, future).await
    }

    pub(crate) async fn until<T>(&self, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                self.seam.sleep(LOOK_EVERY).await;
            }
        };
        self.in_time(what, found).await
    }

    pub(crate) async fn leadership(&self, services: &HaServices) -> Leadership {
        let election = services.dispatcher_leader_election().unwrap();
        self.in_time("it leads", election.campaign()).await.unwrap()
    }

    /// Waits until an attempt of that session on the latch stands in the journal: as it does not lead, it has lost.
    pub(crate) async fn has_tried(&self, label: &str) {
        let mark = format!(r#""label":"{label}""#);
        let entries = self.path("journal/.ha-journal/entries");
        self.until("an attempt of a standby", || {
            files(&entries).values().any(|entry| entry.contains(&mark)).then_some(())
        })
        .await;
    }

    /// Kills the processes and looks, as their successor, whether all that was acknowledged is there.
    pub(crate) async fn assert_nothing_is_lost(&self, processes: Vec<Process>) {
        self.assert_nothing_is_lost_in(&self.member("successor"), processes).await;
    }

    pub(crate) async fn assert_nothing_is_lost_in(&self, successor: &Member, mut processes: Vec<Process>) {
        let mut expected = BTreeSet::new();
        for process in &mut processes {
            if process.status().is_none() {
                process.kill();
                process.exited().await;
            }
            expected.extend(acknowledged(&process.events()));
        }
        let services = successor.services(&self.seam).await;
        let leadership = self.leadership(&services).await;
        let found = found(&checkpoints(&leadership).await.unwrap()).await;
        let lost: Vec<_> = expected.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", expected.len());
        services.close().await.unwrap();
    }
}

pub(crate) async fn in_time<T>(seam: &Seam, what: &str, future: impl Future<Output = T>) -> T {
    let output = seam.timeout(PATIENCE, future).await;
    output.unwrap_or_else(|| panic!("waited in vain: {what}"))
}

/// The files of a folder, as text. What vanishes meanwhile is left out.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).ok()?;
        Some((path, String::from_utf8_lossy(&bytes).into_owned()))
    };
    names.filter_map(read).collect()
}

pub(crate) async fn found(store: &Arc<dyn CompletedCheckpointStore>) -> BTreeSet<u64> {
    let all = store.get_all_checkpoints().await.unwrap();
    for one in &all {
        assert_eq!(one.state, format!("state {}", one.id), "the pointer leads to another state");
    }
    all.iter().map(|one| one.id).collect()
}

/// Shows how long something took. No test depends on it.
pub(crate) fn measured(what: &str, from: Moment, to: Moment) {
    ha_testkit::run::tell(format_args!("MEASURED {what}: {} ms", to.since(from).as_millis()));
}
