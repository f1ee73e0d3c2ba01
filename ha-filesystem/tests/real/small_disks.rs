use std::fs;
use std::path::Path;
use std::process::Command;

use ha_core::ErrorKind;
use ha_core::journal::{Journal, Published, SnapshotName};

use crate::{open, run, text};

/// A mounted file system in memory, unmounted when it is dropped, after a panic too.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, and a line that says so, where the machine does not allow it.
    fn mount(options: &str) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        if !run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(disk.path())) {
            ha_testkit::run::tell("SKIPPED: this machine does not let us mount a small file system");
            return None;
        }
        ha_testkit::run::tell(format_args!("mounted: tmpfs with {options}"));
        Some(disk)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

/// Publishes until it fails, makes room, and goes on.
async fn fill(disk: &Path, entry: &str) {
    let device = open(disk).await.unwrap();
    let fill = disk.join("fill");
    let mut next = 1;
    let error = loop {
        match device.publish(next, u128::from(next), &text(entry)).await {
            Ok(published) => assert_eq!(published, Published::Won { floor: 0 }),
            Err(error) => break error,
        }
        next += 1;
        fs::write(fill.with_extension(next.to_string()), []).ok();
        assert!(next < 100_000, "the disk does not fill up");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "it is certain that this is no entry: {error:?}");
    assert!(error.to_string().contains("make room"), "{error}");
    let name = SnapshotName { number: next - 1, floor: 0 };
    assert_eq!(device.put_snapshot(name, &text(entry)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(device.read(1).await.unwrap().entries[0], text(entry), "reading goes on");
    for file in fs::read_dir(disk).unwrap().map(Result::unwrap).filter(|file| file.path().is_file()) {
        fs::remove_file(file.path()).unwrap();
    }
    let staged: Vec<_> = fs::read_dir(disk.join(".ha-journal/staged")).unwrap().collect();
    assert!(staged.is_empty(), "what did not fit is removed: {staged:?}");
    let mut before = 1;
    while before < next {
        let read = device.read(before).await.unwrap().entries;
        assert!(!read.is_empty() && read.iter().all(|bytes| *bytes == entry), "torn from {before} on");
        before += read.len() as u64;
    }
}

#[tokio::test]
async fn a_disk_without_room_refuses_entries_and_keeps_those_it_has() {
    // Fails if an entry that did not fit is taken for one, or an older one is torn.
    let Some(disk) = SmallDisk::mount("size=512k") else { return };
    let ballast = disk.path().join("ballast.0");
    fs::write(ballast, vec![1; 64 << 10]).unwrap();
    fill(disk.path(), &"x".repeat(20_000)).await;
    let device = open(disk.path()).await.unwrap();
    let next = 1 + device.read(1).await.unwrap().entries.len() as u64;
    assert_eq!(device.publish(next, 1, &text("now it fits")).await, Ok(Published::Won { floor: 0 }));
}

#[tokio::test]
async fn a_disk_without_inodes_refuses_entries_and_keeps_those_it_has() {
    let Some(disk) = SmallDisk::mount("size=4m,nr_inodes=60") else { return };
    fill(disk.path(), "small").await;
    let device = open(disk.path()).await.unwrap();
    let next = 1 + device.read(1).await.unwrap().entries.len() as u64;
    assert_eq!(device.publish(next, 1, &text("now it fits")).await, Ok(Published::Won { floor: 0 }));
}

#[tokio::test]
async fn a_disk_that_becomes_read_only_refuses_writes_and_can_be_read() {
    let Some(disk) = SmallDisk::mount("size=512k") else { return };
    let device = open(disk.path()).await.unwrap();
    device.publish(1, 1, &text("a")).await.unwrap();
    assert!(run(Command::new("mount").args(["-o", "remount,ro"]).arg(disk.path())));
    let error = device.publish(2, 2, &text("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_eq!(device.read(1).await.unwrap().entries, [text("a")]);
    let error = open(disk.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("read-only"), "{error}");
    assert!(run(Command::new("mount").args(["-o", "remount,rw"]).arg(disk.path())));
    assert_eq!(device.publish(2, 2, &text("b")).await, Ok(Published::Won { floor: 0 }));
}

#[tokio::test]
async fn a_disk_that_is_unmounted_under_a_handle_ends_it() {
    // Fails if a handle goes on where nobody else is any more.
    let Some(disk) = SmallDisk::mount("size=512k") else { return };
    let device = open(disk.path()).await.unwrap();
    assert!(run(Command::new("umount").arg("-l").arg(disk.path())));
    let error = device.publish(1, 1, &text("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error:?}");
    assert_eq!(device.read(1).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn on_an_overlay_everything_is_there() {
    let Some(disk) = SmallDisk::mount("size=4m") else { return };
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(disk.path().join(name)).unwrap();
    }
    let options = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", disk.path().join(name).display()));
    let merged = disk.path().join("merged");
    let options = options.join(",");
    if !run(Command::new("mount").args(["-t", "overlay", "-o", &options, "overlay"]).arg(&merged)) {
        ha_testkit::run::tell("SKIPPED: this machine does not let us mount an overlay");
        return;
    }
    let device = open(&merged).await.unwrap();
    ha_testkit::run::tell(format_args!("mounted: {:?}", device.mount()));
    assert_eq!(device.publish(1, 1, &text("a")).await, Ok(Published::Won { floor: 0 }));
    assert_eq!(device.read(1).await.unwrap().entries, [text("a")]);
    assert!(device.witness().is_some());
    drop(device);
    run(Command::new("umount").arg("-l").arg(&merged));
}
