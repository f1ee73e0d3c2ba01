//! The runner of the [machine](crate::election::machine): carries events in and effects out.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tracing::Instrument;

use super::watching::Watching;
use super::{Elector, RELEASE_MAX, Wish};
use crate::backend::{Acquire, Session};
use crate::election::machine::{Effect, Event, Machine, State};
use crate::election::sessions::SharedSession;
use crate::election::{Grant, LossReason};
use crate::formats::Standing;
use crate::retrieval::follower::Follower;
use crate::seam::Moment;
use crate::telemetry::record as measured;
use crate::writer::{Authority, Writer};
use crate::{Error, ErrorKind};

/// How long an election rests after a panic below it.
const AFTER_PANIC: Duration = Duration::from_millis(500);

/// Waits for what the state of the machine asks for, and does at once what its effects say.
pub(super) struct Runner {
    pub(super) elector: Arc<Elector>,
    machine: Machine,
    session: Option<Arc<SharedSession>>,
    watching: Watching,
    /// The cluster's format as it was read under the term that was won last.
    pub(super) standing: Mutex<Standing>,
    pub(super) follower: Arc<Follower>,
    /// Until when others are let go first; set when that begins.
    pub(super) yields_until: Option<Moment>,
    wish: watch::Receiver<Wish>,
    carried_out: Wish,
    /// Around everything that it does; with the term that was won last.
    span: tracing::Span,
}

impl Runner {
    fn new(elector: Arc<Elector>, follower: Arc<Follower>) -> Self {
        let wish = elector.wish.subscribe();
        let carried_out = Wish { resignations: *elector.resigned.borrow(), ..Wish::default() };
        let machine = Machine::new(elector.parts.handicap);
        let watching = Watching::new(elector.parts.sessions.detector().cloned(), elector.latch.clone());
        let standing = Mutex::new(Standing::ABSENT);
        let span = tracing::info_span!("election", latch = %elector.latch, epoch = tracing::field::Empty);
        Self {
            elector,
            machine,
            session: None,
            watching,
            standing,
            follower,
            yields_until: None,
            wish,
            carried_out,
            span,
        }
    }

    /// Runs, and begins anew after a panic below: contenders that registered once must not be left
    /// without an election because a backend failed in a way that it should not.
    pub(super) async fn keep_running(elector: Arc<Elector>, follower: Arc<Follower>) {
        loop {
            let runner = Self::new(Arc::clone(&elector), Arc::clone(&follower));
            // Whatever state the panic left behind is dropped with the runner, and its grant ended.
            let span = runner.span.clone();
            let ended = AssertUnwindSafe(runner.run().instrument(span)).catch_unwind().await;
            tracing::error!(latch = %elector.latch, panicked = ended.is_err(), "the election was interrupted; beginning anew");
            elector.seam().sleep(elector.seam().jittered(AFTER_PANIC)).await;
        }
    }

    async fn run(mut self) -> Infallible {
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
                Event::AskedToStepDown { .. } => self.end_grant(LossReason::AskedToStepDown),
                Event::Attempted(answer) => {
                    measured::attempted(&self.elector.latch, answer);
                    if let Ok(answer) = answer {
                        self.watching.answered(answer);
                    }
                }
                // Whoever was evicted is remembered, whatever becomes of what was won.
                Event::Refused { won, .. } => {
                    measured::attempt_refused(&self.elector.latch);
                    self.watching.answered(&Acquire::Won(won.clone()));
                }
                _ => {}
            }
            tracing::trace!(latch = %self.elector.latch, state = ?self.machine.state, ?event, "election");
            let was_idle = self.machine.state == State::Idle;
            for effect in self.machine.step(event) {
                self.apply(effect);
            }
            if was_idle && self.machine.state != State::Idle {
                let label = self.elector.parts.sessions.options().label.as_str();
                tracing::info!(latch = %self.elector.latch, label, "campaign");
                measured::campaign(&self.elector.latch);
            }
            if self.machine.state == State::Idle {
                self.watching.forget();
            }
            if !matches!(self.machine.state, State::Yielding { .. }) {
                self.yields_until = None;
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
            State::Opening => {
                let open = async {
                    self.look_at_format().await?;
                    self.elector.parts.sessions.for_latch(&self.elector.latch).await
                };
                match self.bounded("open session", ErrorKind::Unavailable, open).await {
                    Ok(session) => {
                        self.session = Some(session);
                        Event::Opened(Ok(()))
                    }
                    Err(error) => Event::Opened(Err(error)),
                }
            }
            State::Attempting => {
                let over = self.watching.over(self.machine.over());
                let Some(session) = &self.session else { return Event::Lost(LossReason::Evicted) };
                let over = over.as_ref();
                let accused = self.watching.accused(over);
                let holder = match self.elector.parts.holder(self.watching.show(), accused) {
                    Ok(holder) => holder,
                    Err(error) => return Event::Attempted(Err(error)),
                };
                let attempt = session.try_acquire(&self.elector.latch, holder, over);
                tokio::select! {
                    biased;
                    event = self.admitted(self.bounded("acquire", ErrorKind::Indeterminate, attempt)) => event,
                    why = self.session_over() => Event::Lost(why),
                }
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
                    term = self.watching.holder_dead(&*backend, self.elector.seam()) => Event::HolderDead(term),
                }
            }
            State::Pausing(pause) => {
                let seam = self.elector.seam();
                seam.sleep(seam.jittered(pause)).await;
                Event::PauseOver
            }
            State::Leading(_) => {
                let why = tokio::select! {
                    biased;
                    why = self.leadership_over() => why,
                    event = self.asked_to_step_down() => return event,
                    () = self.keep_presence_true() => LossReason::Evicted,
                };
                // A resignation ends the grant as well; it is carried out in order.
                match self.next_wish() {
                    Some(event @ Event::Resigned { .. }) => event,
                    _ => Event::Lost(why),
                }
            }
            State::Yielding { after, at_most } => self.yielded(&after, at_most).await,
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

    /// A call of a backend that does not answer is given up after one silence time-out.
    pub(super) async fn bounded<T>(
        &self,
        operation: &'static str,
        kind: ErrorKind,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let at_most = self.elector.parts.sessions.options().silence;
        match self.elector.seam().timeout(at_most, call).await {
            Some(result) => result,
            None => Err(Error::new(kind, operation)
                .at(&self.elector.latch)
                .because(format!("no answer within {at_most:?}; trying again"))),
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

    async fn keep_presence_true(&self) {
        let Some(grant) = self.elector.current.borrow().clone() else { return std::future::pending().await };
        let writer = Writer::new(Arc::clone(self.elector.committer()), Authority::Leader(grant));
        self.watching.keep_true(writer).await;
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
                let (seam, latch) = (self.elector.seam(), self.elector.latch.clone());
                let session_id = self.elector.parts.session_id.unwrap_or_else(|| seam.uuid());
                let grant = Grant::hold_as(session_id, seam, session, latch, term, self.basis());
                tracing::info!(latch = %self.elector.latch, epoch = grant.epoch(), session_id = %grant.session_id(), "leadership granted");
                self.span.record("epoch", grant.epoch());
                measured::granted(&self.elector.latch, grant.epoch());
                self.elector.current.send_replace(Some(grant));
            }
            Effect::Revoke(why) => self.elector.revoke(why),
            Effect::DropSession => self.leave_session(),
            Effect::Report(error) => {
                tracing::warn!(latch = %self.elector.latch, ?error, "the election cannot go on as it is");
                measured::election_error(&self.elector.latch);
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
            session.leave(&self.elector.latch, self.watching.leaving());
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
