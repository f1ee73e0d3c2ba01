use tokio::sync::{Mutex, MutexGuard};

use crate::seam::Task;

/// Whether the store is started, and the watch that tells its listener.
///
/// Its lock is held while the listener is called, and over no other wait: whoever has it knows that no
/// call is under way, and gets it in the time that a listener takes, whatever backend and state storage do.
/// Whoever needs the lock of the store's state as well takes that one first.
#[derive(Debug, Default)]
pub(super) struct Listening(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Which start the present watch belongs to; an older one that still runs must do nothing.
    starts: u64,
    /// There is one exactly while the store is started.
    watch: Option<Task>,
}

/// While this lives, the store is not stopped.
#[derive(Debug)]
pub(super) struct Undisturbed<'a>(#[expect(dead_code, reason = "it is held")] MutexGuard<'a, Inner>);

impl Listening {
    /// Starts with the watch that `spawn` makes for this start; nothing if it is started.
    pub(super) async fn start(&self, spawn: impl FnOnce(u64) -> Task) {
        let mut inner = self.0.lock().await;
        if inner.watch.is_none() {
            inner.starts += 1;
            inner.watch = Some(spawn(inner.starts));
        }
    }

    /// Once it returns, no listener is called.
    pub(super) async fn stop(&self) {
        self.0.lock().await.watch = None;
    }

    /// Which start it is; `None` while it is stopped.
    pub(super) async fn started(&self) -> Option<u64> {
        let inner = self.0.lock().await;
        inner.watch.is_some().then_some(inner.starts)
    }

    /// Keeps it from being stopped, if this is still the start.
    pub(super) async fn undisturbed(&self, start: u64) -> Option<Undisturbed<'_>> {
        let inner = self.0.lock().await;
        (inner.watch.is_some() && inner.starts == start).then_some(Undisturbed(inner))
    }
}
