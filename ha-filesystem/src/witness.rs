use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ha_core::journal::{Keep, Testimony, Witness};
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile, Folder};
use crate::front::Front;
use crate::shared::Shared;
use crate::waiters;
use crate::worker::Worker;
use crate::{failure, names};

/// What stands in a holder file, so that nothing else is collected.
const MARK: &[u8] = b"ha-holder 1\n";
const TESTIFY: &str = "bear witness";

/// Evidence by a lock of the operating system: it ends with the process, whatever ends that, and the kernel wakes
/// whoever waits for it.
///
/// # To ensure correctness
/// A free lock is evidence only if it is the very lock that the holder took. The holder keeps the file open, so while
/// it lives no other file has the same inode on the same device; and a kernel that was started anew has another boot
/// id. Locks of network file systems are given up by servers, and are no evidence.
///
/// A process that inherited the open file (a fork without an exec; an exec closes it) keeps the lock after the
/// holder's death: then silence decides. A process that dumps its core keeps it until the dump is written. Process ids
/// play no part. Clones of a virtual machine have one boot id, and no file system of this kind in common.
#[derive(Debug)]
pub(crate) struct LockWitness {
    shared: Arc<Shared>,
    front: Arc<Worker<Front>>,
    boot: String,
}

/// What others need to find the lock again.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    boot: String,
    device: u64,
    inode: u64,
}

impl LockWitness {
    /// `None` where a free lock says nothing.
    pub(crate) fn new(shared: Arc<Shared>, front: Arc<Worker<Front>>) -> Option<Self> {
        let may = shared.locks && shared.mount.is_local();
        let boot = boot_id().filter(|_| may)?;
        Some(Self { shared, front, boot })
    }

    async fn wait(&self, session: &str, testimony: &str) -> Option<()> {
        let record: Record = serde_json::from_str(testimony).ok()?;
        // Another start of the machine, or another machine: nothing here is the lock that was taken.
        if record.boot != self.boot || !names::is_holder(session) {
            return None;
        }
        let (shared, session) = (Arc::clone(&self.shared), session.to_owned());
        let waiting = self.front.run(move |_| {
            shared.usable()?;
            let fail = |error| failure::failed("look at a holder", shared.path(Folder::Holders, &session), error);
            let file = shared.disk.open(Folder::Holders, &session).map_err(fail)?;
            let found = file.stat().map_err(fail)?;
            let is_same = found.is_file && (found.device, found.inode) == (record.device, record.inode);
            Ok(is_same.then(|| waiters::released(file, found)))
        });
        waiting.await.ok()??.await
    }
}

#[async_trait]
impl Witness for LockWitness {
    async fn testify(&self, session: &str) -> Option<Testimony> {
        let (shared, name) = (Arc::clone(&self.shared), session.to_owned());
        let kept = self.front.run(move |_| {
            shared.usable()?;
            take(&shared, &name).map_err(|error| failure::failed(TESTIFY, shared.path(Folder::Holders, &name), error))
        });
        match kept.await {
            Ok((file, found)) => {
                let record = Record { boot: self.boot.clone(), device: found.device, inode: found.inode };
                let record = serde_json::to_string(&record).expect("numbers and a text are JSON");
                Some(Testimony { record, keep: Box::new(Held(Mutex::new(file))) })
            }
            Err(error) => {
                tracing::warn!(?error, session, "no evidence for this session: its end is found out by its silence");
                None
            }
        }
    }

    async fn death(&self, session: &str, testimony: &str) {
        if self.wait(session, testimony).await.is_none() {
            std::future::pending().await
        }
    }
}

/// Makes the holder file. It is locked and marked before it has its name, so that nobody finds it otherwise. Not
/// fsynced: it says nothing after a loss of power.
fn take(shared: &Shared, session: &str) -> io::Result<(Box<dyn DiskFile>, crate::disk::Stat)> {
    if !names::is_holder(session) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the session's name cannot be that of a file"));
    }
    let staged = names::staged(shared.seam.random_u64(), shared.seam.random_u64());
    let mut file = shared.disk.create(Folder::Staged, &staged)?;
    let taken = (|| {
        let lock = file.file().ok_or(io::ErrorKind::Unsupported)?;
        lock.try_lock().map_err(io::Error::from)?;
        file.write(MARK)?;
        if let Err(error) = shared.name(&staged, Folder::Holders, session) {
            // One that is locked bears witness, and what is not marked is not ours: neither is touched.
            if error.kind() != io::ErrorKind::AlreadyExists || !is_abandoned(&*shared.disk, session) {
                return Err(error);
            }
            // Made by an earlier call for the same session, whose caller had gone: no journal tells of that one.
            shared.disk.remove(Folder::Holders, session)?;
            shared.name(&staged, Folder::Holders, session)?;
        }
        file.stat()
    })();
    // Gone already after a rename; else a leftover that is collected one day.
    let _ = shared.disk.remove(Folder::Staged, &staged);
    taken.map(|found| (file, found))
}

/// Whether nobody holds that file, and it is one of ours.
pub(crate) fn is_abandoned(disk: &dyn Disk, session: &str) -> bool {
    // One that was made and never written is left alone too: it may be somebody else's.
    if disk.read(Folder::Holders, session, MARK.len() as u64).is_ok_and(|bytes| bytes == MARK) {
        let opened = disk.open(Folder::Holders, session);
        // Shared: it keeps nobody out who waits for the same. Let go by closing the file.
        return opened.is_ok_and(|file| file.file().is_none_or(|file| file.try_lock_shared().is_ok()));
    }
    false
}

#[derive(Debug)]
struct Held(Mutex<Box<dyn DiskFile>>);

impl Keep for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // Not by closing alone: a child may have inherited the open file. The file stays, so that whoever comes to
        // look sees a free lock; it is collected one day.
        let file = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(Err(error)) = file.file().map(fs::File::unlock) {
            tracing::debug!(%error, "the lock goes with the file");
        }
    }
}

/// Changes with each start of the kernel, and is the same in all containers on it.
fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    let is_id = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| id.to_owned())
}
