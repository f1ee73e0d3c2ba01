//! The runner of the [machine](super::machine): one per latch, for all components on it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::info::HolderInformation;
use super::machine::{Effect, Event, Machine, State};
use super::publisher::Publisher;
use super::registration::Registry;
use super::sessions::{Sessions, SharedSession};
use super::{Grant, LossReason};
use crate::Error;
use crate::backend::{Latch, Session};
use crate::record;
use crate::resolve::Committer;
use crate::retrieval::follower::{Follower, SharedFollower};
use crate::seam::{Seam, Task};

/// How long letting go of the latch may take before its session is given up instead.
const RELEASE_MAX: Duration = Duration::from_secs(2);

/// What others want of the elector. Level-triggered, but each resignation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Wish {
    wanted: bool,
    /// How often somebody came who wants to lead.
    wants: u64,
    resignations: u64,
}

/// Contends for one latch while somebody wants to lead.
#[derive(Debug)]
pub(super) struct Elector {
    pub(super) latch: Latch,
    pub(super) publisher: Arc<Publisher>,
    /// The grant that holds, or the last one until it is known to be over.
    current: watch::Sender<Option<Grant>>,
    /// The last error that no further attempt will mend, and how many there were.
    error: watch::Sender<(u64, Option<Error>)>,
    wish: watch::Sender<Wish>,
    /// How many of the resignations have been carried out.
    resigned: watch::Sender<u64>,
    running: Mutex<Option<Running>>,
    /// Who takes part; set once, right after this was made.
    members: OnceLock<Weak<Registry>>,
    parts: Parts,
}

/// What ends when nobody wants to lead any more.
#[derive(Debug)]
struct Running {
    runner: Task,
    _keeper: Task,
}

impl Running {
    fn is_over(&self) -> bool {
        self.runner.is_finished()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) committer: Arc<Committer>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) follower: Arc<SharedFollower>,
    /// How long a candidate of lower priority waits before each attempt.
    pub(super) handicap: Duration,
}

impl Parts {
    /// What is stored in the latch when it is taken.
    fn holder(&self) -> Result<Bytes, Error> {
        let seam = self.committer.seam();
        let label = self.sessions.options().label.clone();
        let holder = HolderInformation { label, since_unix_ms: seam.unix_ms() };
        // The epoch is not known before the latch is taken; the backend keeps it beside.
        record::encode(&holder, seam.write_id(), 0)
    }
}

impl Elector {
    pub(super) fn new(latch: Latch, parts: Parts) -> Arc<Self> {
        let (committer, follower) = (Arc::clone(&parts.committer), Arc::clone(&parts.follower));
        Arc::new(Self {
            publisher: Arc::new(Publisher::new(committer, latch.clone(), follower)),
            latch,
            current: watch::Sender::new(None),
            error: watch::Sender::new((0, None)),
            wish: watch::Sender::new(Wish::default()),
            resigned: watch::Sender::new(0),
            running: Mutex::new(None),
            members: OnceLock::new(),
            parts,
        })
    }

    pub(super) fn set_members(&self, members: Weak<Registry>) {
        // Set by the one registry that was made for this elector.
        let _ = self.members.set(members);
    }

    fn is_wanted(&self) -> bool {
        self.members.get().and_then(Weak::upgrade).is_some_and(|members| members.is_wanted())
    }

    pub(super) fn seam(&self) -> &Seam {
        self.parts.committer.seam()
    }

    pub(super) fn committer(&self) -> &Arc<Committer> {
        &self.parts.committer
    }

    pub(super) fn current(&self) -> watch::Receiver<Option<Grant>> {
        self.current.subscribe()
    }

    pub(super) fn errors(&self) -> watch::Receiver<(u64, Option<Error>)> {
        self.error.subscribe()
    }

    /// Somebody wants to lead. The first one brings the backend in.
    pub(super) fn want(self: &Arc<Self>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.wish.send_modify(|wish| {
            wish.wanted = true;
            wish.wants += 1;
        });
        // A runner that ended by itself went down with its runtime, or with a panic below it.
        if running.as_ref().is_none_or(Running::is_over) {
            let follower = self.parts.follower.get();
            let runner = Runner::new(Arc::clone(self), follower);
            *running = Some(Running {
                runner: self.seam().spawn(runner.run()),
                _keeper: self.seam().spawn(Arc::clone(&self.publisher).keep()),
            });
        }
    }

    /// Nobody wants to lead any more: gives up what is held, in the background. The number is for
    /// [`Elector::left`].
    pub(super) fn ask_to_leave(&self) -> u64 {
        self.wish.send_modify(|wish| {
            wish.wanted = false;
            wish.resignations += 1;
        });
        // Race: another component may come before the runner has looked, and find the grant valid.
        // Closed by: the grant is over from here on, after the wish that says why.
        // Cost if missed: a campaign that returns a leadership that is about to be given up.
        if let Some(grant) = self.current.borrow().as_ref() {
            grant.end(LossReason::Resigned);
        }
        self.wish.borrow().resignations
    }

