//! `kill -9` at every step of opening, publishing, reading, snapshots and sweeping, in a process of its own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ha_core::journal::{Journal, Published, SnapshotName};
use ha_core::seam::Seam;
use ha_filesystem::disk::{Disk, DiskFile, Folder, RealDisk, Stat};
use ha_filesystem::{FilesystemDevice, FilesystemSettings, Mount, Reach};
use ha_testkit::process::{Process, role};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use crate::{open, text};

/// The real disk, and an end of the process before one of its steps.
#[derive(Debug, Clone)]
struct Deadly {
    disk: Arc<RealDisk>,
    steps: Arc<AtomicU64>,
    at: u64,
}

impl Deadly {
    fn step(&self) -> &RealDisk {
        if self.steps.fetch_add(1, Ordering::SeqCst) == self.at {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        &self.disk
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(DeadlyFile { disk: self.clone(), file })
    }
}

#[derive(Debug)]
struct DeadlyFile {
    disk: Deadly,
    file: Box<dyn DiskFile>,
}

impl DiskFile for DeadlyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Two steps: between them the file is torn.
        let half = bytes.len() / 2;
        self.disk.step();
        self.file.write(&bytes[..half])?;
        self.disk.step();
        self.file.write(&bytes[half..])
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step();
        self.file.sync()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    fn file(&self) -> Option<&File> {
        self.file.file()
    }
}

impl Disk for Deadly {
    fn root(&self) -> &Path {
        self.disk.root()
    }
    fn make_folder(&self, folder: Folder) -> io::Result<()> {
        self.step().make_folder(folder)
    }
    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        self.step().sync_folder(folder)
    }
    fn create(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.step().create(folder, name)?))
    }
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.step().open(folder, name)?))
    }
    fn link(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        self.step().link(staged, folder, name)
    }
    fn rename_new(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        self.step().rename_new(staged, folder, name)
    }
    fn read(&self, folder: Folder, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.step().read(folder, name, bytes_max)
    }
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        self.step().list(folder)
    }
    fn stat(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        self.step().stat(folder, name)
    }
    fn stat_by_path(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        self.step().stat_by_path(folder, name)
    }
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        self.step().remove(folder, name)
    }
}

#[derive(Serialize, Deserialize)]
struct Life {
    directory: PathBuf,
    at: u64,
}

const WRITER: &str = "killed::writer";
const ENTRIES: u64 = 6;

#[test]
fn writer() {
    role(WRITER, |life: Life, stage| async move {
        let disk = Arc::new(RealDisk::open(&life.directory).unwrap());
        let disk = Deadly { disk, steps: Arc::default(), at: life.at };
        let (settings, steps) = (FilesystemSettings::at(&life.directory), Arc::clone(&disk.steps));
        let mount = Mount { name: "tried", reach: Reach::Machine };
        let device = FilesystemDevice::open_on(Arc::new(disk), mount, settings, Seam::system()).await.unwrap();
        stage.tell("opened", device.identity().to_string());
        for number in 1..=ENTRIES {
            let won = device.publish(number, u128::from(number), &text(&format!("entry {number}"))).await;
            assert_eq!(won.map(|_| ()), Ok(()));
            stage.tell("won", number);
            device.read(number).await.unwrap();
            if number.is_multiple_of(2) {
                let name = SnapshotName { number, floor: number - 2 };
                device.put_snapshot(name, &text(&format!("snapshot {number}"))).await.unwrap();
                stage.tell("snapshot", number);
                device.sweep(&[]).await.unwrap();
            }
        }
        device.close().await;
        stage.tell("steps", steps.load(Ordering::SeqCst));
        std::future::pending().await
    });
}

/// What is left in the directory is all that was told, whole, and goes on.
async fn judge(directory: &Path, process: &Process, at: u64) {
    let device = open(directory).await.unwrap_or_else(|error| panic!("step {at}: {error:?}"));
    let events = process.events();
    let numbers = |name: &str| {
        let told = events.iter().filter(|event| event.name == name);
        told.filter_map(|event| event.value.as_u64()).collect::<Vec<_>>()
    };
    if let Some(opened) = events.iter().find(|event| event.name == "opened") {
        assert_eq!(opened.value, device.identity().to_string(), "step {at}");
    }
    let snapshots = device.snapshots().await.unwrap();
    for name in &snapshots {
        let bytes = device.read_snapshot(*name).await.unwrap();
        assert_eq!(bytes, Some(text(&format!("snapshot {}", name.number))), "step {at}");
    }
    let newest = snapshots.first().map_or(0, |name| name.number);
    let acknowledged = numbers("snapshot").into_iter().max().unwrap_or(0);
    assert!(newest >= acknowledged, "step {at}: a snapshot is lost");
    let floor = snapshots.iter().map(|name| name.floor).max().unwrap_or(0);
    let read = device.read(floor + 1).await.unwrap();
    assert_eq!(read.floor, floor);
    for (number, bytes) in (floor + 1..).zip(&read.entries) {
        assert_eq!(*bytes, format!("entry {number}"), "step {at}");
    }
    let last = floor + read.entries.len() as u64;
    let won = numbers("won").into_iter().max().unwrap_or(0);
    assert!(last >= won, "step {at}: entry {won} was acknowledged, {last} is the last one");
    assert_eq!(device.publish(last + 1, 99, &text("next")).await, Ok(Published::Won { floor }), "step {at}");
    device.sweep(&[]).await.unwrap();
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_step_leaves_what_it_told() {
    // Fails if any step leaves something that the next process cannot open, or takes for an entry.
    let seam = Seam::system();
    let spawn =
        |directory: &Path, at| Process::spawn(seam.clone(), WRITER, &Life { directory: directory.to_owned(), at });
    let whole = tempfile::tempdir().unwrap();
    let process = spawn(whole.path(), u64::MAX);
    let steps = process.told("steps").await.value.as_u64().unwrap();
    judge(whole.path(), &process, u64::MAX).await;
    drop(process);
    assert!(steps > 100, "{steps}");
    for at in 0..steps {
        let directory = tempfile::tempdir().unwrap();
        let mut process = spawn(directory.path(), at);
        assert!(!process.exited().await.success(), "step {at}: {}", process.errors());
        judge(directory.path(), &process, at).await;
    }
    ha_testkit::run::tell(format_args!("killed at each of {steps} steps, recovered each time"));
}
