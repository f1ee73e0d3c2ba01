use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ha_core::journal::SnapshotName;
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use crate::disk::{Disk, DiskFile, Folder, Stat};
use crate::failure::failed;
use crate::identity::IDENTITY;
use crate::mounts::Mount;
use crate::names;

/// How often a listing is made again because the newest snapshot in it was gone by its end.
const LISTINGS_MAX: usize = 16;
/// How often a name is drawn that nobody has. 128 bits do not collide; a broken generator is told apart by this.
const NAMES_MAX: usize = 4;

/// How a staged file gets its number. Both fail if the name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `link(2)`.
    Link,
    /// `renameat2(2)` with `RENAME_NOREPLACE`, where there are no hard links.
    Rename,
}

/// What all threads of one handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) seam: Seam,
    pub(crate) mount: Mount,
    pub(crate) naming: Naming,
    /// Whether a lock held by one open file keeps another one out, as it was tried here.
    pub(crate) locks: bool,
    pub(crate) identity: u128,
    /// Which file the identity is. It is kept open below, so that its inode is not used again.
    identity_file: Stat,
    _identity_open: Mutex<Box<dyn DiskFile>>,
    poison: OnceLock<Error>,
    closed: watch::Sender<bool>,
    /// The greatest floor that was ever listed.
    floor_seen: AtomicU64,
}

