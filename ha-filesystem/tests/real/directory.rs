use std::fs;

use ha_core::ErrorKind;
use ha_core::backend::ReadGuarantee;
use ha_core::journal::{Journal, Published, SnapshotName};

use crate::{open, text};

#[tokio::test]
async fn what_was_published_is_there_when_the_directory_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("made/on/the/way");
    let (older, name) = (SnapshotName { number: 1, floor: 0 }, SnapshotName { number: 2, floor: 1 });
    let device = open(&deep).await.unwrap();
    for number in 1..=3 {
        device.publish(number, u128::from(number), &text(&format!("entry {number}"))).await.unwrap();
    }
    device.put_snapshot(name, &text("state")).await.unwrap();
    device.put_snapshot(name, &text("ignored: it exists")).await.unwrap();
    device.sweep(&[]).await.unwrap();
    assert_eq!(device.read(1).await.unwrap().entries.len(), 3, "one snapshot alone is no reason to remove anything");
    device.put_snapshot(older, &text("older state")).await.unwrap();
    device.sweep(&[]).await.unwrap();
    let identity = device.identity();
    assert_eq!(device.profile().reads, device.mount().reads());
    drop(device);

    let device = open(&deep).await.unwrap();
    assert_eq!(device.identity(), identity);
    assert_eq!(device.snapshots().await.unwrap(), [name, older]);
    assert_eq!(device.read_snapshot(name).await.unwrap(), Some(text("state")));
    assert_eq!(device.read_snapshot(SnapshotName { number: 3, floor: 1 }).await.unwrap(), None);
    let read = device.read(2).await.unwrap();
    assert_eq!((read.entries, read.floor), (vec![text("entry 2"), text("entry 3")], 1));
    assert!(device.read(1).await.unwrap().entries.is_empty(), "swept");
    device.close().await;
    let left: Vec<_> = fs::read_dir(deep.join(".ha-journal/staged")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_directory_that_is_deleted_or_replaced_ends_the_handle() {
    // Fails if a handle goes on in a directory that nobody else has.
    for replace in [false, true] {
        let parent = tempfile::tempdir().unwrap();
        let (root, away) = (parent.path().join("root"), parent.path().join("away"));
        let device = open(&root).await.unwrap();
        device.publish(1, 1, &text("a")).await.unwrap();
        fs::rename(&root, &away).unwrap();
        if replace {
            open(&root).await.unwrap().publish(1, 7, &text("another journal")).await.unwrap();
        }
        let error = device.publish(2, 2, &text("b")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "it was linked, somewhere: {error:?}");
        assert!(error.to_string().contains("deleted or replaced"), "{error}");
        let error = device.read(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("deleted or replaced: its identity"), "{error}");
        assert_eq!(device.sweep(&[]).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(away.join(".ha-journal/entries/00000000000000000001").exists());
    }
    // Deleted altogether: nothing can be staged, which is certain.
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("root");
    let (device, reader) = (open(&root).await.unwrap(), open(&root).await.unwrap());
    fs::remove_dir_all(&root).unwrap();
    for error in [reader.read(1).await.unwrap_err(), reader.snapshots().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "not an empty journal: {error:?}");
        assert!(error.to_string().contains("deleted or replaced"), "{error}");
    }
    let error = device.publish(1, 1, &text("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("deleted or replaced"), "{error}");
}

#[tokio::test]
async fn what_stands_in_the_way_of_opening_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, b"in the way").unwrap();
    let error = open(&file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("file: name a directory"), "{error}");
    assert!(open(&file.join("below")).await.is_err());

    let blocked = parent.path().join("blocked");
    fs::create_dir_all(blocked.join(".ha-journal")).unwrap();
    fs::write(blocked.join(".ha-journal/entries"), b"in the way").unwrap();
    let error = open(&blocked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("entries"), "{error}");

    for identity in [&b""[..], b"{\"format\":1", b"\0\0\0\0"] {
        let torn = tempfile::tempdir().unwrap();
        drop(open(torn.path()).await.unwrap());
        fs::write(torn.path().join(".ha-journal/identity"), identity).unwrap();
        let error = open(torn.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("identity"), "{error}");
    }
    let newer = tempfile::tempdir().unwrap();
    drop(open(newer.path()).await.unwrap());
    fs::write(newer.path().join(".ha-journal/identity"), b"{\"format\":2}").unwrap();
    assert_eq!(open(newer.path()).await.unwrap_err().kind(), ErrorKind::NewerFormat);
}

#[tokio::test]
async fn two_journals_in_two_directories_know_nothing_of_each_other() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path()).await.unwrap(), open(other.path()).await.unwrap());
    assert_ne!(one.identity(), other.identity());
    assert_eq!(one.publish(1, 1, &text("a")).await, Ok(Published::Won { floor: 0 }));
    assert!(other.read(1).await.unwrap().entries.is_empty());
    assert!(matches!(one.profile().reads, ReadGuarantee::Linearizable | ReadGuarantee::Monotonic));
}

/// What a process without rights is told; run as another user.
const STRANGER: &str = "HA_FILESYSTEM_STRANGER";

#[test]
fn stranger() {
    let Some(directory) = std::env::var_os(STRANGER) else { return };
    let opened = ha_testkit::run::block_on(open(directory.as_ref()));
    println!("stranger: {:?}", opened.map(|_| ()).map_err(|error| (error.kind(), error.to_string())));
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_is_denied_with_its_path() {
    // Fails if a missing permission looks like an empty journal, or like a disk that failed.
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    drop(open(&root).await.unwrap());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The test's own program may lie where the other user does not get to.
    let program = directory.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(["--exact", "directory::stranger", "--nocapture"]).env(STRANGER, &root).current_dir(directory.path());
    let Ok(output) = command.uid(65_534).gid(65_534).output() else {
        return ha_testkit::run::tell("SKIPPED: this user cannot start a process as another one");
    };
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains("Denied") && output.contains("root"), "{output}");
}