    /// Returns when that resignation was carried out: the latch is free, or was left to the end of
    /// its session.
    pub(super) async fn left(&self, resignation: u64) {
        if self.running.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return;
        }
        let mut resigned = self.resigned.subscribe();
        // No answer: the runner is gone, and the session with it.
        let _ = self.seam().timeout(RELEASE_MAX * 2, resigned.wait_for(|done| *done >= resignation)).await;
    }

    /// Drops everything at once; the session ends in the background.
    pub(super) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(running);
        self.revoke(LossReason::Resigned);
    }

    fn revoke(&self, why: LossReason) {
        let mut over = None;
        // In one step, so that a grant that comes just now is not removed without being ended.
        self.current.send_modify(|current| {
            over = current.take();
            over.iter().for_each(|grant| grant.end(why));
        });
        if let Some(grant) = over {
            self.publisher.forget(&grant);
        }
    }
}

struct Runner {
    elector: Arc<Elector>,
    machine: Machine,
    session: Option<Arc<SharedSession>>,
    follower: Arc<Follower>,
    wish: watch::Receiver<Wish>,
    carried_out: Wish,
}

impl Runner {
    fn new(elector: Arc<Elector>, follower: Arc<Follower>) -> Self {
        let wish = elector.wish.subscribe();
        let carried_out = Wish { resignations: *elector.resigned.borrow(), ..Wish::default() };
        let machine = Machine::new(elector.parts.handicap);
        Self { elector, machine, session: None, follower, wish, carried_out }
    }

    async fn run(mut self) {
        loop {
            let mut event = self.next_event().await;
            match &mut event {
                Event::Lost(why) => self.end_grant(*why),
                // Race: whoever came after the resignation may have taken over the grant that ends
                //       with it, as a value, and then wants nothing more.
                // Closed by: the grant is ended first, and who wants to lead is asked after that.
                // Cost if missed: a latch that nobody knows to hold.
                Event::Resigned { wanted } if matches!(self.machine.state, State::Leading(_)) => {
                    self.end_grant(LossReason::Resigned);
                    *wanted = self.elector.is_wanted();
                }
                _ => {}
            }
            tracing::trace!(latch = %self.elector.latch, state = ?self.machine.state, ?event, "election");
            for effect in self.machine.step(event) {
                self.apply(effect);
            }
            let settled = !matches!(self.machine.state, State::Releasing | State::Leading(_));
            if settled && *self.elector.resigned.borrow() < self.carried_out.resignations {
                self.elector.resigned.send_replace(self.carried_out.resignations);
            }
        }
    }

    /// Ends the grant before anything else is decided, and finds out who wants to lead after it: a
    /// leadership that was held as a value is contended for again only when its owner says so.
    fn end_grant(&mut self, why: LossReason) {
        if !matches!(self.machine.state, State::Leading(_)) {
            return;
        }
        if let Some(grant) = self.elector.current.borrow().as_ref() {
            grant.end(why);
        }
        self.machine.set_wanted(self.elector.is_wanted());
    }

    async fn next_event(&mut self) -> Event {
        if let Some(event) = self.next_wish() {
            return event;
        }
        let mut wish = self.wish.clone();
        let (carried_out, is_idle) = (self.carried_out, self.machine.state == State::Idle);
        tokio::select! {
            biased;
            // The sender lives in the elector that `self` holds.
            // One more who wants to lead is no reason to drop what is under way: many who come one after
            // the other would keep a slow attempt from ever coming to its end.
            _ = wish.wait_for(|wish| {
                wish.resignations != carried_out.resignations || (is_idle && wish.wants != carried_out.wants)
            }) => {}
            event = self.wait_for_state() => return event,
        }
        self.next_wish().unwrap_or(Event::Woken)
    }

    /// Turns a wish that was not carried out yet into an event.
    fn next_wish(&mut self) -> Option<Event> {
        let wish = *self.wish.borrow_and_update();
        if wish.resignations != self.carried_out.resignations {
            self.carried_out = wish;
            return Some(Event::Resigned { wanted: wish.wanted });
        }
        let newly = wish.wants != self.carried_out.wants;
        self.carried_out = wish;
        // It may have taken over a grant, as a value, and lost it since: then it wants nothing more.
        (newly && self.elector.is_wanted()).then_some(Event::Wanted)
    }

