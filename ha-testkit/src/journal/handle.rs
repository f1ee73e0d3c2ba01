use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::journal::{DeviceProfile, Journal, Published, Read, SnapshotName, Witness};
use ha_core::{Error, ErrorKind};

use super::{Faults, Medium, PublishFault, ReadFault};

/// The largest entry, in bytes.
const ENTRY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A read ends after so many bytes.
const READ_BYTES: usize = 1024 * 1024;

/// What one process has of a [`MemoryJournal`](super::MemoryJournal).
pub struct MemoryHandle {
    medium: Arc<Medium>,
    faults: Faults,
    closed: AtomicBool,
}

impl MemoryHandle {
    pub(super) fn new(medium: Arc<Medium>) -> Self {
        Self { medium, faults: Faults::default(), closed: AtomicBool::new(false) }
    }

    /// What goes wrong with it.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn check(&self, operation: &'static str) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, operation).because("the device was closed"));
        }
        if self.faults.is_cut_off() {
            return Err(Error::new(ErrorKind::Unavailable, operation).because("the device is cut off"));
        }
        Ok(())
    }

    /// Publishes with one thing going wrong.
    async fn publish_with(&self, fault: PublishFault, number: u64, bytes: &Bytes) -> Result<Published, Error> {
        let lost = || Error::new(ErrorKind::Indeterminate, "link").at(number).because("the answer was lost");
        match fault {
            PublishFault::FailBefore => {
                Err(Error::new(ErrorKind::Unavailable, "stage").at(number).because("no space left"))
            }
            PublishFault::FailAfter => {
                self.medium.link(number, bytes);
                Err(lost())
            }
            PublishFault::Later(by) => {
                let (medium, bytes) = (Arc::clone(&self.medium), bytes.clone());
                let late = async move {
                    medium.seam.sleep(by).await;
                    medium.link(number, &bytes);
                };
                self.medium.seam.spawn(late).detach();
                Err(lost())
            }
            PublishFault::LaterThan(gate) => {
                let (medium, bytes) = (Arc::clone(&self.medium), bytes.clone());
                let late = async move {
                    gate.pass().await;
                    medium.link(number, &bytes);
                };
                self.medium.seam.spawn(late).detach();
                Err(lost())
            }
            PublishFault::Hang => std::future::pending().await,
            PublishFault::HeldBefore(gate) => {
                gate.pass().await;
                Ok(self.medium.link(number, bytes))
            }
            PublishFault::HeldAfter(gate) => {
                let published = self.medium.link(number, bytes);
                gate.pass().await;
                Ok(match published {
                    Published::Won { .. } => Published::Won { floor: self.medium.files().floor() },
                    Published::Taken => Published::Taken,
                })
            }
            PublishFault::SaysTaken => {
                self.medium.link(number, bytes);
                Ok(Published::Taken)
            }
        }
    }

    fn find(&self, from: u64) -> Vec<Bytes> {
        let files = self.medium.files();
        let mut bytes = 0;
        let found = (from..).map_while(|number| files.entries.get(&number));
        let fits = |entry: &&Bytes| {
            let fits = bytes < READ_BYTES;
            bytes += entry.len();
            fits
        };
        found.take_while(fits).cloned().collect()
    }
}

#[async_trait]
impl Journal for MemoryHandle {
    fn profile(&self) -> DeviceProfile {
        DeviceProfile::new("memory-journal", ENTRY_BYTES_MAX).with_reads(self.medium.reads)
    }

    fn identity(&self) -> u128 {
        self.medium.identity
    }

    async fn publish(&self, number: u64, _entry: u128, bytes: &Bytes) -> Result<Published, Error> {
        self.check("publish")?;
        let (before, after) = self.faults.delays();
        if !before.is_zero() {
            self.medium.seam.sleep(before).await;
        }
        let published = match self.faults.next_publish(&self.medium.seam) {
            Some(fault) => self.publish_with(fault, number, bytes).await,
            None => Ok(self.medium.link(number, bytes)),
        };
        if !after.is_zero() {
            self.medium.seam.sleep(after).await;
        }
        published
    }

    async fn read(&self, from: u64) -> Result<Read, Error> {
        self.check("read")?;
        let mut gate = None;
        match self.faults.next_read(&self.medium.seam) {
            Some(ReadFault::Fail) => {
                return Err(Error::new(ErrorKind::Unavailable, "read").at(from).because("input/output error"));
            }
            Some(ReadFault::Stale) => return Ok(Read { entries: Vec::new(), floor: self.medium.files().floor() }),
            Some(ReadFault::Held(gate)) => gate.pass().await,
            Some(ReadFault::HeldBeforeFloor(held)) => gate = Some(held),
            None => {}
        }
        let entries = self.find(from);
        if let Some(gate) = gate {
            gate.pass().await;
        }
        Ok(Read { entries, floor: self.medium.files().floor() })
    }

    async fn snapshots(&self) -> Result<Vec<SnapshotName>, Error> {
        self.check("list snapshots")?;
        Ok(self.medium.files().snapshots.keys().rev().copied().collect())
    }

    async fn read_snapshot(&self, name: SnapshotName) -> Result<Option<Bytes>, Error> {
        self.check("read a snapshot")?;
        Ok(self.medium.files().snapshots.get(&name).cloned())
    }

    async fn put_snapshot(&self, name: SnapshotName, bytes: &Bytes) -> Result<(), Error> {
        self.check("put a snapshot")?;
        let mut files = self.medium.files();
        let there = files.snapshots.entry(name).or_insert_with(|| bytes.clone());
        assert!(*there == *bytes, "two handles made different snapshots of {name:?}");
        Ok(())
    }

    async fn sweep(&self, _sessions: &[String]) -> Result<(), Error> {
        self.check("sweep")?;
        let mut files = self.medium.files();
        let floor = files.floor();
        files.entries = files.entries.split_off(&(floor + 1));
        while files.snapshots.len() > 2 {
            files.snapshots.pop_first();
        }
        Ok(())
    }

    async fn appended(&self, number: u64, patience: Duration) {
        let patience = self.medium.seam.sleep(patience);
        if self.faults.is_deaf() {
            return patience.await;
        }
        let there = async {
            loop {
                let appended = self.medium.appended.notified();
                {
                    let files = self.medium.files();
                    if files.entries.contains_key(&number) || files.floor() >= number {
                        return;
                    }
                }
                appended.await;
            }
        };
        tokio::select! {
            biased;
            () = there => {}
            () = patience => {}
        }
    }

    fn witness(&self) -> Option<Arc<dyn Witness>> {
        let witness = self.medium.witness.clone()?;
        Some(witness)
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

impl fmt::Debug for MemoryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHandle").field("faults", &self.faults).finish_non_exhaustive()
    }
}
