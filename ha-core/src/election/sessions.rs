use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;

use crate::backend::{Acquire, Backend, Ended, Latch, Session, SessionOptions, Term};
use crate::evidence::{Detector, Serving};
use crate::seam::{Deadline, Seam};
use crate::telemetry::{Sampler, record as measured};
use crate::{Error, ErrorKind};

/// The pauses between two tries to leave a session.
const LEAVE_PAUSE_MIN: Duration = Duration::from_millis(20);
const LEAVE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often a latch whose attempt was not answered is released again: for about a minute.
const LATE_ROUNDS: usize = 32;

/// One session for all latches of a process: a thousand latches need no thousand heartbeats.
///
/// A session takes a latch only once, so a latch that was lost is tried for on a new session; the
/// others stay where they are. A session is closed with the last latch that uses it.
#[derive(Debug)]
pub(crate) struct Sessions {
    backend: Arc<dyn Backend>,
    options: SessionOptions,
    detector: Option<Arc<dyn Detector>>,
    seam: Seam,
    current: tokio::sync::Mutex<Weak<SharedSession>>,
}

impl Sessions {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        options: SessionOptions,
        detector: Option<Arc<dyn Detector>>,
        seam: Seam,
    ) -> Arc<Self> {
        let current = tokio::sync::Mutex::new(Weak::new());
        Arc::new(Self { backend, options, detector, seam, current })
    }

    /// What finds out, and lets others find out, that a process is dead: one for all latches.
    pub(crate) fn detector(&self) -> Option<&Arc<dyn Detector>> {
        self.detector.as_ref()
    }

    pub(crate) fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The session that new latches are taken on, if there is one; `None` also while one is being opened.
    pub(crate) fn present(&self) -> Option<Arc<SharedSession>> {
        self.current.try_lock().ok()?.upgrade()
    }

    /// A session on which that latch was not tried for before.
    pub(crate) async fn for_latch(&self, latch: &Latch) -> Result<Arc<SharedSession>, Error> {
        // Held while one is opened, so that a process does not open two at once.
        let mut current = self.current.lock().await;
        if let Some(session) = current.upgrade().filter(|session| session.can_take(latch)) {
            return Ok(session);
        }
        let inner: Arc<dyn Session> = self.backend.open_session(&self.options).await?.into();
        let label = self.options.label.clone();
        tracing::info!(session = inner.id(), label, silence = ?self.options.silence, "session opened");
        let uses = Uses {
            taken: BTreeSet::from([latch.clone()]),
            using: BTreeSet::from([latch.clone()]),
            in_doubt: BTreeSet::new(),
            closed: false,
        };
        measured::session_opened();
        let sampler = Sampler::start(&inner, self.options.silence, &self.seam);
        let seam = self.seam.clone();
        let session =
            SharedSession { inner, label, uses: Mutex::new(uses), seam, counted: Counted::default(), sampler };
        let session = Arc::new(session);
        *current = Arc::downgrade(&session);
        Ok(session)
    }
}

/// A session that several latches use; closed with the last that leaves it.
pub(crate) struct SharedSession {
    inner: Arc<dyn Session>,
    /// Whose it is, for the log.
    label: String,
    uses: Mutex<Uses>,
    seam: Seam,
    counted: Counted,
    sampler: Sampler,
}

/// Counts the end of a session once, as whatever was seen of it first.
#[derive(Debug, Default)]
struct Counted(AtomicBool);

impl Counted {
    fn ended(&self, how: Option<Ended>) {
        if !self.0.swap(true, Ordering::Relaxed) {
            measured::session_ended(how);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Nobody saw it end: it was dropped with its owner.
        self.ended(Some(Ended::Closed));
    }
}

#[derive(Debug)]
struct Uses {
    /// Latches that were ever tried for on it.
    taken: BTreeSet<Latch>,
    /// Those that still are, or are held on it.
    using: BTreeSet<Latch>,
    /// Those with an attempt that was not answered, or whose answer nobody waited for.
    in_doubt: BTreeSet<Latch>,
    closed: bool,
}

impl SharedSession {
    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn can_take(&self, latch: &Latch) -> bool {
        let alive = !self.inner.valid_until().is_past(self.seam.now());
        let mut uses = self.uses();
        let can = alive && !uses.closed && uses.taken.insert(latch.clone());
        if can {
            uses.using.insert(latch.clone());
        }
        can
    }

