use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ha_core::ErrorKind;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome};
use ha_core::journal::{Journal, Published, SnapshotName};
use ha_core::seam::Seam;
use ha_filesystem::disk::RealDisk;
use ha_filesystem::{FilesystemDevice, FilesystemSettings, Mount, Reach, connect};

use crate::{open, run, text};

fn everything(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(everything(&path));
        }
        found.insert(path);
    }
    found
}

#[tokio::test]
async fn foreign_names_are_ignored_and_never_deleted() {
    // Fails if a file of somebody else is read, swept, or stops the journal.
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    drop(open(root).await.unwrap());
    let journal = root.join(".ha-journal");
    for folder in ["", "entries", "snapshots", "staged", "holders"] {
        let folder = journal.join(folder);
        for name in [".nfs000001", "notes.txt", "lost+found", "1", "00000000000000000001.bak", "é", "~"] {
            fs::write(folder.join(name), b"foreign").unwrap();
        }
        fs::create_dir(folder.join("a folder")).unwrap();
        symlink("notes.txt", folder.join("a link")).unwrap();
        let old = fs::File::options().write(true).open(folder.join("notes.txt")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    // Names that are ours, and yet not what we put there.
    fs::create_dir(journal.join("entries/00000000000000000002")).unwrap();
    fs::create_dir(journal.join("snapshots/00000000000000000001-00000000000000000000")).unwrap();
    fs::create_dir(journal.join("staged").join("0".repeat(32))).unwrap();
    let before = everything(root);

    let device = open(root).await.unwrap();
    assert_eq!(device.publish(1, 1, &text("a")).await, Ok(Published::Won { floor: 0 }));
    let error = device.publish(2, 2, &text("b")).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_applied()), (ErrorKind::Corrupt, false), "a folder has the name");
    let error = device.read(2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("00000000000000000002"), "{error}");
    for (number, floor) in [(3, 0), (5, 3), (7, 5)] {
        device.put_snapshot(SnapshotName { number, floor }, &text("s")).await.unwrap();
        device.sweep(&[]).await.unwrap();
    }
    let error = device.read_snapshot(SnapshotName { number: 1, floor: 0 }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    drop(device);
    let after = everything(root);
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

/// Makes something that is no file.
type Obstacle = fn(&Path);

const OBSTACLES: [(&str, Obstacle); 3] = [
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a link to nowhere", |path| symlink("nowhere", path).unwrap()),
    ("a pipe", |path| assert!(run(std::process::Command::new("mkfifo").arg(path)))),
];

#[tokio::test]
async fn what_stands_in_the_place_of_the_next_entry_holds_up_commits_by_name_until_it_is_moved_away() {
    // Fails if such a commit is told to be unknown, if the error does not say what to do, or if the handle needs more
    // than that to go on.
    for (what, make) in OBSTACLES {
        let directory = tempfile::tempdir().unwrap();
        let seam = Seam::system();
        let handle = connect(FilesystemSettings::at(directory.path()), seam.clone()).await.unwrap();
        let key = Key::new("k").unwrap();
        let put = |value: &'static str, expect| Commit::new(seam.write_id()).put(key.clone(), expect, value.into());
        handle.commit(&put("before", Expect::Absent)).await.unwrap();
        let revision = handle.read(&key).await.unwrap().unwrap().revision;
        let path = directory.path().join(".ha-journal/entries/00000000000000000002");
        make(&path);
        for _ in 0..3 {
            let error = handle.commit(&put("not this", Expect::Revision(revision))).await.unwrap_err();
            assert_eq!((error.kind(), error.may_have_applied()), (ErrorKind::Corrupt, false), "{what}: {error}");
            let shown = error.to_string();
            assert!(
                shown.contains("entries/00000000000000000002") && shown.contains("move it away"),
                "{what}: {shown}"
            );
        }
        let moved = directory.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        let outcome = handle.commit(&put("after", Expect::Revision(revision))).await.unwrap();
        assert!(matches!(outcome, Outcome::Applied { .. }), "{what}: {outcome:?}");
        let read = handle.read(&key).await.unwrap().unwrap();
        assert_eq!((read.value, read.revision != revision), ("after".into(), true), "{what}");
        assert!(fs::symlink_metadata(&moved).is_ok(), "{what} was not ours to remove");
        handle.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_has_the_name_of_a_snapshot_and_is_none_counts_for_no_way_to_the_state() {
    // Fails if entries are swept on the strength of a folder: then one damaged file, and all is lost.
    let directory = tempfile::tempdir().unwrap();
    let device = open(directory.path()).await.unwrap();
    let journal = directory.path().join(".ha-journal");
    for number in 1..=8 {
        device.publish(number, u128::from(number), &text("entry")).await.unwrap();
    }
    let [first, foreign, last] = [(3, 0), (5, 3), (7, 5)].map(|(number, floor)| SnapshotName { number, floor });
    device.put_snapshot(first, &text("s")).await.unwrap();
    fs::create_dir(journal.join("snapshots/00000000000000000005-00000000000000000003")).unwrap();
    let error = device.put_snapshot(foreign, &text("s")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("snapshots/00000000000000000005"), "{error}");
    device.put_snapshot(last, &text("s")).await.unwrap();
    device.sweep(&[]).await.unwrap();
    assert!(device.read_snapshot(first).await.unwrap().is_some(), "the second way begins there");
    let mut left: Vec<_> = everything(&journal.join("entries")).into_iter().collect();
    left.sort_unstable();
    assert!(left.first().unwrap().ends_with("00000000000000000004"), "{left:?}");
    assert_eq!(device.read(8).await.unwrap().floor, 5, "its name holds the floor up all the same");
    // The second real one after it, and what lies before the first of them is needless.
    device.put_snapshot(SnapshotName { number: 8, floor: 7 }, &text("s")).await.unwrap();
    device.sweep(&[]).await.unwrap();
    assert_eq!(device.read_snapshot(first).await, Ok(None));
    assert_eq!(everything(&journal.join("entries")).len(), 1);
}

#[tokio::test]
async fn where_a_server_makes_the_names_nothing_is_certain_of_an_entry_whose_place_is_taken_by_a_folder() {
    // Race: the server makes the entry and loses its answer, is asked again, and somebody has moved it away.
    // Fails if the commit is said not to have been applied.
    let directory = tempfile::tempdir().unwrap();
    let network = Mount { name: "nfs", reach: Reach::Network };
    let disk = std::sync::Arc::new(RealDisk::open(directory.path()).unwrap());
    let settings = FilesystemSettings::at(directory.path());
    let device = FilesystemDevice::open_on(disk, network, settings, Seam::system()).await.unwrap();
    fs::create_dir(directory.path().join(".ha-journal/entries/00000000000000000001")).unwrap();
    let error = device.publish(1, 1, &text("a")).await.unwrap_err();
    assert!(error.may_have_applied(), "{error}");
    assert!(error.to_string().contains("entries/00000000000000000001"), "{error}");
}

#[tokio::test]
async fn bytes_are_handed_on_as_they_are_and_what_is_no_file_is_an_error() {
    // Fails if a torn entry is hidden from the layer that can tell, or a pipe holds the handle for ever.
    let directory = tempfile::tempdir().unwrap();
    let device = open(directory.path()).await.unwrap();
    let entries = directory.path().join(".ha-journal/entries");
    for number in 1..=4 {
        device.publish(number, u128::from(number), &text("an entry of some length")).await.unwrap();
    }
    fs::write(entries.join("00000000000000000001"), b"").unwrap();
    fs::write(entries.join("00000000000000000002"), b"an entry").unwrap();
    fs::write(entries.join("00000000000000000003"), [0; 23]).unwrap();
    let read = device.read(1).await.unwrap().entries;
    assert_eq!(read, [text(""), text("an entry"), text(&"\0".repeat(23)), text("an entry of some length")]);

    fs::remove_file(entries.join("00000000000000000004")).unwrap();
    symlink(entries.join("00000000000000000002"), entries.join("00000000000000000004")).unwrap();
    assert_eq!(device.read(4).await.unwrap_err().kind(), ErrorKind::Corrupt, "a link leads elsewhere");
    fs::remove_file(entries.join("00000000000000000004")).unwrap();
    if run(std::process::Command::new("mkfifo").arg(entries.join("00000000000000000004"))) {
        assert_eq!(device.read(4).await.unwrap_err().kind(), ErrorKind::Corrupt, "a pipe");
        fs::remove_file(entries.join("00000000000000000004")).unwrap();
    }
    let huge = fs::File::create(entries.join("00000000000000000004")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let error = device.read(4).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "larger than any entry");
    assert_eq!(device.read(1).await.unwrap_err().kind(), ErrorKind::Corrupt, "never skipped");
}
