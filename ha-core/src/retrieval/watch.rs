use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::follower::{Follower, Freshness, View};
use super::view::{self, Leader, LeaderView};
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
    /// What is followed; `None` if the leader is fixed.
    followed: Option<Followed>,
    /// The highest epoch seen; what is older is not shown any more.
    epoch: u64,
    shown: LeaderView,
    error: Option<Error>,
}

/// The home of a latch as it is followed, and what to look for in it.
#[derive(Clone)]
struct Followed {
    views: watch::Receiver<View>,
    _follower: Arc<Follower>,
    latch: Latch,
    info_key: Key,
    unknown_after: Duration,
    formats: Formats,
    seam: Seam,
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
        let followed = Followed { views, _follower: follower, latch, info_key, unknown_after, formats, seam };
        let mut watch = Self { followed: Some(followed), epoch: 0, shown: LeaderView::Unknown, error: None };
        watch.look();
        watch
    }

    /// A watch that shows that leader and nothing else, ever: for services whose leaders are configured
    /// and not elected.
    ///
    /// ```
    /// # use ha_core::{DEFAULT_LEADER_ID, election::FencingToken, retrieval::{Leader, LeaderWatch}};
    /// let leader = Leader {
    ///     address: "host-1:6123".into(),
    ///     session_id: DEFAULT_LEADER_ID,
    ///     token: FencingToken::new(0),
    /// };
    /// assert_eq!(LeaderWatch::fixed(leader.clone()).view().leader(), Some(&leader));
    /// ```
    #[must_use]
    pub fn fixed(leader: Leader) -> Self {
        Self { followed: None, epoch: leader.token.epoch(), shown: LeaderView::Leader(leader), error: None }
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
        let Some(followed) = &self.followed else { return Duration::ZERO };
        match followed.views.borrow().freshness {
            Freshness::Unread | Freshness::Stale { since: Moment::ORIGIN, .. } => Duration::MAX,
            Freshness::Stale { since, .. } => followed.seam.now().since(since),
            Freshness::Fresh => Duration::ZERO,
        }
    }

    /// What keeps the view from being better, if something does: the store cannot be reached, or
    /// the leader information cannot be read.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Waits until the view is another than was last returned, and returns it. What was known when the watch was
    /// made counts as returned: look at [`view`](Self::view) first, or wait for [`leader`](Self::leader).
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
    pub async fn leader(&mut self) -> Leader {
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
        let Some(followed) = &mut self.followed else { return std::future::pending().await };
        let due = async {
            match look_again {
                Some(at) => followed.seam.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = followed.views.changed() => if changed.is_err() {
                // The backend was closed. What was seen grows stale, and nothing follows it.
                match look_again {
                    Some(at) => followed.seam.sleep_until(at).await,
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
        let followed = self.followed.as_mut()?;
        let now = followed.seam.now();
        let reading = {
            let view = followed.views.borrow_and_update();
            let (latch, info_key) = (&followed.latch, &followed.info_key);
            view::read(&view, latch, info_key, now, followed.unknown_after, followed.formats)
        };
        self.error = reading.error;
        let is_older = reading.epoch < self.epoch && reading.epoch != 0;
        if !is_older {
            if self.shown != reading.view {
                let shown = match &reading.view {
                    LeaderView::Unknown => "unknown",
                    LeaderView::Vacant => "vacant",
                    LeaderView::Leader(_) => "leader",
                };
                tracing::debug!(of = %followed.info_key, epoch = reading.epoch, shown, "another view of the leader");
            }
            self.epoch = self.epoch.max(reading.epoch);
            self.shown = reading.view;
        }
        reading.look_again
    }
}

impl fmt::Debug for LeaderWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.followed.as_ref().map(|followed| &followed.info_key);
        f.debug_struct("LeaderWatch").field("of", &of).field("shown", &self.shown).finish_non_exhaustive()
    }
}