    /// Waits for whatever the state of the machine asks for.
    async fn wait_for_state(&mut self) -> Event {
        match self.machine.state.clone() {
            State::Idle => std::future::pending().await,
            State::Opening => match self.elector.parts.sessions.for_latch(&self.elector.latch).await {
                Ok(session) => {
                    self.session = Some(session);
                    Event::Opened(Ok(()))
                }
                Err(error) => Event::Opened(Err(error)),
            },
            State::Attempting => {
                let Some(session) = &self.session else { return Event::Lost(LossReason::Evicted) };
                let holder = match self.elector.parts.holder() {
                    Ok(holder) => holder,
                    Err(error) => return Event::Attempted(Err(error)),
                };
                Event::Attempted(session.try_acquire(&self.elector.latch, holder, None).await)
            }
            State::Waiting { wait, seen } => {
                let backend = Arc::clone(self.elector.committer().backend());
                // A wake-up may be lost: after one silence time-out the latch is tried for anyway.
                let at_most = self.elector.parts.sessions.options().silence;
                let changed = self.elector.seam().timeout(at_most, backend.changed(&wait, &seen));
                tokio::select! {
                    biased;
                    why = self.session_over() => Event::Lost(why),
                    changed = changed => match changed {
                        Some(Err(_)) => Event::WatchFailed,
                        Some(Ok(_)) | None => Event::Woken,
                    },
                }
            }
            State::Pausing(pause) => {
                let seam = self.elector.seam();
                seam.sleep(seam.jittered(pause)).await;
                Event::PauseOver
            }
            State::Leading(_) => {
                let why = self.leadership_over().await;
                // A resignation ends the grant as well; it is carried out in order.
                match self.next_wish() {
                    Some(event @ Event::Resigned { .. }) => event,
                    _ => Event::Lost(why),
                }
            }
            State::Releasing => {
                if let Some(session) = &self.session {
                    let release = session.release(&self.elector.latch);
                    match self.elector.seam().timeout(RELEASE_MAX, release).await {
                        Some(Ok(())) => {}
                        failed => tracing::debug!(?failed, "the latch was not released in order; closing its session"),
                    }
                }
                Event::Released
            }
        }
    }

    /// Waits until the session can hold nothing any more.
    async fn session_over(&self) -> LossReason {
        let Some(session) = &self.session else { return LossReason::Evicted };
        tokio::select! {
            biased;
            ended = session.ended() => LossReason::SessionEnded(ended),
            () = self.deadline(session) => LossReason::DeadlinePassed,
        }
    }

    async fn deadline(&self, session: &SharedSession) {
        let seam = self.elector.seam();
        loop {
            let until = session.valid_until();
            if until.is_past(seam.now()) {
                return;
            }
            seam.sleep_until(until.moment()).await;
        }
    }

    async fn leadership_over(&self) -> LossReason {
        let Some(grant) = self.elector.current.borrow().clone() else { return LossReason::Evicted };
        tokio::select! {
            biased;
            why = grant.lost() => why,
            why = self.session_over() => why,
            () = self.evicted(&grant) => LossReason::Evicted,
        }
    }

    /// Waits until the latch is seen to be held under another term, or under none.
    async fn evicted(&self, grant: &Grant) {
        let mut views = self.follower.views();
        let holds = |held: Option<&crate::backend::Term>| held == Some(grant.term());
        loop {
            let key = grant.latch().key();
            let suspicious = !holds(views.borrow_and_update().entries.get(key).and_then(|e| e.held.as_ref()));
            // Race: the view may be from before we took the latch.
            // Closed by: a suspicion is checked by a linearizable read, made after the taking.
            // Cost if missed: a leader that steps down for nothing, right after every election.
            if suspicious {
                match self.elector.committer().backend().read(key).await {
                    Ok(found) if !holds(found.as_ref().and_then(|entry| entry.held.as_ref())) => return,
                    Ok(_) => {}
                    // Could not be read: the deadline and the fence still hold. Ask again soon.
                    Err(_) => {
                        let seam = self.elector.seam();
                        seam.sleep(seam.jittered(Duration::from_millis(100))).await;
                        views.mark_changed();
                    }
                }
            }
            if views.changed().await.is_err() {
                // The follower ended with its backend; what is left is deadline and session.
                std::future::pending::<()>().await;
            }
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Grant(term) => {
                let Some(session) = &self.session else { return };
                let session: Arc<dyn Session> = Arc::<SharedSession>::clone(session);
                let grant = Grant::hold(self.elector.seam(), session, self.elector.latch.clone(), term);
                tracing::info!(latch = %self.elector.latch, epoch = grant.epoch(), session_id = %grant.session_id(), "leadership granted");
                self.elector.current.send_replace(Some(grant));
            }
            Effect::Revoke(why) => {
                tracing::info!(latch = %self.elector.latch, reason = %why, "leadership over");
                self.elector.revoke(why);
            }
            Effect::DropSession => self.leave_session(),
            Effect::Report(error) => {
                tracing::warn!(latch = %self.elector.latch, ?error, "the election cannot go on as it is");
                self.elector.error.send_modify(|(count, last)| {
                    *count += 1;
                    *last = Some(error);
                });
            }
        }
    }
}

impl Runner {
    fn leave_session(&mut self) {
        if let Some(session) = self.session.take() {
            session.leave(&self.elector.latch);
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.leave_session();
        // The task was ended, whatever it was doing: nobody may go on believing in its grant.
        self.elector.revoke(LossReason::Resigned);
        // Nor wait for it to carry a resignation out.
        self.elector.resigned.send_replace(self.elector.wish.borrow().resignations);
    }
}
