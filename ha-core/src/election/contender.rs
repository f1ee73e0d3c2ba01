use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::watch;
use uuid::Uuid;

use super::Grant;
use crate::{ComponentId, Error};

/// Somebody who contends for leadership by callbacks. Flink's `LeaderContender`.
///
/// Calls to one contender come one at a time and in order; `grant_leadership` and
/// `revoke_leadership` strictly alternate, beginning with a grant. Terms that came and went while a
/// call was running are skipped, never mixed. A call may take as long as it likes: neither other
/// contenders nor the election wait for it. A panic in one is logged and disturbs nobody else.
///
/// Do not close the election from within a call: closing waits for the call to return.
#[async_trait]
pub trait LeaderContender: Send + Sync + 'static {
    /// Leadership is ours under this session id. Store it, then confirm it with the address.
    async fn grant_leadership(&self, session_id: Uuid);
    /// Leadership is lost. Stop what was begun under it; its writes are refused already.
    async fn revoke_leadership(&self);
    /// The election cannot go on as it is (access denied, say). It keeps trying, slowly.
    async fn handle_error(&self, error: Error);
    /// Who this is, for logs.
    fn description(&self) -> String;
}

/// Tells one contender, in order, what the elector says.
pub(super) struct Delivery {
    pub(super) component: ComponentId,
    pub(super) contender: Arc<dyn LeaderContender>,
    pub(super) delivered: Delivered,
    pub(super) current: watch::Receiver<Option<Grant>>,
    pub(super) errors: watch::Receiver<(u64, Option<Error>)>,
    pub(super) stop: watch::Receiver<bool>,
    /// Once true, nobody waits for the contender any more, and no call may begin.
    pub(super) silenced: Arc<AtomicBool>,
}

/// The grant that the contender was told of, while it was not told that it is over.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivered(Arc<Mutex<Option<Grant>>>);

impl Delivered {
    pub(super) fn get(&self) -> Option<Grant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, grant: Option<Grant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = grant;
    }
}

impl Delivery {
    /// Runs until it is stopped, and revokes then what is still granted.
    pub(super) async fn run(mut self) {
        // Errors from before this contender came are not its own.
        self.errors.mark_unchanged();
        loop {
            let stopping = *self.stop.borrow();
            let target = match self.current.borrow_and_update().clone() {
                Some(grant) if !stopping && grant.loss().is_none() => Some(grant),
                _ => None,
            };
            let told = self.delivered.get();
            if told != target && told.is_some() {
                // Before the call: from here on nobody may take the old id for a current one.
                self.delivered.set(None);
                let contender = Arc::clone(&self.contender);
                self.isolated("revoke_leadership", async move { contender.revoke_leadership().await }).await;
                continue;
            }
            if let (None, Some(grant)) = (told, target) {
                let (contender, session_id) = (Arc::clone(&self.contender), grant.session_id());
                self.delivered.set(Some(grant));
                self.isolated("grant_leadership", async move { contender.grant_leadership(session_id).await }).await;
                continue;
            }
            if stopping {
                return;
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        let told = self.delivered.get();
        let over = async {
            match &told {
                Some(grant) => drop(grant.lost().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // An error says that the election is gone, which its stop has announced before.
            stopped = self.stop.changed() => if stopped.is_err() { std::future::pending().await },
            changed = self.current.changed() => if changed.is_err() { std::future::pending().await },
            () = over => {}
            changed = self.errors.changed() => {
                if changed.is_err() {
                    std::future::pending().await
                }
                let error = self.errors.borrow_and_update().1.clone();
                if let Some(error) = error {
                    let contender = Arc::clone(&self.contender);
                    self.isolated("handle_error", async move { contender.handle_error(error).await }).await;
                }
            }
        }
    }

    async fn isolated(&self, call: &'static str, future: impl Future<Output = ()>) {
        // Race: a call that blocks its thread returns after the election was closed without it, and
        //       the task cannot be ended before its next await.
        // Closed by: the flag, set before closing goes on.
        // Cost if missed: a contender that is called after close.
        if self.silenced.load(Ordering::Acquire) {
            return;
        }
        if AssertUnwindSafe(future).catch_unwind().await.is_err() {
            tracing::error!(component = %self.component, call, "a leader contender panicked; the election goes on");
        }
    }
}
