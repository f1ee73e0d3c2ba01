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

/// How many are waited for.
#[cfg(test)]
pub(crate) fn count() -> usize {
    waiting().len()
}
