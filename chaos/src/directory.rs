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

/// Something that was done to the directory, and is undone when this is dropped.
#[derive(Debug)]
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
        Self { root: keeper.shared().to_owned(), mounted, skipped: Mutex::new(skipped.into_iter().collect()) }
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

    /// Does that, until the answer is dropped. `None`: it could not be done.
    pub(crate) fn hinder(&self, trouble: Trouble) -> Option<Undo> {
        match trouble {
            Trouble::FullDisk if self.mounted => Some(self.fill()),
            Trouble::ReadOnly if self.mounted => self.forbid(),
            Trouble::ForeignFiles => Some(self.litter()),
            Trouble::EntryInTheWay => self.obstruct(),
            _ => None,
        }
    }

    /// A file that takes all the room there is.
    fn fill(&self) -> Undo {
        let ballast = self.root.join("ballast");
        let undo = Undo(vec![Undoing::File(ballast.clone())]);
        if let Ok(mut file) = std::fs::File::create(&ballast) {
            for size in [1 << 20, 4096] {
                let block = vec![0; size];
                while file.write_all(&block).is_ok() {}
            }
        }
        undo
    }

    /// Remounts it, which is stronger than permissions: the superuser may not write either.
    fn forbid(&self) -> Option<Undo> {
        match remount(&self.root, "remount,ro") {
            Ok(()) => Some(Undo(vec![Undoing::ReadOnly(self.root.clone())])),
            Err(why) => {
                self.skip(format!("read-only: {why}"));
                None
            }
        }
    }

    /// Files and folders that nobody of us has made, in all folders.
    fn litter(&self) -> Undo {
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
        Undo(undo)
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

impl Drop for Undo {
    fn drop(&mut self) {
        // What is not there any more needs no undoing, and the whole directory goes in the end.
        for undoing in &self.0 {
            match undoing {
                Undoing::File(path) => drop(std::fs::remove_file(path)),
                Undoing::Folder(path) => drop(std::fs::remove_dir(path)),
                Undoing::ReadOnly(root) => drop(remount(root, "remount,rw")),
            }
        }
    }
}
