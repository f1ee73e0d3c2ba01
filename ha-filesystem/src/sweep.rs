use std::collections::BTreeSet;
use std::io;

use ha_core::Error;

use crate::bulk::Bulk;
use crate::disk::Folder;
use crate::names;
use crate::witness;

const SWEEP: &str = "sweep the journal";
/// What nobody used for so long is a leftover. An attempt that takes longer stages its file anew.
const LEFTOVER_S: i64 = 3600;
/// How many snapshots stay.
const SNAPSHOTS_KEPT: usize = 2;

impl Bulk {
    pub(crate) fn sweep(&self, sessions: &[String]) -> Result<(), Error> {
        self.shared.usable()?;
        self.shared.same_directory(SWEEP)?;
        self.sweep_numbers()?;
        self.sweep_leftovers(&sessions.iter().map(String::as_str).collect())
    }

    fn sweep_numbers(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let listed = shared.snapshots();
        let mut listed =
            listed.map_err(|error| self.shared.failed(SWEEP, shared.path(Folder::Snapshots, ""), error))?;
        listed.sort_unstable();
        // Two ways lead to what is removed here: through the newest snapshot, and through the second newest. One
        // snapshot alone may be damaged one day, so with one nothing is removed, whatever floor it names. Something
        // foreign that has the name of one holds the floor up as that does, and leads nowhere.
        let floor = listed.iter().map(|name| name.floor).max();
        listed.retain(|name| {
            let found = shared.disk.stat(Folder::Snapshots, &names::snapshot(*name));
            found.is_ok_and(|found| found.is_file)
        });
        let second = listed.iter().rev().nth(1).map(|name| name.number);
        let (Some(floor), Some(second)) = (floor, second) else { return Ok(()) };
        let floor = floor.min(second);
        // Race: the snapshot was linked and not yet fsynced by its maker; entries are removed on its strength, and a
        //       loss of power takes it away and not their removal.
        // Closed by: our own fsync between the listing and the first removal.
        // Cost if missed: everything is lost.
        shared.sync(Folder::Snapshots)?;
        let entries = shared.disk.list(Folder::Entries);
        let mut entries =
            entries.map_err(|error| self.shared.failed(SWEEP, shared.path(Folder::Entries, ""), error))?;
        entries.retain(|name| names::parse_entry(name).is_some_and(|number| number <= floor));
        entries.sort_unstable();
        for name in entries {
            self.remove(Folder::Entries, &name)?;
        }
        // The oldest first: a listing rests on that.
        listed.truncate(listed.len().saturating_sub(SNAPSHOTS_KEPT));
        for name in listed {
            self.remove(Folder::Snapshots, &names::snapshot(name))?;
        }
        Ok(())
    }

    fn sweep_leftovers(&self, sessions: &BTreeSet<&str>) -> Result<(), Error> {
        let disk = &self.shared.disk;
        let list =
            |folder| disk.list(folder).map_err(|error| self.shared.failed(SWEEP, self.shared.path(folder, ""), error));
        let mut staged = list(Folder::Staged)?;
        staged.retain(|name| names::is_staged(name));
        // What made a listing fresh and was not removed.
        let mut marks = list(Folder::Snapshots)?;
        marks.retain(|name| names::is_staged(name));
        let mut holders = list(Folder::Holders)?;
        // From another machine a lock cannot be seen, and so nothing says that a holder is gone.
        let judged = self.shared.mount.is_local();
        holders.retain(|name| judged && names::is_holder(name) && !sessions.contains(name.as_str()));
        if staged.is_empty() && marks.is_empty() && holders.is_empty() {
            return Ok(());
        }
        // By the clock of the file system: that of this machine may be wrong, and was not asked when they were written.
        let mark = self.shared.stage(SWEEP, b"")?;
        let now = disk.stat(Folder::Staged, &mark);
        let _ = disk.remove(Folder::Staged, &mark);
        let now =
            now.map_err(|error| self.shared.failed(SWEEP, self.shared.path(Folder::Staged, &mark), error))?.modified_s;
        let is_old = |folder, name: &str| {
            let found = disk.stat(folder, name);
            found.is_ok_and(|found| found.is_file && now.saturating_sub(found.modified_s) > LEFTOVER_S)
        };
        for (folder, names) in [(Folder::Staged, &staged), (Folder::Snapshots, &marks)] {
            for name in names.iter().filter(|name| is_old(folder, name)) {
                self.remove(folder, name)?;
            }
        }
        for name in holders.iter().filter(|name| is_old(Folder::Holders, name)) {
            if witness::is_abandoned(&**disk, name) {
                self.remove(Folder::Holders, name)?;
            }
        }
        Ok(())
    }

    /// Success also if another sweep was faster, or something foreign is in the way.
    fn remove(&self, folder: Folder, name: &str) -> Result<(), Error> {
        let Err(error) = self.shared.disk.remove(folder, name) else { return Ok(()) };
        let path = self.shared.path(folder, name);
        let is_directory = |error: &io::Error| {
            // Some systems answer EPERM for it.
            error.kind() == io::ErrorKind::IsADirectory
                || self.shared.disk.stat(folder, name).is_ok_and(|found| !found.is_file)
        };
        match error {
            error if error.kind() == io::ErrorKind::NotFound => Ok(()),
            error if is_directory(&error) => {
                tracing::warn!(%path, "a directory has the name of a file of the journal: it is left alone");
                Ok(())
            }
            error => Err(self.shared.failed(SWEEP, path, error)),
        }
    }
}