/// What opening found out.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) naming: Naming,
    pub(crate) locks: bool,
    pub(crate) identity: u128,
    pub(crate) identity_file: Box<dyn DiskFile>,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, seam: Seam, mount: Mount, found: Found) -> io::Result<Self> {
        let Found { naming, locks, identity, identity_file } = found;
        Ok(Self {
            disk,
            seam,
            mount,
            naming,
            locks,
            identity,
            identity_file: identity_file.stat()?,
            _identity_open: Mutex::new(identity_file),
            poison: OnceLock::new(),
            closed: watch::Sender::new(false),
            floor_seen: AtomicU64::new(0),
        })
    }

    /// # Errors
    /// The handle was closed, or cannot be trusted any more.
    pub(crate) fn usable(&self) -> Result<(), Error> {
        if *self.closed.borrow() {
            return Err(Error::new(ErrorKind::Closed, "use the journal").at(self.disk.root().display()));
        }
        self.poison.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Returns when the handle is closed.
    pub(crate) async fn closed(&self) {
        // The sender is ours, so this ends by a close alone.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Ends the handle; the first reason stays.
    pub(crate) fn poisoned(&self, why: impl Display, cause: Option<io::Error>) -> Error {
        let mut error = Error::new(ErrorKind::Unavailable, "use the journal")
            .at(self.disk.root().display())
            .because(format!("{why}: open the store anew"));
        if let Some(cause) = cause {
            error = error.caused_by(cause);
        }
        let first = self.poison.get_or_init(|| error).clone();
        tracing::error!(error = ?first, "the journal's handle is of no use any more");
        first
    }

    /// The whole path, for people.
    pub(crate) fn path(&self, folder: Folder, name: &str) -> impl Display + use<> {
        self.disk.root().join(folder.path(name)).display().to_string()
    }

    /// Makes the folder's names durable.
    ///
    /// # Errors
    /// It failed, and so the handle is poisoned: the kernel tells of a failed write-back once, and a second fsync
    /// would succeed without having written anything.
    pub(crate) fn sync(&self, folder: Folder) -> Result<(), Error> {
        self.disk.sync_folder(folder).map_err(|error| {
            self.poisoned(format!("fsync of {} failed, so what is durable is not known", folder.path("")), Some(error))
        })
    }

    /// The snapshots that are there, in no order.
    pub(crate) fn snapshots(&self) -> io::Result<Vec<SnapshotName>> {
        self.freshen()?;
        self.listed()
    }

    fn freshen(&self) -> io::Result<()> {
        // Race: on a network file system the listing comes from a cache, and a writer that slept sees the floor of the
        //       past after its link.
        // Closed by: a change of our own to the folder, which makes the client ask the server again; and a floor
        //       that was seen once is never taken back.
        // Cost if missed: an entry at a swept number is acknowledged, and nobody ever sees it.
        if !self.mount.is_local() {
            let mark = names::staged(self.seam.random_u64(), self.seam.random_u64());
            drop(self.disk.create(Folder::Snapshots, &mark)?);
            // What stays is collected one day.
            let _ = self.disk.remove(Folder::Snapshots, &mark);
        }
        Ok(())
    }

    fn listed(&self) -> io::Result<Vec<SnapshotName>> {
        Ok(self.disk.list(Folder::Snapshots)?.iter().filter_map(|name| names::parse_snapshot(name)).collect())
    }

    /// The greatest floor that any snapshot names.
    pub(crate) fn floor(&self) -> io::Result<u64> {
        self.freshen()?;
        self.floor_as_listed()
    }

    /// The same, perhaps behind it on a network file system. For whoever found nothing: it may be behind there anyway,
    /// and many who only look must not write.
    pub(crate) fn floor_as_listed(&self) -> io::Result<u64> {
        // Race: two snapshots are published while we list, and the ones that were the newest before are removed: a
        //       listing that takes several steps could show neither, and so a floor of the past.
        // Closed by: the oldest are removed first, so if the newest one listed is still there after the listing,
        //       the newest one of its beginning was listed, or a newer one.
        // Cost if missed: an entry at a swept number is taken for one that counts.
        for _ in 0..LISTINGS_MAX {
            let listed = self.listed()?;
            let newest = listed.iter().max();
            let is_there = match newest {
                None => true,
                Some(name) => match self.disk.stat(Folder::Snapshots, &names::snapshot(*name)) {
                    Ok(_) => true,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                    Err(error) => return Err(error),
                },
            };
            if is_there {
                let floor = listed.iter().map(|name| name.floor).max().unwrap_or(0);
                // It never goes back; a cached listing may.
                return Ok(self.floor_seen.fetch_max(floor, Ordering::AcqRel).max(floor));
            }
        }
        Err(io::Error::other("the newest snapshot vanished again and again while the folder was listed"))
    }

    /// # Errors
    /// The directory that was opened is not the one that has its path now (the handle is poisoned), or that could
    /// not be found out.
    pub(crate) fn same_directory(&self, operation: &'static str) -> Result<(), Error> {
        let why = match self.disk.stat_by_path(Folder::Journal, IDENTITY) {
            Ok(now) if now.same_file(&self.identity_file) => return Ok(()),
            Ok(_) => "the directory was deleted or replaced: its identity is another file now",
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                "the directory was deleted or replaced: its identity is gone"
            }
            Err(error) => return Err(failed(operation, self.path(Folder::Journal, IDENTITY), error)),
        };
        Err(self.poisoned(why, None))
    }

    /// Gives a staged file its name, if nothing has that.
    pub(crate) fn name(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        match self.naming {
            Naming::Link => self.disk.link(staged, folder, name),
            Naming::Rename => self.disk.rename_new(staged, folder, name),
        }
    }

    /// Writes a file of those bytes under a name of its own, durably but for that name. Answers the name.
    ///
    /// # Errors
    /// Nothing was published, and the file is removed if it can be. After a failed fsync it is not used again.
    pub(crate) fn stage(&self, operation: &'static str, bytes: &[u8]) -> Result<String, Error> {
        stage(&*self.disk, &self.seam, bytes)
            .map_err(|error| self.failed(operation, self.path(Folder::Staged, ""), error))
    }

    /// What a failed operation means, where it is certain that nothing was applied. In a directory that is gone
    /// nothing is found, or the handle of it is stale; then this says so, and ends the handle.
    pub(crate) fn failed(&self, operation: &'static str, path: impl Display, error: io::Error) -> Error {
        use io::ErrorKind::{NotFound, StaleNetworkFileHandle};
        let gone = matches!(error.kind(), NotFound | StaleNetworkFileHandle)
            .then(|| self.same_directory(operation).err())
            .flatten();
        gone.unwrap_or_else(|| failed(operation, path, error))
    }
}

/// As [`Shared::stage`], before there is a handle.
pub(crate) fn stage(disk: &dyn Disk, seam: &Seam, bytes: &[u8]) -> io::Result<String> {
    let mut drawn = 0;
    let (name, mut file) = loop {
        let name = names::staged(seam.random_u64(), seam.random_u64());
        drawn += 1;
        match disk.create(Folder::Staged, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && drawn < NAMES_MAX => {}
            Err(error) => return Err(error),
            Ok(file) => break (name, file),
        }
    };
    match file.write(bytes).and_then(|()| file.sync()) {
        Ok(()) => Ok(name),
        Err(error) => {
            // What cannot be removed now is collected one day.
            let _ = disk.remove(Folder::Staged, &name);
            Err(error)
        }
    }
}
