//! Tries on the directory itself what the journal stands on. A name in a table of file systems proves nothing:
//! what answers may be a mount of a mount, a driver of a container or a server with options of its own.

use std::fmt::Display;
use std::io;

use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

use crate::disk::{Disk, Folder};
use crate::failure::failed;
use crate::mounts::Mount;
use crate::names;
use crate::shared::{Naming, stage};

const OPERATION: &str = "try the directory";
const FIRST: &[u8] = b"first\n";
const SECOND: &[u8] = b"second\n";

/// What was proved.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) naming: Naming,
    /// Whether a lock of one open file keeps another one out.
    pub(crate) locks: bool,
}

/// # Errors
/// [`ErrorKind::Unsupported`]: the directory cannot carry a journal; the text says what is missing. Others: it could
/// not be tried.
pub(crate) fn probe(disk: &dyn Disk, mount: Mount, seam: &Seam) -> Result<Proved, Error> {
    let trial = Trial { disk, mount, target: names::staged(seam.random_u64(), seam.random_u64()) };
    let first = stage(disk, seam, FIRST).map_err(|error| trial.failed(error))?;
    let second = stage(disk, seam, SECOND);
    let proved = match &second {
        Ok(second) => trial.run(&first, second),
        Err(_) => Err(None),
    };
    for name in [Some(&first), second.as_ref().ok(), Some(&trial.target)].into_iter().flatten() {
        // Gone already after a rename; else a leftover that is collected one day.
        let _ = disk.remove(Folder::Staged, name);
    }
    match (proved, second) {
        (_, Err(error)) => Err(trial.failed(error)),
        (Ok(proved), _) => Ok(proved),
        (Err(refused), _) => Err(refused.unwrap_or_else(|| trial.refused("it could not be tried"))),
    }
}

struct Trial<'a> {
    disk: &'a dyn Disk,
    mount: Mount,
    /// The name that two files compete for.
    target: String,
}

impl Trial<'_> {
    fn run(&self, first: &str, second: &str) -> Result<Proved, Option<Error>> {
        let naming = self.naming(first, second).map_err(Some)?;
        self.names_are_exact().map_err(Some)?;
        let locks = self.locks();
        self.disk.sync_folder(Folder::Staged).map_err(|error| Some(self.failed(error)))?;
        self.removal_is_seen().map_err(Some)?;
        Ok(Proved { naming, locks })
    }

    /// Which of two operations gives one name to one file alone.
    fn naming(&self, first: &str, second: &str) -> Result<Naming, Error> {
        let link = |staged: &str| self.disk.link(staged, Folder::Staged, &self.target);
        let no_links = match link(first) {
            Ok(()) => return self.is_exclusive(link(second), Naming::Link),
            Err(error) if is_unable(&error) => error,
            Err(error) => return Err(self.failed(error)),
        };
        if !self.mount.judges_renames() {
            let why = "it has no hard links, and on a shared file system of this kind nothing else is known to be \
                       exclusive: use a mount with hard links (NFS has them)";
            return Err(self.refused(why).caused_by(no_links));
        }
        let rename = |staged: &str| self.disk.rename_new(staged, Folder::Staged, &self.target);
        match rename(first) {
            Ok(()) => {
                let proved = self.is_exclusive(rename(second), Naming::Rename)?;
                match self.disk.stat(Folder::Staged, second) {
                    Ok(_) => Ok(proved),
                    Err(_) => Err(self.refused("a rename that was refused took the file away")),
                }
            }
            Err(error) if is_unable(&error) => {
                let why = "it has neither hard links nor a rename that replaces nothing: use another file system \
                           (ext4, xfs, btrfs, NFS)";
                Err(self.refused(why).caused_by(error))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn is_exclusive(&self, again: io::Result<()>, naming: Naming) -> Result<Naming, Error> {
        match again {
            Ok(()) => return Err(self.refused("two files got one name: numbers would be written twice")),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(self.failed(error)),
            Err(_) => {}
        }
        match self.disk.read(Folder::Staged, &self.target, FIRST.len() as u64 + SECOND.len() as u64) {
            Ok(bytes) if bytes == FIRST => Ok(naming),
            Ok(_) => Err(self.refused("what was read is not what was written")),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Another look, by the path, finds the same file, and it cannot be created a second time.
    fn names_are_exact(&self) -> Result<(), Error> {
        let here = self.disk.stat(Folder::Staged, &self.target).map_err(|error| self.failed(error))?;
        let there = self.disk.stat_by_path(Folder::Staged, &self.target).map_err(|error| self.failed(error))?;
        if !here.same_file(&there) {
            return Err(self.refused("one file has two identities: the directory was replaced, or inodes are made up"));
        }
        match self.disk.create(Folder::Staged, &self.target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(self.failed(error)),
            Ok(_) => Err(self.refused("a file that exists was created again")),
        }
    }

    fn removal_is_seen(&self) -> Result<(), Error> {
        self.disk.remove(Folder::Staged, &self.target).map_err(|error| self.failed(error))?;
        match self.disk.stat_by_path(Folder::Staged, &self.target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed(error)),
            Ok(_) => Err(self.refused("a file that was removed is still there")),
        }
    }

    /// Locks are no condition: without them silence decides.
    fn locks(&self) -> bool {
        let open = || self.disk.open(Folder::Staged, &self.target).ok();
        let (Some(one), Some(other)) = (open(), open()) else { return false };
        let (Some(held), Some(asked)) = (one.file(), other.file()) else { return false };
        let excludes = held.try_lock().is_ok() && matches!(asked.try_lock(), Err(std::fs::TryLockError::WouldBlock));
        excludes && held.unlock().is_ok() && asked.try_lock().is_ok()
    }

    fn failed(&self, error: io::Error) -> Error {
        failed(OPERATION, self.disk.root().display(), error)
    }

    fn refused(&self, why: impl Display) -> Error {
        let why = format!("this directory ({}) cannot carry a journal: {why}", self.mount.name);
        Error::new(ErrorKind::Unsupported, OPERATION).at(self.disk.root().display()).because(why)
    }
}

/// Whether the file system says with this that it has no such operation.
fn is_unable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unable = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL, Errno::MLINK, Errno::XDEV, Errno::ACCESS];
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error().is_some_and(|code| unable.iter().any(|errno| errno.raw_os_error() == code))
}
