use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::journal::{DeviceProfile, Journal, Published, Read, SnapshotName, Witness};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

use crate::bulk::Bulk;
use crate::disk::Disk;
use crate::follow::Follow;
use crate::front::{ENTRY_BYTES_MAX, Front};
use crate::mounts::Mount;
use crate::open;
use crate::settings::FilesystemSettings;
use crate::shared::Shared;
use crate::witness::LockWitness;
use crate::worker::{Lost, Worker, once};

/// A journal in a directory.
///
/// What blocks is done on threads of its own: one for entries, one for snapshots and sweeping, one that hears of new
/// names. At rest they sleep. They end with the last use of this value.
///
/// ```
/// # use bytes::Bytes;
/// # use ha_core::journal::{Journal, Published};
/// # use ha_core::seam::Seam;
/// # use ha_filesystem::{FilesystemDevice, FilesystemSettings};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let directory = tempfile::tempdir().unwrap();
/// let settings = FilesystemSettings::at(directory.path());
/// let (seam, entry) = (Seam::system(), Bytes::from_static(b"an entry"));
/// let one = FilesystemDevice::open(settings.clone(), seam.clone()).await?;
/// let other = FilesystemDevice::open(settings, seam).await?;
/// assert_eq!(one.publish(1, 17, &entry).await?, Published::Won { floor: 0 });
/// assert_eq!(other.publish(1, 18, &entry).await?, Published::Taken);
/// assert_eq!(other.read(1).await?.entries, [entry]);
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
pub struct FilesystemDevice {
    shared: Arc<Shared>,
    front: Arc<Worker<Front>>,
    bulk: Worker<Bulk>,
    follow: Follow,
    witness: Option<Arc<dyn Witness>>,
}

impl FilesystemDevice {
    /// Opens the journal in the directory of the settings. What is missing is made, and what the protocol needs is
    /// tried there.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: the settings, or a file is in the directory's place.
    /// * [`ErrorKind::Unsupported`]: the file system cannot carry a journal; the text says what is missing.
    /// * [`ErrorKind::Denied`]: a permission is missing.
    /// * [`ErrorKind::Corrupt`], [`ErrorKind::NewerFormat`]: the identity of the journal.
    /// * [`ErrorKind::Unavailable`]: the file system failed, is full or read-only.
    ///
    /// # Cancel safety
    /// After a drop the folders of the journal may have been made.
    pub async fn open(settings: FilesystemSettings, seam: Seam) -> Result<Self, Error> {
        settings.validate()?;
        let directory = settings.directory.clone();
        let (disk, mount) = once("ha-fs-open", move || open::real(&directory)).await?;
        Self::open_on(disk, mount, settings, seam).await
    }

    /// The same on another disk: for tests.
    ///
    /// # Errors
    /// As [`FilesystemDevice::open`].
    ///
    /// # Cancel safety
    /// As [`FilesystemDevice::open`].
    #[doc(hidden)]
    pub async fn open_on(
        disk: Arc<dyn Disk>,
        mount: Mount,
        settings: FilesystemSettings,
        seam: Seam,
    ) -> Result<Self, Error> {
        let shared = Arc::new(once("ha-fs-open", move || open::open(disk, mount, seam)).await?);
        let front = Arc::new(Worker::start("ha-fs", Front::new(Arc::clone(&shared)))?);
        let bulk = Worker::start("ha-fs-bulk", Bulk { shared: Arc::clone(&shared) })?;
        let witness = match settings.ignore_locks {
            true => None,
            false => LockWitness::new(Arc::clone(&shared), Arc::clone(&front)),
        };
        let follow = Follow::new(Arc::clone(&shared), Arc::clone(&front), settings);
        let witness = witness.map(|witness| Arc::new(witness) as Arc<dyn Witness>);
        Ok(Self { shared, front, bulk, follow, witness })
    }

    /// What the directory lies on.
    #[must_use]
    pub fn mount(&self) -> Mount {
        self.shared.mount
    }
}

#[async_trait]
impl Journal for FilesystemDevice {
    fn profile(&self) -> DeviceProfile {
        DeviceProfile::new("filesystem", ENTRY_BYTES_MAX).with_reads(self.shared.mount.reads())
    }

    fn identity(&self) -> u128 {
        self.shared.identity
    }

    async fn publish(&self, number: u64, entry: u128, bytes: &Bytes) -> Result<Published, Error> {
        let bytes = bytes.clone();
        let step = move |front: &mut Front| front.publish(number, entry, &bytes);
        match self.front.run_then(step, Front::tidy).await {
            Ok(answer) => answer,
            Err(Lost::NotBegun(error)) => Err(error),
            Err(Lost::Unknown) => {
                let why = "the thread that did it is gone: open the store anew";
                Err(Error::new(ErrorKind::Indeterminate, "publish an entry").at(number).because(why))
            }
        }
    }

    async fn read(&self, from: u64) -> Result<Read, Error> {
        self.front.run(move |front| front.read(from)).await
    }

    async fn snapshots(&self) -> Result<Vec<SnapshotName>, Error> {
        self.bulk.run(|bulk| bulk.snapshots()).await
    }

    async fn read_snapshot(&self, name: SnapshotName) -> Result<Option<Bytes>, Error> {
        self.bulk.run(move |bulk| bulk.read_snapshot(name)).await
    }

    async fn put_snapshot(&self, name: SnapshotName, bytes: &Bytes) -> Result<(), Error> {
        let bytes = bytes.clone();
        self.bulk.run(move |bulk| bulk.put_snapshot(name, &bytes)).await
    }

    async fn sweep(&self, sessions: &[String]) -> Result<(), Error> {
        let sessions = sessions.to_vec();
        self.bulk.run(move |bulk| bulk.sweep(&sessions)).await
    }

    async fn appended(&self, number: u64, patience: Duration) {
        self.follow.appended(number, patience).await;
    }

    fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.witness.clone()
    }

    async fn close(&self) {
        self.shared.close();
        // What is under way comes to its end. A thread that is gone has nothing under way.
        let _ = self.front.run_then(Front::discard, Front::tidy).await;
        let _ = self.bulk.run_then(|_| (), |_| ()).await;
    }
}

impl fmt::Debug for FilesystemDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.shared.disk.root();
        f.debug_struct("FilesystemDevice").field("directory", &root).field("mount", &self.shared.mount).finish()
    }
}
