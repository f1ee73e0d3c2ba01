//! Deletes state that nothing points to any more, beside the work that goes on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::watch;

use crate::seam::Seam;
use crate::state::{StateHandle, StateStorage};
use crate::telemetry::record as measured;
use crate::{Error, ErrorKind};

/// How many states may wait for their deletion before whoever makes more has to wait.
const BACKLOG_MAX: usize = 128;
/// How many of one batch are deleted at a time.
const PARALLEL: usize = 8;
/// After this many tries a state is left behind as an orphan.
const TRIES: u32 = 3;
/// The longest single try: an application may have thousands of files to delete. A bound there
/// must be, because whoever waits for room in the backlog waits for this.
const TRY_AT_MOST: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(200);

/// What is done before a state is deleted, while it can still be read.
#[async_trait]
pub(crate) trait Before: Send + Sync {
    async fn run(&self) -> Result<(), Error>;
}

/// State to delete. Whoever makes one has proof that no pointer leads to it, now or later.
pub(crate) struct Doomed {
    pub(crate) handle: StateHandle,
    pub(crate) before: Option<Box<dyn Before>>,
}

impl From<StateHandle> for Doomed {
    fn from(handle: StateHandle) -> Self {
        Self { handle, before: None }
    }
}

/// The deletions that are under way. They go on when this is dropped, and end by themselves: each
/// has a bounded number of bounded tries.
#[derive(Debug)]
pub(crate) struct Discards {
    seam: Seam,
    storage: StateStorage,
    outstanding: Arc<watch::Sender<usize>>,
}

/// Counts one deletion down however it ends, also when the runtime drops it.
struct Outstanding(Arc<watch::Sender<usize>>);

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.send_modify(|outstanding| *outstanding -= 1);
    }
}

impl Discards {
    pub(crate) fn new(seam: Seam, storage: StateStorage) -> Self {
        Self { seam, storage, outstanding: Arc::new(watch::Sender::new(0)) }
    }

    /// Deletes these in the background.
    pub(crate) fn submit(&self, doomed: Vec<Doomed>) {
        if doomed.is_empty() {
            return;
        }
        self.outstanding.send_modify(|outstanding| *outstanding += doomed.len());
        let counted: Vec<_> = doomed.into_iter().map(|d| (d, Outstanding(Arc::clone(&self.outstanding)))).collect();
        let (seam, storage) = (self.seam.clone(), self.storage.clone());
        let deletions = async move {
            let each = stream::iter(counted).for_each_concurrent(PARALLEL, |(doomed, counted)| {
                let (seam, storage) = (&seam, &storage);
                async move {
                    discard(seam, storage, &doomed).await;
                    drop(counted);
                }
            });
            each.await;
        };
        self.seam.spawn(deletions).detach();
    }

    /// How many are still under way.
    pub(crate) fn outstanding(&self) -> usize {
        *self.outstanding.borrow()
    }

    /// Waits until none is under way.
    pub(crate) async fn settled(&self) {
        self.at_most(0).await;
    }

    /// Waits until more may be submitted.
    pub(crate) async fn room(&self) {
        self.at_most(BACKLOG_MAX - 1).await;
    }

    async fn at_most(&self, most: usize) {
        // The sender lives in `self`, so the channel cannot be closed while we wait.
        let _ = self.outstanding.subscribe().wait_for(|outstanding| *outstanding <= most).await;
    }
}

async fn discard(seam: &Seam, storage: &StateStorage, doomed: &Doomed) {
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        let error = match seam.timeout(TRY_AT_MOST, discard_once(seam, storage, doomed)).await {
            Some(Ok(())) => return,
            Some(Err(error)) => error,
            None => Error::new(ErrorKind::Storage, "discard state")
                .at(doomed.handle.shown())
                .because(format!("it took longer than {TRY_AT_MOST:?}")),
        };
        if attempt == TRIES {
            tracing::warn!(state = %doomed.handle.shown(), %error, "state that nothing points to could not be deleted; it is an orphan now");
            measured::discard_given_up();
            return;
        }
        seam.sleep(seam.jittered(pause)).await;
        pause *= 4;
    }
}

async fn discard_once(seam: &Seam, storage: &StateStorage, doomed: &Doomed) -> Result<(), Error> {
    if let Some(before) = &doomed.before {
        // Foreign code: its panic must not take the other deletions of the batch with it.
        let ran = AssertUnwindSafe(before.run()).catch_unwind().await;
        ran.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::IllegalState, "discard checkpoint")
                .at(doomed.handle.shown())
                .because("the application's discarder panicked; correct it"))
        })?;
    }
    measured::state_call(seam, "discard", storage.discard(&doomed.handle), |()| 0).await
}
