use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::backend::{Backend, Change, Entry, Key, Mark, Prefix, Scope, Snapshot};
use crate::seam::{Moment, Seam, Task};
use crate::telemetry::record as measured;
use crate::{Error, ErrorKind};

/// The pause after a watch that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A whole scope as it was last seen. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) entries: Arc<BTreeMap<Key, Entry>>,
    pub(crate) freshness: Freshness,
}

/// What a view is worth.
#[derive(Debug, Clone)]
pub(crate) enum Freshness {
    /// Nothing was read yet.
    Unread,
    /// The store was reached, and the watch stands.
    Fresh,
    /// The store cannot be reached since then.
    Stale { since: Moment, error: Error },
}

/// Follows all keys below a place with one watch, for everybody in the process who wants to know.
///
/// Level-triggered: whoever looks sees the newest view, never one older than before; views in
/// between may be missed. After every doubt, and now and then without one, it reads anew, so a
/// lost wake-up costs time and not more.
#[derive(Debug)]
pub(crate) struct Follower {
    views: watch::Receiver<View>,
    task: Task,
}

impl Follower {
    pub(crate) fn start(backend: Arc<dyn Backend>, below: Prefix, reread: Duration, seam: Seam) -> Self {
        let first = View { entries: Arc::default(), freshness: Freshness::Unread };
        let (sender, views) = watch::channel(first);
        let following = Following { backend, below, reread, seam: seam.clone(), sender };
        Self { views, task: seam.spawn(following.run()) }
    }

    pub(crate) fn views(&self) -> watch::Receiver<View> {
        self.views.clone()
    }

    pub(crate) fn entry(&self, key: &Key) -> Option<Entry> {
        self.views.borrow().entries.get(key).cloned()
    }
}

/// Starts a follower for the first who asks, hands it to all others, and ends it with the last.
#[derive(Debug)]
pub(crate) struct SharedFollower {
    backend: Arc<dyn Backend>,
    below: Prefix,
    reread: Duration,
    seam: Seam,
    running: Mutex<Weak<Follower>>,
    closed: AtomicBool,
}

impl SharedFollower {
    pub(crate) fn new(backend: Arc<dyn Backend>, below: Prefix, reread: Duration, seam: Seam) -> Self {
        Self { backend, below, reread, seam, running: Mutex::new(Weak::new()), closed: AtomicBool::new(false) }
    }

    /// The services that it belongs to were closed: no listener is taken on any more. The watch itself
    /// ends with its backend.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self) -> Arc<Follower> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // One that ended by itself went down with its runtime, or with a panic below it.
        if let Some(follower) = running.upgrade().filter(|follower| !follower.task.is_finished()) {
            return follower;
        }
        let (backend, below) = (Arc::clone(&self.backend), self.below.clone());
        let follower = Arc::new(Follower::start(backend, below, self.reread, self.seam.clone()));
        *running = Arc::downgrade(&follower);
        follower
    }
}

struct Following {
    backend: Arc<dyn Backend>,
    below: Prefix,
    reread: Duration,
    seam: Seam,
    sender: watch::Sender<View>,
}

impl Following {
    async fn run(self) {
        let mut entries = BTreeMap::new();
        let mut mark = Mark::UNSEEN;
        loop {
            match self.next(&mut entries, mark).await {
                Ok((next, woken)) => {
                    mark = next;
                    let news = self.show(&entries, Freshness::Fresh);
                    measured::looked("leader", woken, news);
                }
                Err(error) => {
                    tracing::debug!(below = %self.below, ?error, "following failed; reading anew");
                    measured::watch_failed("leader");
                    let closed = error.kind() == ErrorKind::Closed;
                    self.show_stale(error);
                    if closed {
                        return;
                    }
                    // What changed meanwhile is unknown, and so is what the mark is still worth.
                    mark = Mark::UNSEEN;
                    self.seam.sleep(self.seam.jittered(PAUSE)).await;
                }
            }
        }
    }

    /// Waits for the next change and brings the entries up to it. Whether it was woken, and not only too long without.
    async fn next(&self, entries: &mut BTreeMap<Key, Entry>, mark: Mark) -> Result<(Mark, bool), Error> {
        let scope = Scope::Below(self.below.clone());
        let changed = self.backend.changed(&scope, &mark);
        match self.seam.timeout(self.seam.jittered(self.reread), changed).await {
            Some(Ok(Change::Snapshot(snapshot))) => Ok((replace(entries, snapshot), true)),
            Some(Ok(Change::Delta { entries: written, removed, mark })) => {
                removed.iter().for_each(|key| drop(entries.remove(key)));
                entries.extend(written.into_iter().map(|entry| (entry.key.clone(), entry)));
                Ok((mark, true))
            }
            Some(Err(error)) => Err(error),
            // A hint, or too long a silence: a wake-up may have been lost.
            hint => match self.seam.timeout(self.reread, self.backend.list(&self.below)).await {
                Some(listed) => Ok((replace(entries, listed?), hint.is_some())),
                None => Err(Error::new(ErrorKind::Unavailable, "follow")
                    .at(&self.below)
                    .because(format!("no answer within {:?}", self.reread))),
            },
        }
    }

    /// Whether the entries are others than before.
    fn show(&self, entries: &BTreeMap<Key, Entry>, freshness: Freshness) -> bool {
        let mut news = false;
        self.sender.send_if_modified(|view| {
            let same = *view.entries == *entries;
            news = !same;
            let was_fresh = matches!(view.freshness, Freshness::Fresh);
            if !same {
                view.entries = Arc::new(entries.clone());
            }
            view.freshness = freshness;
            !(same && was_fresh)
        });
        news
    }

    fn show_stale(&self, error: Error) {
        let now = self.seam.now();
        self.sender.send_modify(|view| {
            let since = match view.freshness {
                Freshness::Stale { since, .. } => since,
                Freshness::Fresh => now,
                // Nothing was ever read: there is no view to believe in for a while, and no entries
                // must not be taken for nobody who leads.
                Freshness::Unread => Moment::ORIGIN,
            };
            view.freshness = Freshness::Stale { since, error };
        });
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // The task was ended, perhaps by the end of its runtime: what is shown grows old from here on.
        if !matches!(self.sender.borrow().freshness, Freshness::Stale { .. }) {
            self.show_stale(
                Error::new(ErrorKind::Closed, "follow").at(&self.below).because("nothing follows it any more"),
            );
        }
    }
}

fn replace(entries: &mut BTreeMap<Key, Entry>, snapshot: Snapshot) -> Mark {
    *entries = snapshot.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
    snapshot.mark
}
