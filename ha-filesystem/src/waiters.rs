//! Threads that wait for locks. One for each file in this process, however many ask: such a wait cannot be taken back,
//! it ends when the lock is given.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::disk::{DiskFile, Stat};

/// How many locks are waited for at once; the next ones are found out by silence.
const WAITERS_MAX: usize = 1024;

type Waiting = BTreeMap<(u64, u64), watch::Receiver<bool>>;

static WAITING: Mutex<Waiting> = Mutex::new(Waiting::new());

fn waiting() -> MutexGuard<'static, Waiting> {
    // A panic leaves at most a file that nobody waits for any more.
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resolves when whoever held the file's lock let go of it; `None` if that cannot be found out.
///
/// # Cancel safety
/// The wait goes on for the next one who asks.
pub(crate) fn released(file: Box<dyn DiskFile>, found: Stat) -> impl Future<Output = Option<()>> + Send + 'static {
    let receiver = join(file, found);
    async move { receiver?.wait_for(|released| *released).await.ok().map(drop) }
}

fn join(file: Box<dyn DiskFile>, found: Stat) -> Option<watch::Receiver<bool>> {
    let key = (found.device, found.inode);
    let mut waiting = waiting();
    // While its thread waits, the file is open there and its inode is not used again: the key is that file.
    if let Some(receiver) = waiting.get(&key) {
        return Some(receiver.clone());
    }
    if waiting.len() >= WAITERS_MAX {
        tracing::warn!(waiting = WAITERS_MAX, "no more locks are waited for: silence decides");
        return None;
    }
    let (sender, receiver) = watch::channel(false);
    let wait = move || {
        let is_free = wait(&*file, found).is_ok_and(|same| same);
        // Off the list before it is told: who asks after that looks at the file anew.
        self::waiting().remove(&key);
        if is_free {
            sender.send_replace(true);
        }
    };
    std::thread::Builder::new().name("ha-fs-witness".into()).stack_size(128 << 10).spawn(wait).ok()?;
    waiting.insert(key, receiver.clone());
    Some(receiver)
}

/// Waits for the lock. Whether the file is still the one that was asked for.
fn wait(file: &dyn DiskFile, found: Stat) -> io::Result<bool> {
    let lock = file.file().ok_or(io::ErrorKind::Unsupported)?;
    loop {
        match lock.lock_shared() {
            Ok(()) => return Ok(file.stat()?.same_file(&found)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, Folder, RealDisk};

    fn count(found: Stat) -> usize {
        usize::from(waiting().contains_key(&(found.device, found.inode)))
    }

    #[tokio::test]
    async fn however_often_one_asks_one_thread_waits_and_none_is_left() {
        // Fails if each look at a living holder leaves a thread behind.
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(directory.path()).unwrap();
        Folder::MADE.iter().for_each(|folder| disk.make_folder(*folder).unwrap());
        let holder = disk.create(Folder::Holders, "session").unwrap();
        holder.file().unwrap().try_lock().unwrap();
        let found = holder.stat().unwrap();
        let threads = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
            let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
            tasks.filter_map(name).filter(|name| name.trim() == "ha-fs-witness").count()
        };
        let ask = || released(disk.open(Folder::Holders, "session").unwrap(), found);
        for _ in 0..100 {
            drop(ask());
        }
        let asked: Vec<_> = (0..10).map(|_| ask()).collect();
        assert_eq!(count(found), 1);
        if cfg!(target_os = "linux") {
            assert!(threads() <= 1, "{} threads wait for one file", threads());
        }
        drop(holder);
        for answer in asked {
            assert_eq!(answer.await, Some(()));
        }
        assert_eq!(count(found), 0);
    }
}
