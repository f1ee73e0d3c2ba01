//! What a process does with a journal, what it was told, and whether that is still true for another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ha_core::backend::ReadGuarantee;
use ha_core::journal::{Journal, Published, SnapshotName};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use ha_filesystem::{FilesystemDevice, FilesystemSettings, Mount, Reach};

use crate::disk::{Fault, Recorded, World};

const ROUNDS: u64 = 7;
/// The round in which another handle is faster.
const RIVAL: u64 = 2;

/// All that one process was told.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Entries that were acknowledged or read.
    shown: BTreeMap<u64, Bytes>,
    /// Entries that certainly are none.
    refused: BTreeSet<Bytes>,
    snapshots: Vec<SnapshotName>,
    identity: Option<u128>,
    pub errors: Vec<Error>,
}

impl Ledger {
    fn show(&mut self, number: u64, floor: u64, bytes: &Bytes) {
        if floor >= number {
            return;
        }
        let before = self.shown.insert(number, bytes.clone());
        assert!(before.is_none_or(|before| before == bytes), "number {number} has two contents");
    }

    async fn read(&mut self, device: &FilesystemDevice, from: u64) -> Option<Vec<Bytes>> {
        match device.read(from).await {
            Ok(read) => {
                for (number, bytes) in (from..).zip(&read.entries) {
                    self.show(number, read.floor, bytes);
                }
                Some(read.entries)
            }
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }
}

pub async fn open(disk: Arc<Recorded>) -> Result<FilesystemDevice, Error> {
    let mount = Mount { name: "recorded", reach: Reach::Machine };
    assert_eq!(mount.reads(), ReadGuarantee::Linearizable);
    FilesystemDevice::open_on(disk, mount, FilesystemSettings::at("recorded-disk"), Seam::system()).await
}

fn entry(round: u64) -> Bytes {
    Bytes::from(format!("entry {round} {}", "x".repeat(round as usize)))
}

fn rival() -> Bytes {
    Bytes::from_static(b"the rival's")
}

fn snapshot(name: SnapshotName) -> Bytes {
    Bytes::from(format!("snapshot of all up to {}", name.number))
}

/// Publishes, reads, makes snapshots and sweeps, as the protocol does it.
pub async fn play(disk: Arc<Recorded>, world: &Arc<Mutex<World>>, ledger: &mut Ledger, has_links: bool) {
    let device = match open(disk).await {
        Ok(device) => device,
        Err(error) => return ledger.errors.push(error),
    };
    ledger.identity = Some(device.identity());
    let (mut next, mut floor) = (1, 0);
    for round in 0..ROUNDS {
        if round == RIVAL {
            let disk = if has_links { Recorded::on } else { Recorded::without_links }(world, Fault::None);
            let other = open(disk).await.unwrap();
            if other.publish(next, 1000, &rival()).await == Ok(Published::Won { floor }) {
                ledger.show(next, floor, &rival());
            }
        }
        publish(&device, round, &mut next, ledger).await;
        ledger.read(&device, next).await;
        if round % 2 == 1 && next - 1 > floor {
            let name = SnapshotName { number: next - 1, floor };
            match device.put_snapshot(name, &snapshot(name)).await {
                Ok(()) => {
                    ledger.snapshots.push(name);
                    floor = name.number;
                    ledger.errors.extend(device.sweep(&[]).await.err());
                }
                Err(error) => ledger.errors.push(error),
            }
        }
    }
    device.close().await;
}

async fn publish(device: &FilesystemDevice, round: u64, next: &mut u64, ledger: &mut Ledger) {
    let bytes = entry(round);
    for _ in 0..4 {
        match device.publish(*next, u128::from(round), &bytes).await {
            Ok(Published::Won { floor }) => {
                ledger.show(*next, floor, &bytes);
                *next += 1;
                return;
            }
            Ok(Published::Taken) => {
                let Some(read) = ledger.read(device, *next).await else { return };
                *next += read.len() as u64;
                if read.contains(&bytes) {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Indeterminate => {
                ledger.errors.push(error);
                let Some(read) = ledger.read(device, *next).await else { return };
                *next += read.len() as u64;
                return;
            }
            Err(error) => {
                ledger.errors.push(error);
                ledger.refused.insert(bytes);
                return;
            }
        }
    }
}

/// Another process reads all that is there. What it was shown is added to the ledger.
pub async fn observe(world: &Arc<Mutex<World>>, ledger: &mut Ledger, has_links: bool) {
    let disk = if has_links { Recorded::on } else { Recorded::without_links }(world, Fault::None);
    let device = open(disk).await.unwrap();
    let mut next = device.snapshots().await.unwrap().first().map_or(1, |name| name.floor + 1);
    while let Some(read @ 1..) = ledger.read(&device, next).await.map(|entries| entries.len()) {
        next += read as u64;
    }
    // A sweep that rests on what others made.
    device.sweep(&[]).await.unwrap();
}

/// Another process, on what the disk holds now: all that was told is true, and it goes on.
pub async fn verify(world: World, ledger: &Ledger, has_links: bool, what: &str) {
    let world = Arc::new(Mutex::new(world));
    let disk = if has_links { Recorded::on } else { Recorded::without_links }(&world, Fault::None);
    let device = open(disk).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert!(ledger.identity.is_none_or(|id| id == device.identity()), "{what}: another journal");
    let snapshots = device.snapshots().await.unwrap();
    for name in &snapshots {
        let read = device.read_snapshot(*name).await.unwrap();
        assert_eq!(read, Some(snapshot(*name)), "{what}: a snapshot is not whole");
    }
    for name in &ledger.snapshots {
        let newer = snapshots.iter().filter(|other| *other > name).count();
        assert!(snapshots.contains(name) || newer >= 2, "{what}: snapshot {name:?} is lost, there is {snapshots:?}");
    }
    let floor = snapshots.iter().map(|name| name.floor).max().unwrap_or(0);
    let mut found = BTreeMap::new();
    let mut next = floor + 1;
    loop {
        let read = device.read(next).await.unwrap();
        assert_eq!(read.floor, floor, "{what}");
        if read.entries.is_empty() {
            break;
        }
        for bytes in read.entries {
            found.insert(next, bytes);
            next += 1;
        }
    }
    for (number, bytes) in ledger.shown.iter().filter(|(number, _)| **number > floor) {
        assert_eq!(found.get(number), Some(bytes), "{what}: entry {number} is lost or changed");
    }
    let whole: BTreeSet<Bytes> = (0..ROUNDS).map(entry).chain([rival()]).collect();
    for (number, bytes) in &found {
        assert!(whole.contains(bytes), "{what}: entry {number} is torn: {bytes:?}");
        assert!(!ledger.refused.contains(bytes), "{what}: entry {number} was said to be none");
    }
    let unique: BTreeSet<&Bytes> = found.values().collect();
    assert_eq!(unique.len(), found.len(), "{what}: one entry has two numbers: {found:?}");
    let last = Bytes::from_static(b"after recovery");
    assert_eq!(device.publish(next, 2000, &last).await, Ok(Published::Won { floor }), "{what}");
    assert_eq!(device.read(next).await.unwrap().entries, [last], "{what}");
    device.sweep(&[]).await.unwrap();
}
