//! What others may put in the place of our files: the journal says so, and neither hangs nor forgets.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ha_core::ErrorKind;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome};
use ha_core::journal::{Journal, JournalBackend, JournalOptions};
use ha_core::seam::Seam;

use crate::{open, run};

const PATIENCE: Duration = Duration::from_secs(30);

async fn backend(root: &Path, seam: &Seam) -> Result<Arc<JournalBackend>, ha_core::Error> {
    let options = JournalOptions::default().with_points(4, 1 << 20);
    let opening = async { JournalBackend::open(Arc::new(open(root).await?), seam.clone(), options).await };
    seam.timeout(PATIENCE, opening).await.expect("opening hangs")
}

/// Makes one of what is no regular file.
fn make(what: usize, path: &Path) {
    match what {
        0 => assert!(run(std::process::Command::new("mkfifo").arg(path)), "mkfifo"),
        1 => fs::create_dir(path).unwrap(),
        2 => symlink("/dev/zero", path).unwrap(),
        3 => symlink("nowhere", path).unwrap(),
        _ => drop(UnixListener::bind(path).unwrap()),
    }
}

#[tokio::test]
async fn what_is_no_file_in_the_place_of_the_next_entry_is_told_and_holds_nobody() {
    let seam = Seam::system();
    for what in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let journal = backend(root, &seam).await.unwrap();
        make(what, &root.join(".ha-journal/entries/00000000000000000001"));
        let key = Key::new("k").unwrap();
        let commit = Commit::new(seam.write_id()).put(key.clone(), Expect::Absent, "v".into());
        let read = seam.timeout(PATIENCE, journal.read(&key)).await.expect("a read hangs").unwrap_err();
        assert!(matches!(read.kind(), ErrorKind::Corrupt | ErrorKind::Unavailable), "{what}: {read}");
        assert!(read.to_string().contains("entries/00000000000000000001"), "{what}: {read}");
        let error = seam.timeout(PATIENCE, journal.commit(&commit)).await.expect("a commit hangs").unwrap_err();
        assert_ne!(error.kind(), ErrorKind::Closed, "{what}: {error}");
        let opened = backend(root, &seam).await.unwrap_err();
        assert!(opened.to_string().contains("00000000000000000001"), "{what}: {opened}");
        // It is no file of ours, and so it is still there.
        let path = root.join(".ha-journal/entries/00000000000000000001");
        assert!(path.symlink_metadata().is_ok());
        if path.symlink_metadata().unwrap().is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) }.unwrap();
        let applied = seam.timeout(PATIENCE, journal.commit(&commit)).await.expect("a commit hangs");
        assert!(matches!(applied, Ok(Outcome::Applied { .. })), "{what}: {applied:?}");
    }
}

#[tokio::test]
async fn what_is_no_file_in_the_place_of_the_newest_snapshot_is_done_without_as_a_damaged_one() {
    let seam = Seam::system();
    for what in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let (root, snapshots) = (directory.path(), directory.path().join(".ha-journal/snapshots"));
        let journal = backend(root, &seam).await.unwrap();
        for n in 0..20 {
            let key = Key::new(format!("k/{n}")).unwrap();
            let commit = Commit::new(seam.write_id()).put(key, Expect::Absent, "v".into());
            assert!(matches!(journal.commit(&commit).await, Ok(Outcome::Applied { .. })));
        }
        let newest = snapshots.join("00000000000000000020-00000000000000000016");
        let made = async {
            while !newest.exists() {
                seam.sleep(Duration::from_millis(5)).await;
            }
        };
        seam.timeout(PATIENCE, made).await.expect("no snapshot is made");
        journal.close().await.unwrap();
        fs::remove_file(&newest).unwrap();
        make(what, &newest);
        let journal = backend(root, &seam).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(journal.read(&Key::new("k/19").unwrap()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn names_at_the_end_of_all_numbers_overflow_nothing() {
    let seam = Seam::system();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let journal = backend(root, &seam).await.unwrap();
    let folder = root.join(".ha-journal");
    for name in ["18446744073709551615", "18446744073709551614", "99999999999999999999", "00000000000000000000"] {
        fs::write(folder.join("entries").join(name), b"foreign").unwrap();
    }
    // Below its own floor, and without a number: nobody takes these for snapshots.
    for name in ["00000000000000000003-18446744073709551615", "00000000000000000000-00000000000000000000"] {
        fs::write(folder.join("snapshots").join(name), b"foreign").unwrap();
    }
    for n in 0..20 {
        let key = Key::new(format!("k/{n}")).unwrap();
        let commit = Commit::new(seam.write_id()).put(key, Expect::Absent, "v".into());
        let outcome = journal.commit(&commit).await;
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{outcome:?}");
    }
    assert!(backend(root, &seam).await.unwrap().read(&Key::new("k/19").unwrap()).await.unwrap().is_some());
    // One that leads to the last number of all is believed to be there, and its bytes are not: loudly.
    fs::write(folder.join("snapshots/18446744073709551615-18446744073709551614"), b"foreign").unwrap();
    let error = backend(root, &seam).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("18446744073709551615"), "{error}");
    let key = Key::new("late").unwrap();
    let commit = Commit::new(seam.write_id()).put(key, Expect::Absent, "v".into());
    let error = seam.timeout(PATIENCE, journal.commit(&commit)).await.expect("a commit hangs").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Indeterminate | ErrorKind::Corrupt), "{error}");
    assert!(folder.join("entries/18446744073709551615").exists());
}

#[tokio::test]
async fn what_is_foreign_in_the_place_of_a_holder_is_no_evidence_and_stays() {
    // Fails if a file of somebody else is replaced, or holds up whoever looks at it.
    let (seam, session) = (Seam::system(), "0b54e54f");
    for what in 0..6 {
        let directory = tempfile::tempdir().unwrap();
        let device = open(directory.path()).await.unwrap();
        let Some(witness) = device.witness() else {
            return ha_testkit::run::tell("SKIPPED: no locks here");
        };
        let path = directory.path().join(".ha-journal/holders").join(session);
        match what {
            5 => fs::write(&path, b"foreign").unwrap(),
            _ => make(what, &path),
        }
        let told = seam.timeout(PATIENCE, witness.testify(session)).await.expect("it hangs");
        assert!(told.is_none(), "{what}");
        let found = path.symlink_metadata().unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let (boot, device, inode) = (boot.trim(), found.dev(), found.ino());
        for record in [
            format!(r#"{{"boot":"{boot}","device":{device},"inode":{inode}}}"#),
            format!(r#"{{"boot":"{boot}","device":-1,"inode":18446744073709551616}}"#),
            "[".repeat(1024),
        ] {
            let silent = seam.timeout(Duration::from_millis(100), witness.death(session, &record)).await.is_none();
            assert!(silent || what == 5, "{what}: {record}");
        }
        let (other, text) = (open(directory.path()).await.unwrap(), crate::text("a"));
        assert!(seam.timeout(PATIENCE, other.publish(1, 1, &text)).await.expect("a publish hangs").is_ok());
        assert!(path.symlink_metadata().is_ok(), "{what}: it is gone");
    }
}
