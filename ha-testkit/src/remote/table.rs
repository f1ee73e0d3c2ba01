use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use ha_core::backend::{Ended, Session};
use ha_core::seam::{Moment, Seam, Task};
use ha_embedded::Embedded;
use tokio::sync::watch;

/// How many ends of sessions are remembered, to tell their owners why.
const OVER_MAX: usize = 1024;

/// The sessions that clients have, by the store's own names.
///
/// Inside of the store they live for a day; how long they really live is decided here, because only
/// here is known when a renewal arrived.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    living: BTreeMap<String, (Arc<Served>, Option<Task>)>,
    over: VecDeque<(String, Ended)>,
}

/// One session of a client.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) session: Box<dyn Session>,
    pub(super) client: String,
    silence: Duration,
    /// When its silence has run out, or that it was found to have.
    expires: Mutex<Option<Moment>>,
    /// Whether its renewals do not get through.
    pub(super) frozen: watch::Sender<bool>,
}

impl Served {
    /// Counts a renewal that arrives now; why the session is over, if it is.
    pub(super) fn renew(&self, seam: &Seam) -> Option<Ended> {
        // Race: the silence runs out while the renewal is on its way through the server.
        // Closed by: one lock for both. What is first decides, and a session found silent stays so.
        // Cost if missed: an owner would be told of a renewal of what the next step ends.
        let mut expires = self.expires.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = self.session.ended().now_or_never() {
            return Some(why);
        }
        match *expires {
            Some(_) => *expires = Some(seam.now() + self.silence),
            None => return Some(Ended::Expired),
        }
        None
    }

    /// When to look again; `None` if it is over now, and was ended in the store.
    fn look(&self, store: &Embedded, seam: &Seam) -> Option<Moment> {
        let mut expires = self.expires.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (*expires).filter(|at| *at > seam.now());
        if at.is_none() {
            *expires = None;
            // If it is over already, that is just as well.
            let _ = store.expire(self.session.id());
        }
        at
    }
}

impl Table {
    /// Takes a session in, and ends it when its silence runs out.
    pub(super) fn add(
        self: &Arc<Self>,
        session: Box<dyn Session>,
        client: &str,
        silence: Duration,
        store: &Embedded,
        seam: &Seam,
    ) -> String {
        let id = session.id().to_owned();
        let expires = Mutex::new(Some(seam.now() + silence));
        let frozen = watch::Sender::new(false);
        let served = Arc::new(Served { session, client: client.into(), silence, expires, frozen });
        // Entered first, so that its end finds it.
        self.lock().living.insert(id.clone(), (Arc::clone(&served), None));
        let end = {
            let (table, store, seam) = (Arc::downgrade(self), store.clone(), seam.clone());
            async move {
                let silent = async {
                    while let Some(at) = served.look(&store, &seam) {
                        seam.sleep_until(at).await;
                    }
                };
                let why = tokio::select! {
                    biased;
                    why = served.session.ended() => why,
                    () = silent => served.session.ended().await,
                };
                if let Some(table) = table.upgrade() {
                    table.remove(served.session.id(), why);
                }
            }
        };
        let task = seam.spawn_critical(end);
        if let Some((_, owner)) = self.lock().living.get_mut(&id) {
            *owner = Some(task);
        }
        id
    }

    /// The living session of that name, if it belongs to that client.
    pub(super) fn of(&self, client: &str, id: &str) -> Option<Arc<Served>> {
        self.any(id).filter(|served| served.client == client)
    }

    /// The living session of that name.
    pub(super) fn any(&self, id: &str) -> Option<Arc<Served>> {
        self.lock().living.get(id).map(|(served, _)| Arc::clone(served))
    }

    /// Why a session that is not alive is over; silence, if that is forgotten or was never so.
    pub(super) fn why(&self, id: &str) -> Ended {
        let inner = self.lock();
        inner.over.iter().find(|(over, _)| over == id).map_or(Ended::Expired, |(_, why)| *why)
    }

    fn remove(&self, id: &str, why: Ended) {
        // Dropped after the lock is free: it holds the task that this runs on.
        let _removed = {
            let mut inner = self.lock();
            if inner.over.len() == OVER_MAX {
                inner.over.pop_front();
            }
            inner.over.push_back((id.to_owned(), why));
            inner.living.remove(id)
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // No step under the lock leaves the table half-changed when it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
