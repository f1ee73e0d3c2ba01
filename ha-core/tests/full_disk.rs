//! State storage on a file system of its own that is full, or read-only. Needs the right to mount; where
//! the machine does not give it, the tests say so and what they leave out.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use ha_core::ErrorKind;
use ha_core::backend::Name;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;

/// A mounted file system of 256 KiB, unmounted when it is dropped, after a panic too.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, and a line that says so, where the machine does not allow it.
    fn mount() -> Option<Self> {
        let disk = Self { directory: tempfile::tempdir().unwrap() };
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(disk.path()));
        if !mounted {
            println!("skipped: this machine does not let us mount a small file system");
            return None;
        }
        Some(disk)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn make_read_only(&self) {
        assert!(run(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path())));
    }

    fn storage(&self) -> StateStorage {
        let url = url::Url::from_directory_path(self.path()).unwrap();
        StateStorage::open(url.as_str(), Seam::system()).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let folder = self.path().join("states");
        let Ok(entries) = folder.read_dir() else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.path()));
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn folder() -> Vec<Name> {
    vec![Name::new("states").unwrap()]
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_loses_nothing_and_passes_when_there_is_room() {
    // Fails if a write that did not fit leaves a handle, tears an older state, or never works again.
    let Some(disk) = SmallDisk::mount() else { return };
    let storage = disk.storage();
    let kept = storage.write(&folder(), Bytes::from(vec![1; 60_000])).await.unwrap();
    let large = Bytes::from(vec![2; 400_000]);
    let error = storage.write(&folder(), large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(!error.may_have_applied());
    assert!(error.to_string().contains("full"), "says what to look at: {error}");
    assert_eq!(storage.read(&kept).await.unwrap(), vec![1; 60_000]);
    assert_eq!(disk.files().len(), 1, "no half-written file is left: {:?}", disk.files());
    let after = storage.write(&folder(), Bytes::from(vec![3; 60_000])).await.unwrap();
    assert_eq!(storage.read(&after).await.unwrap(), vec![3; 60_000]);
}

#[tokio::test]
async fn a_read_only_disk_is_an_error_and_what_is_there_can_be_read() {
    // Fails if a refused write is taken for a success, or reading stops working.
    let Some(disk) = SmallDisk::mount() else { return };
    let storage = disk.storage();
    let kept = storage.write(&folder(), "kept".into()).await.unwrap();
    disk.make_read_only();
    let error = storage.write(&folder(), "more".into()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Storage | ErrorKind::Denied), "{error}");
    assert_eq!(storage.read(&kept).await.unwrap(), "kept");
    let error = storage.discard(&kept).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Storage | ErrorKind::Denied), "{error}");
    assert_eq!(storage.read(&kept).await.unwrap(), "kept");
}
