use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use ha_core::seam::{BoxFuture, Seam, Task};

/// A future that runs on a task and can be dropped from outside, at once.
///
/// Dropping a [`Task`] ends the future soon; but who drops a future of a handle and then asks that handle may rely on
/// it that the future is gone.
pub(super) struct Running {
    future: Arc<Mutex<Option<BoxFuture>>>,
    _task: Task,
}

impl Running {
    pub(super) fn start(seam: &Seam, future: BoxFuture) -> Self {
        let future = Arc::new(Mutex::new(Some(future)));
        let polled = Arc::clone(&future);
        let task = seam.spawn(poll_fn(move |context| {
            // A future that has panicked is not polled again: its task is over.
            let mut slot = polled.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(future) = slot.as_mut() else { return Poll::Ready(()) };
            let polled = future.as_mut().poll(context);
            if polled.is_ready() {
                *slot = None;
            }
            polled
        }));
        Self { future, _task: task }
    }

    /// Drops the future; it is gone when this returns. Not to be called by the future itself.
    pub(super) fn end(self) {
        let future = self.future.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Without the lock: what it holds is the business of others.
        drop(future);
    }
}