    /// This latch is done with the session: what it may hold of it is let go in the background.
    ///
    /// The session is not closed by being dropped alone: whoever keeps an old grant keeps the
    /// session in memory, and must not keep the latch from others by that.
    ///
    /// `serving` lives until that is done: whoever sees it end takes it for the death of this process.
    pub(super) fn leave(self: &Arc<Self>, latch: &Latch, serving: Option<Arc<dyn Serving>>) {
        let (last, mut late) = {
            let mut uses = self.uses();
            let late = if uses.in_doubt.remove(latch) { LATE_ROUNDS } else { 0 };
            uses.using.remove(latch);
            uses.closed |= uses.using.is_empty();
            (uses.closed, late)
        };
        if last {
            let lapsed = self.inner.valid_until().is_past(self.seam.now());
            self.counted.ended(if lapsed { None } else { Some(Ended::Closed) });
        }
        let (session, latch) = (Arc::clone(&self.inner), latch.clone());
        let (seam, label) = (self.seam.clone(), last.then(|| self.label.clone()));
        let leave = async move {
            let _told = label.map(|label| Told { id: session.id().to_owned(), label });
            let _serving = serving;
            let mut pause = LEAVE_PAUSE_MIN;
            // Race: the release fails while other latches, or a grant that somebody keeps, keep the
            //       session alive.
            // Closed by: it is tried until it succeeds or the session is over.
            // Cost if missed: a latch that nobody knows to hold and nobody else can take.
            // Race: no renewal was acknowledged for so long that the deadline is past, but they arrived; and
            //       somebody keeps an old grant, so that they go on.
            // Closed by: the session is left all the same, a bounded number of times.
            // Cost if missed: as above.
            let mut beyond = LATE_ROUNDS;
            while beyond > 0 && session.ended().now_or_never().is_none() {
                if session.valid_until().is_past(seam.now()) {
                    beyond -= 1;
                }
                let left = if last { session.close().await } else { session.release(&latch).await };
                match left {
                    // Race: an attempt that nobody waits for any more may still be on its way.
                    // Closed by: releasing again for a while; nobody takes this latch on this session
                    //            a second time, so nothing that is wanted is released.
                    // Cost if missed: as above.
                    Ok(()) if last || late == 0 => return,
                    Ok(()) => late -= 1,
                    Err(error) if error.kind() == ErrorKind::Closed => return,
                    Err(error) => {
                        tracing::debug!(session = session.id(), ?error, "a session was not left; trying again");
                        measured::release_retried();
                    }
                }
                seam.sleep(seam.jittered(pause)).await;
                pause = (pause * 2).min(LEAVE_PAUSE_MAX);
            }
        };
        // Not on the application's runtime: it may be going down just now, and the session is kept
        // alive elsewhere.
        self.seam.spawn_critical(leave).detach();
    }
}

/// Says that a session is over, however the leaving of it ends.
struct Told {
    id: String,
    label: String,
}

impl Drop for Told {
    fn drop(&mut self) {
        tracing::info!(session = self.id, label = self.label, "session ended");
    }
}

#[async_trait]
impl Session for SharedSession {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let was_in_doubt = !self.uses().in_doubt.insert(latch.clone());
        let attempt = self.inner.try_acquire(latch, holder, over).await;
        // Race: an attempt that was not answered is still on its way when a later one is.
        // Closed by: only a session that has taken the latch takes it from no copy; until then the doubt remains.
        // Cost if missed: the copy wins for nobody, on a session that other latches keep alive.
        let settled = match &attempt {
            Ok(Acquire::Won(_)) => true,
            answer => !was_in_doubt && !answer.as_ref().is_err_and(Error::may_have_applied),
        };
        if settled {
            self.uses().in_doubt.remove(latch);
        }
        attempt
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.inner.release(latch).await
    }

    fn valid_until(&self) -> Deadline {
        self.inner.valid_until()
    }

    async fn ended(&self) -> Ended {
        let ended = self.inner.ended().await;
        self.counted.ended(Some(ended));
        ended
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

impl fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSession")
            .field("inner", &self.inner)
            .field("sampler", &self.sampler)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
