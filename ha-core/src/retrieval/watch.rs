use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::follower::{Follower, Freshness, View};
use super::view::{self, LeaderView};
use crate::Error;
use crate::backend::{Key, Latch};
use crate::formats::Formats;
use crate::seam::{Moment, Seam};

/// A subscription to who leads: the newest view at any time, and a way to wait for another one.
///
/// All subscriptions of a process to one latch share one watch on the backend. A view never goes
/// back to an older term. Clones are subscriptions of their own.
///
/// ```
/// # use ha_core::retrieval::{LeaderView, LeaderWatch};
/// # async fn example(mut watch: LeaderWatch) {
/// while let LeaderView::Unknown | LeaderView::Vacant = watch.view() {
///     watch.changed().await;
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct LeaderWatch {
    views: watch::Receiver<View>,
    _follower: Arc<Follower>,
    latch: Latch,
    info_key: Key,
    unknown_after: Duration,
    formats: Formats,
    seam: Seam,
    /// The highest epoch seen; what is older is not shown any more.
    epoch: u64,
    shown: LeaderView,
    error: Option<Error>,
}

impl LeaderWatch {
    pub(super) fn new(
        follower: Arc<Follower>,
        latch: Latch,
        info_key: Key,
        unknown_after: Duration,
        formats: Formats,
        seam: Seam,
    ) -> Self {
        let views = follower.views();
        let shown = LeaderView::Unknown;
        let (epoch, error) = (0, None);
        let mut watch =
            Self { views, _follower: follower, latch, info_key, unknown_after, formats, seam, epoch, shown, error };
        watch.look();
        watch
    }

    /// The newest view.
    pub fn view(&mut self) -> LeaderView {
        self.look();
        self.shown.clone()
    }

    /// For how long the store has not confirmed the view: zero while the watch on it stands, and
    /// [`Duration::MAX`] if it was never read. A leader is still shown while this is less than one
    /// silence time-out; after that the view is unknown.
    #[must_use]
    pub fn age(&self) -> Duration {
        match self.views.borrow().freshness {
            Freshness::Unread | Freshness::Stale { since: Moment::ORIGIN, .. } => Duration::MAX,
            Freshness::Stale { since, .. } => self.seam.now().since(since),
            Freshness::Fresh => Duration::ZERO,
        }
    }

    /// What keeps the view from being better, if something does: the store cannot be reached, or
    /// the leader information cannot be read.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Waits until the view is another than was last returned, and returns it.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn changed(&mut self) -> LeaderView {
        let before = self.shown.clone();
        loop {
            let look_again = self.look();
            if self.shown != before {
                return self.shown.clone();
            }
            self.wait(look_again).await;
        }
    }

    /// Waits until somebody leads, and says who. It waits for ever if nobody ever does, or once the
    /// services were closed; put a time-out around it where that matters.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn leader(&mut self) -> super::Leader {
        loop {
            let look_again = self.look();
            if let LeaderView::Leader(leader) = &self.shown {
                return leader.clone();
            }
            self.wait(look_again).await;
        }
    }

    /// Waits until the view may be another, or the error.
    pub(super) async fn wait(&mut self, look_again: Option<Moment>) {
        let due = async {
            match look_again {
                Some(at) => self.seam.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = self.views.changed() => if changed.is_err() {
                // The backend was closed. What was seen grows stale, and nothing follows it.
                match look_again {
                    Some(at) => self.seam.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            },
            () = due => {}
        }
    }

    /// The view as of the last look.
    pub(super) fn shown(&self) -> &LeaderView {
        &self.shown
    }

    /// Takes the newest view in; says when to look again.
    pub(super) fn look(&mut self) -> Option<Moment> {
        let now = self.seam.now();
        let reading = {
            let view = self.views.borrow_and_update();
            view::read(&view, &self.latch, &self.info_key, now, self.unknown_after, self.formats)
        };
        self.error = reading.error;
        let is_older = reading.epoch < self.epoch && reading.epoch != 0;
        if !is_older {
            self.epoch = self.epoch.max(reading.epoch);
            self.shown = reading.view;
        }
        reading.look_again
    }
}

impl fmt::Debug for LeaderWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderWatch").field("of", &self.info_key).field("shown", &self.shown).finish_non_exhaustive()
    }
}
