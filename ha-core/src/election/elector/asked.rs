//! A planned hand-over, as the leader sees it: an operator asks, and others are let go first.

use std::time::Duration;

use super::runner::Runner;
use crate::backend::{Entry, Term};
use crate::election::machine::Event;
use crate::election::{Grant, STAY_AWAY_MAX, StepDownRequest};
use crate::names::layout;
use crate::record;

/// The pause after a request could not be read.
const PAUSE: Duration = Duration::from_millis(100);

impl Runner {
    /// Waits until somebody asks for exactly the term that is led under.
    ///
    /// A request that cannot be read is none: it may be a newer version's, and who wrote it is told that nobody
    /// answers.
    pub(super) async fn asked_to_step_down(&self) -> Event {
        let Some(grant) = self.elector.current().borrow().clone() else { return std::future::pending().await };
        let key = layout::step_down(&self.elector.latch);
        let mut views = self.follower.views();
        loop {
            let seen = views.borrow_and_update().entries.get(&key).cloned();
            if seen.is_some_and(|entry| self.request_in(&entry, &grant).is_some()) {
                // Race: the operator has given up and withdrawn the request, and the view is old.
                // Closed by: a linearizable read comes before anything is done for it.
                // Cost if missed: a leader change that nobody wants any more.
                match self.elector.committer().backend().read(&key).await {
                    Ok(Some(entry)) => {
                        if let Some(stay_away) = self.request_in(&entry, &grant) {
                            tracing::info!(latch = %self.elector.latch, epoch = grant.epoch(), "asked to step down");
                            return Event::AskedToStepDown { term: grant.term().clone(), stay_away };
                        }
                    }
                    Ok(None) => {}
                    Err(_) => {
                        let seam = self.elector.seam();
                        seam.sleep(seam.jittered(PAUSE)).await;
                        views.mark_changed();
                    }
                }
            }
            if views.changed().await.is_err() {
                // The follower ended with its backend: nobody can ask any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// For how long to stay away, if this asks for the term of that grant.
    fn request_in(&self, entry: &Entry, grant: &Grant) -> Option<Duration> {
        let request = record::decode_within::<StepDownRequest>(entry, self.elector.committer().formats()).ok()?.body;
        request.is_for(grant.term()).then(|| request.stay_away().min(STAY_AWAY_MAX))
    }

    /// Waits until somebody leads, or has led, after that term, and at most that long since the waiting began.
    pub(super) async fn yielded(&mut self, after: &Term, at_most: Duration) -> Event {
        let seam = self.elector.seam().clone();
        // Race: components come and go meanwhile, and each of them ends this wait.
        // Closed by: it goes on to the same end.
        // Cost if missed: a process that never contends again because somebody in it keeps trying.
        let until = *self.yields_until.get_or_insert_with(|| seam.now() + at_most);
        tokio::select! {
            biased;
            () = self.others_lead(after) => {}
            () = seam.sleep_until(until) => {}
        }
        Event::Yielded
    }

    // Race: somebody leads after that term, and not any more when we look: views in between may be missed.
    // Closed by: the epoch that is stored beside the latch stays after its term.
    // Cost if missed: nobody leads for as long as we stay away, though nobody else is left.
    async fn others_lead(&self, after: &Term) {
        let (latch, mut views) = (&self.elector.latch, self.follower.views());
        let epoch_key = latch.epoch_key();
        loop {
            let (held, stored) = {
                let view = views.borrow_and_update();
                let held = view.entries.get(latch.key()).and_then(|entry| entry.held.as_ref().map(|term| term.epoch));
                (held, view.entries.get(&epoch_key).and_then(stored_epoch))
            };
            if held.max(stored) > Some(after.epoch) {
                return;
            }
            if views.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What cannot be read says nothing.
fn stored_epoch(entry: &Entry) -> Option<u64> {
    std::str::from_utf8(&entry.value).ok()?.parse().ok()
}
