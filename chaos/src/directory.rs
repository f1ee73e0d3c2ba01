use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::keeper::Keeper;
use crate::plan::Trouble;

/// How large the file system is that the workers share, in megabytes.
pub(crate) const MEGABYTES: u32 = 192;

/// The directory that workers on the filesystem backend share, and what can be done to it.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    mounted: bool,
    skipped: Mutex<Vec<String>>,
}

/// Something that was done to the directory.
#[derive(Debug)]
#[must_use = "it is to be undone"]
pub(crate) struct Undo(Vec<Undoing>);

#[derive(Debug)]
enum Undoing {
    File(PathBuf),
    Folder(PathBuf),
    ReadOnly(PathBuf),
}

impl Directory {
    pub(crate) fn new(keeper: &Keeper) -> Self {
        let mounted = keeper.not_mounted().is_none();
        let skipped = keeper.not_mounted().map(|why| format!("full-disk, read-only: no file system of our own: {why}"));
        let (root, skipped) = (keeper.shared().to_owned(), Mutex::new(skipped.into_iter().collect()));
        Self { root, mounted, skipped }
    }

    /// What could not be done, and why.
    pub(crate) fn skipped(&self) -> Vec<String> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn skip(&self, why: String) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        if !skipped.contains(&why) {
            skipped.push(why);
        }
    }

    pub(crate) fn url(&self, silence_ms: u64) -> String {
        let root = self.root.display();
        format!("filesystem://{root}?cluster-id=chaos&session.silence={silence_ms}ms")
    }

    /// Does that. `None`: it could not be done.
    pub(crate) fn hinder(&self, trouble: Trouble) -> Option<Undo> {
        match trouble {
            Trouble::FullDisk if self.mounted => self.fill(),
            Trouble::ReadOnly if self.mounted => self.forbid(),
            Trouble::ForeignFiles => self.litter(),
            Trouble::EntryInTheWay => self.obstruct(),
            _ => None,
        }
    }

    /// A file that takes all the room there is.
    fn fill(&self) -> Option<Undo> {
        let ballast = self.root.join("ballast");
        let mut file = std::fs::File::create(&ballast).ok()?;
        for size in [1 << 20, 4096] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        Some(Undo(vec![Undoing::File(ballast)]))
    }

    /// Remounts it, which is stronger than permissions: the superuser may not write either.
    fn forbid(&self) -> Option<Undo> {
        match remount(&self.root, "remount,ro") {
            Ok(()) => Some(Undo(vec![Undoing::ReadOnly(self.root.clone())])),
            Err(why) => {
                self.skip(format!("read-only, where it is not counted above: {why}"));
                None
            }
        }
    }

    /// Files and folders that nobody of us has made, in all folders.
    fn litter(&self) -> Option<Undo> {
        let journal = self.root.join(".ha-journal");
        let folders = ["entries", "snapshots", "staged", "holders"].map(|name| journal.join(name));
        let mut undo = Vec::new();
        for folder in folders.into_iter().chain([self.root.clone(), journal]) {
            for name in [".nfs0001", "lost+found", "core.1234", "Thumbs.db~"] {
                let path = folder.join(name);
                if std::fs::write(&path, b"nobody's").is_ok() {
                    undo.push(Undoing::File(path));
                }
            }
            let path = folder.join("a folder of somebody's");
            if std::fs::create_dir(&path).is_ok() {
                undo.push(Undoing::Folder(path));
            }
        }
        (!undo.is_empty()).then_some(Undo(undo))
    }

    /// A folder in the place of the next entry.
    fn obstruct(&self) -> Option<Undo> {
        let entries = self.root.join(".ha-journal").join("entries");
        // Others write meanwhile: a number may be taken when we come to it.
        for _ in 0..100 {
            let names =
                std::fs::read_dir(&entries).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let last = names.filter_map(|name| name.parse::<u64>().ok()).max()?;
            let next = entries.join(format!("{:020}", last + 1));
            if std::fs::create_dir(&next).is_ok() {
                return Some(Undo(vec![Undoing::Folder(next)]));
            }
        }
        None
    }
}

fn remount(root: &Path, options: &str) -> Result<(), String> {
    let mut mount = Command::new("mount");
    let output = mount.args(["-o", options]).arg(root).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Undo {
    /// Undoes it.
    ///
    /// # Errors
    /// It could not be undone: the rest of the run proves nothing.
    pub(crate) fn undo(self) -> Result<(), String> {
        for undoing in &self.0 {
            let undone = match undoing {
                Undoing::File(path) => {
                    std::fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))
                }
                Undoing::Folder(path) => {
                    std::fs::remove_dir(path).map_err(|error| format!("{}: {error}", path.display()))
                }
                Undoing::ReadOnly(root) => remount(root, "remount,rw"),
            };
            undone.map_err(|why| format!("a fault could not be undone: {why}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_to_a_directory_is_undone() {
        let keeper = Keeper::new().unwrap();
        let directory = Directory::new(&keeper);
        let entries = keeper.shared().join(".ha-journal").join("entries");
        std::fs::create_dir_all(&entries).unwrap();
        std::fs::write(entries.join(format!("{:020}", 7)), b"an entry").unwrap();
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(&entries).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        for trouble in [Trouble::EntryInTheWay, Trouble::ForeignFiles] {
            let undo = directory.hinder(trouble).unwrap();
            assert_ne!(names(), before, "{trouble:?}");
            assert!(trouble != Trouble::EntryInTheWay || entries.join(format!("{:020}", 8)).is_dir());
            undo.undo().unwrap();
            assert_eq!(names(), before, "{trouble:?}");
        }
    }

    #[test]
    fn a_full_file_system_takes_nothing_until_there_is_room_again() {
        let keeper = Keeper::new().unwrap().with_file_system(1);
        let directory = Directory::new(&keeper);
        let file = keeper.shared().join("a file");
        let Some(undo) = directory.hinder(Trouble::FullDisk) else {
            assert!(!directory.skipped().is_empty(), "nothing was done, and nothing is said of it");
            return;
        };
        assert!(std::fs::write(&file, [0; 4096]).is_err());
        undo.undo().unwrap();
        std::fs::write(&file, [0; 4096]).unwrap();
    }
}
