use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ha_core::Error;
use ha_core::journal::SnapshotName;

use crate::disk::Folder;
use crate::names;
use crate::shared::Shared;

/// The largest snapshot that is read. Everybody holds the state in memory, so this is far beyond any.
const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;
const READ: &str = "read a snapshot";
const LIST: &str = "list snapshots";
const PUBLISH: &str = "publish a snapshot";

/// What reads and writes snapshots and sweeps, on a thread of its own: none of it may hold up a commit.
#[derive(Debug)]
pub(crate) struct Bulk {
    pub(crate) shared: Arc<Shared>,
}

impl Bulk {
    pub(crate) fn snapshots(&self) -> Result<Vec<SnapshotName>, Error> {
        self.shared.usable()?;
        let listed = self.shared.snapshots();
        let mut listed =
            listed.map_err(|error| self.shared.failed(LIST, self.shared.path(Folder::Snapshots, ""), error))?;
        listed.sort_unstable_by(|one, other| other.cmp(one));
        self.shared.same_directory(LIST)?;
        Ok(listed)
    }

    pub(crate) fn read_snapshot(&self, name: SnapshotName) -> Result<Option<Bytes>, Error> {
        self.shared.usable()?;
        let file = names::snapshot(name);
        match self.shared.disk.read(Folder::Snapshots, &file, SNAPSHOT_BYTES_MAX) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.shared.same_directory(READ)?;
                Ok(None)
            }
            Err(error) => Err(self.shared.failed(READ, self.shared.path(Folder::Snapshots, &file), error)),
        }
    }

    pub(crate) fn put_snapshot(&self, name: SnapshotName, bytes: &Bytes) -> Result<(), Error> {
        self.shared.usable()?;
        let file = names::snapshot(name);
        let fail = |error| self.shared.failed(PUBLISH, self.shared.path(Folder::Snapshots, &file), error);
        let staged = self.shared.stage(PUBLISH, bytes)?;
        let named = self.shared.name(&staged, Folder::Snapshots, &file);
        let published = match named {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(fail(error)),
            Err(_) if self.is_foreign(&file) => {
                let why = "no snapshot, but a folder, a link or a pipe has the name of the next one";
                Err(fail(io::Error::new(io::ErrorKind::InvalidData, why)))
            }
            // Also where it was there: whoever made it may not have come to this.
            _ => self.shared.sync(Folder::Snapshots).and_then(|()| self.shared.same_directory(PUBLISH)),
        };
        // Gone already after a rename; else a leftover that is collected one day.
        let _ = self.shared.disk.remove(Folder::Staged, &staged);
        published
    }
    /// Whether something has that name which no handle can have put there.
    fn is_foreign(&self, file: &str) -> bool {
        self.shared.disk.stat(Folder::Snapshots, file).is_ok_and(|found| !found.is_file)
    }
}
