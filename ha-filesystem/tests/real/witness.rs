use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ha_core::journal::{Journal, Witness};
use ha_core::seam::Seam;
use ha_testkit::process::{Process, role};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::open;

/// How long something is watched that must not happen. Longer would find no more.
const WATCHED: Duration = Duration::from_millis(100);
const SESSION: &str = "session-1";

#[derive(Serialize, Deserialize)]
struct Holding {
    directory: PathBuf,
    /// While this file exists, a child of the holder keeps its lock.
    child_while: Option<PathBuf>,
}

const HOLDER: &str = "witness::holder";

#[test]
fn holder() {
    role(HOLDER, |holding: Holding, stage| async move {
        let device = open(&holding.directory).await.unwrap();
        let Some(child_while) = holding.child_while else {
            let witness = device.witness().expect("a local file system");
            let testimony = witness.testify(SESSION).await.expect("a lock");
            stage.tell("testimony", &testimony.record);
            return std::future::pending().await;
        };
        // The same by hand, because the open file is needed to hand it on.
        let path = holding.directory.join(".ha-journal/holders").join(SESSION);
        let file = File::create_new(path).unwrap();
        file.try_lock().unwrap();
        let found = file.metadata().unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let record = json!({"boot": boot.trim(), "device": found.dev(), "inode": found.ino()}).to_string();
        let script = r#"while [ -e "$1" ]; do sleep 0.02; done"#;
        let mut child = Command::new("sh");
        child.args(["-c", script, "sh"]).arg(child_while).stdin(Stdio::from(file.try_clone().unwrap()));
        drop(child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        stage.tell("testimony", &record);
        std::future::pending().await
    });
}

async fn testimony(process: &Process) -> String {
    process.told("testimony").await.value.as_str().unwrap().to_owned()
}

async fn is_silent(witness: &Arc<dyn Witness>, testimony: &str) -> bool {
    Seam::system().timeout(WATCHED, witness.death(SESSION, testimony)).await.is_none()
}

#[tokio::test]
async fn a_killed_process_is_known_to_be_dead_and_a_stopped_one_is_not() {
    // Fails if a paused leader is robbed, or a dead one is waited for.
    let directory = tempfile::tempdir().unwrap();
    let watcher = open(directory.path()).await.unwrap();
    let Some(witness) = watcher.witness() else { return ha_testkit::run::tell("SKIPPED: no locks here") };
    let holding = Holding { directory: directory.path().into(), child_while: None };
    let mut process = Process::spawn(Seam::system(), HOLDER, &holding);
    let testimony = testimony(&process).await;
    assert!(is_silent(&witness, &testimony).await);
    process.stop().await;
    assert!(is_silent(&witness, &testimony).await);
    process.cont();
    watcher.sweep(&[]).await.unwrap();
    let death = witness.death(SESSION, &testimony);
    let at = process.kill();
    death.await;
    ha_testkit::run::tell(format_args!("known {:?} after the kill", Seam::system().now().since(at)));
    // Whoever asks later hears the same.
    witness.death(SESSION, &testimony).await;
}

#[tokio::test]
async fn a_child_that_keeps_the_lock_leaves_it_to_silence() {
    // Fails if the end of the holder alone is taken for the end of all who can write.
    let directory = tempfile::tempdir().unwrap();
    let watcher = open(directory.path()).await.unwrap();
    let Some(witness) = watcher.witness() else { return ha_testkit::run::tell("SKIPPED: no locks here") };
    let child_while = directory.path().join("child");
    fs::write(&child_while, []).unwrap();
    let holding = Holding { directory: directory.path().into(), child_while: Some(child_while.clone()) };
    let mut process = Process::spawn(Seam::system(), HOLDER, &holding);
    let testimony = testimony(&process).await;
    process.kill();
    process.exited().await;
    assert!(is_silent(&witness, &testimony).await);
    fs::remove_file(child_while).unwrap();
    witness.death(SESSION, &testimony).await;
}

#[tokio::test]
async fn what_is_not_the_very_lock_is_no_evidence() {
    // Fails if a free lock of another boot, another file or another machine's names a living process dead.
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (open(directory.path()).await.unwrap(), open(directory.path()).await.unwrap());
    let Some(witness) = other.witness() else { return ha_testkit::run::tell("SKIPPED: no locks here") };
    let testimony = one.witness().unwrap().testify(SESSION).await.unwrap();
    assert!(one.witness().unwrap().testify(SESSION).await.is_none(), "once for each session");
    for odd in ["", "..", "a/b", ".hidden"] {
        assert!(one.witness().unwrap().testify(odd).await.is_none(), "{odd:?}");
    }
    assert!(testimony.record.len() <= 1024);
    let path = directory.path().join(".ha-journal/holders").join(SESSION);
    let found = fs::metadata(&path).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim();
    let none = "00000000-0000-0000-0000-000000000000";
    let foreign = [
        String::new(),
        "{}".into(),
        json!({"boot": none, "device": found.dev(), "inode": found.ino()}).to_string(),
        json!({"boot": boot, "device": found.dev() + 1, "inode": found.ino()}).to_string(),
        json!({"boot": boot, "device": found.dev(), "inode": found.ino() + 1}).to_string(),
    ];
    for record in &foreign {
        assert!(is_silent(&witness, record).await, "{record}");
    }
    // Moved away, and something else in its place, with a lock that is free.
    fs::rename(&path, path.with_file_name("moved")).unwrap();
    assert!(is_silent(&witness, &testimony.record).await, "missing");
    fs::write(&path, b"ha-holder 1\n").unwrap();
    assert!(is_silent(&witness, &testimony.record).await, "replaced");
    fs::rename(path.with_file_name("moved"), &path).unwrap();
    let record = testimony.record.clone();
    drop(testimony);
    witness.death(SESSION, &record).await;
}

#[tokio::test]
async fn a_sweep_leaves_the_files_of_the_living_alone_however_old_they_are() {
    // Fails if a standby that waits for days loses its evidence before it leads.
    let directory = tempfile::tempdir().unwrap();
    let device = open(directory.path()).await.unwrap();
    let Some(witness) = device.witness() else { return ha_testkit::run::tell("SKIPPED: no locks here") };
    let living = witness.testify("living").await.unwrap();
    let gone = witness.testify("gone").await.unwrap();
    let known = witness.testify("known").await.unwrap();
    let holders = directory.path().join(".ha-journal/holders");
    for name in ["living", "gone", "known"] {
        let file = File::options().write(true).open(holders.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    drop((gone, known));
    device.sweep(&["known".into()]).await.unwrap();
    assert!(holders.join("living").exists() && holders.join("known").exists());
    assert!(!holders.join("gone").exists());
    drop(living);
    device.sweep(&[]).await.unwrap();
    assert_eq!(fs::read_dir(&holders).unwrap().count(), 0);
}
