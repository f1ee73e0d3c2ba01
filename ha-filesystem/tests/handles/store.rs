//! A directory, and processes with a handle on it each.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::Error;
use ha_core::backend::Backend;
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_filesystem::{FilesystemDevice, FilesystemSettings};
use ha_testkit::hosted::{Hooked, Hosted, host};
use ha_testkit::process::role_on_one_thread;
use ha_testkit::{BackendFactory, Missing, Store};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::fixture::folder;

/// How often a folder that others still write into is removed.
const REMOVALS_MAX: usize = 1000;

/// What a host opens.
#[derive(Clone, Serialize, Deserialize)]
struct Place {
    folder: PathBuf,
    /// After how many entries there is a snapshot; `None` as applications have it.
    point_entries: Option<u64>,
}

impl Place {
    async fn open(&self, seam: &Seam) -> Result<Arc<JournalBackend>, Error> {
        let device = FilesystemDevice::open(FilesystemSettings::at(&self.folder), seam.clone()).await?;
        let options = match self.point_entries {
            Some(entries) => JournalOptions::default().with_points(entries, 1 << 20),
            None => JournalOptions::default(),
        };
        JournalBackend::open(Arc::new(device), seam.clone(), options).await
    }
}

/// A process with one handle; no test of its own.
#[test]
fn handle() {
    role_on_one_thread("store::handle", async |place: Place, stage| {
        let seam = stage.seam().clone();
        let folder = place.folder.clone();
        stage.when_orphaned(move || remove(&folder));
        host(stage, async { Ok(place.open(&seam).await? as Arc<dyn Hooked>) }).await;
    });
}

/// Removes the folder of a case whose process was killed, and could not.
fn remove(folder: &Path) {
    // Race: all hosts of the case do this at once, while their handles may still make files.
    // Closed by: each tries until it is gone, and ends then: nobody is left who makes anything.
    // Cost if missed: a folder stays behind, in memory.
    for _ in 0..REMOVALS_MAX {
        let _ = std::fs::remove_dir_all(folder);
        if !folder.exists() {
            return;
        }
    }
}

/// Directories for journals whose handles are processes.
pub(crate) struct ProcessesFactory {
    point_entries: Option<u64>,
}

impl ProcessesFactory {
    /// As applications have them.
    pub(crate) fn new() -> Self {
        Self { point_entries: None }
    }

    /// With a snapshot, and a sweep, every few entries.
    pub(crate) fn restless() -> Self {
        Self { point_entries: Some(8) }
    }
}

#[async_trait]
impl BackendFactory for ProcessesFactory {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        Ok(Arc::new(self.store()?))
    }
}

impl ProcessesFactory {
    pub(crate) fn store(&self) -> Result<ProcessesStore, Missing> {
        let folder = folder().map_err(|error| Missing(format!("a folder that can be written to: {error}")))?;
        let place = Place { folder: folder.path().to_owned(), point_entries: self.point_entries };
        Ok(ProcessesStore { _folder: folder, place, seam: Seam::system(), handles: Mutex::default() })
    }
}

pub(crate) struct ProcessesStore {
    // Dropped after the handles, which are gone when the case is torn down.
    _folder: TempDir,
    place: Place,
    seam: Seam,
    /// Held weakly: a handle that is dropped is killed.
    handles: Mutex<Vec<Weak<Hosted>>>,
}

impl ProcessesStore {
    pub(crate) fn folder(&self) -> PathBuf {
        self.place.folder.clone()
    }

    /// The processes that have its handles.
    pub(crate) fn hosts(&self) -> Vec<u32> {
        self.handles().iter().filter_map(|handle| handle.process_id()).collect()
    }

    fn connected(&self) -> MutexGuard<'_, Vec<Weak<Hosted>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> Vec<Arc<Hosted>> {
        let mut connected = self.connected();
        connected.retain(|handle| handle.strong_count() > 0);
        connected.iter().filter_map(Weak::upgrade).collect()
    }

    async fn set_frozen(&self, session: &str, frozen: bool) {
        let mut found = false;
        // The handle that it belongs to knows it; to the others it is a stranger.
        for handle in self.handles() {
            found |= handle.freeze(session, frozen).await.is_ok();
        }
        assert!(found || !frozen, "no handle has a session {session}");
    }

    /// What operators' tools run in: this process, which is none of those that the cases know.
    async fn operator(&self) -> Arc<JournalBackend> {
        self.place.open(&self.seam).await.expect("the folder can be opened")
    }
}

#[async_trait]
impl Store for ProcessesStore {
    fn seam(&self) -> Seam {
        self.seam.clone()
    }

    fn silence(&self) -> Duration {
        // Each handle has a process of its own, and a case may have a dozen.
        Duration::from_secs(3)
    }

    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        let handle = Arc::new(Hosted::spawn(self.seam.clone(), "store::handle", &self.place).await?);
        self.connected().push(Arc::downgrade(&handle));
        Ok(handle)
    }

    async fn expire(&self, session: &str) {
        // One that is over already is left alone.
        let _ = self.operator().await.expire(session).await;
    }

    async fn revoke(&self, session: &str) {
        let _ = self.operator().await.revoke(session).await;
    }

    async fn freeze(&self, session: &str) {
        self.set_frozen(session, true).await;
    }

    async fn heal(&self, session: &str) {
        self.set_frozen(session, false).await;
    }

    // All processes die; what they had acknowledged is in the directory.
    async fn restart(&self) {
        self.handles().iter().for_each(|handle| handle.kill());
    }

    fn waiting(&self) -> usize {
        self.handles().iter().map(|handle| handle.waiting()).sum()
    }

    async fn tear_down(&self) {
        self.handles().iter().for_each(|handle| handle.kill());
    }
}
