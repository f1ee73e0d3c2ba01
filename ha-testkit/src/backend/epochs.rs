//! The counter beside the latch.

use std::sync::Arc;

use ha_core::backend::{Backend, Latch, Session, Term};

use crate::fixture::{Fixture, key, latch, prefix};

/// Terms of one latch, each of which must be later than the one before.
#[derive(Default)]
struct Epochs(Vec<Term>);

impl Epochs {
    fn later(&mut self, term: Term, after: &str) {
        if let Some(before) = self.0.last() {
            let (was, is) = (before.epoch, term.epoch);
            assert!(is > was, "the epoch must grow over {after}: it was {was} and is {is}");
        }
        self.0.push(term);
    }
}

pub async fn b_26_the_epoch_grows_over_release_close_and_drop(f: Fixture) {
    // Fails if a counter starts anew with a new session or a new handle.
    let (l, mut epochs) = (latch("lead"), Epochs::default());
    for _ in 0..3 {
        let b = f.connect().await;
        let (session, term) = f.successor(&b, &l).await;
        epochs.later(term, "the round before");
        session.release(&l).await.unwrap();
        let (session, term) = f.successor(&b, &l).await;
        epochs.later(term, "release");
        session.close().await.unwrap();
        let (session, term) = f.successor(&f.connect().await, &l).await;
        epochs.later(term, "closing of the session, on another handle");
        drop(session);
        let (session, term) = f.successor(&b, &l).await;
        epochs.later(term, "dropping of the session");
        session.close().await.unwrap();
        b.close().await.unwrap();
    }
}

/// Ends a leadership by a hook and proves that the successor's epoch is greater.
async fn grows_over(f: &Fixture, what: &str, end: impl AsyncFn(&dyn Session)) {
    let (b, l, mut epochs) = (f.connect().await, latch("lead"), Epochs::default());
    for _ in 0..3 {
        let (session, term) = f.successor(&b, &l).await;
        epochs.later(term, what);
        end(&*session).await;
    }
}

pub async fn b_27_the_epoch_grows_over_expiry(f: Fixture) {
    // Fails if the end of a session by silence takes the counter with it.
    grows_over(&f, "expiry", async |session| f.store().expire(session.id()).await).await;
}

pub async fn b_28_the_epoch_grows_over_revocation(f: Fixture) {
    // Fails if an operator who ends a session resets the counter.
    grows_over(&f, "revocation", async |session| f.store().revoke(session.id()).await).await;
}

pub async fn b_29_the_epoch_grows_over_removal_of_its_keys(f: Fixture) {
    // Fails if someone who tidies up the store brings old tokens back to life.
    let (b, l, mut epochs) = (f.connect().await, latch("lead"), Epochs::default());
    for removed in [vec![l.key().clone()], vec![l.epoch_key()], vec![l.key().clone(), l.epoch_key()]] {
        let mut last: Option<Arc<dyn Session>> = None;
        for _ in 0..3 {
            let (session, term) = f.successor(&b, &l).await;
            epochs.later(term, &format!("removal of {removed:?}"));
            for at in &removed {
                f.store().tamper(at, None).await;
            }
            session.close().await.unwrap();
            last = Some(session);
        }
        drop(last);
    }
}

pub async fn b_30_the_epoch_grows_over_a_restart(f: Fixture) {
    // Fails if the counter lives in memory alone, or who led before the restart holds the latch for ever.
    let (l, mut epochs) = (latch("lead"), Epochs::default());
    for round in 0..4 {
        let (session, term) = f.successor(&f.connect().await, &l).await;
        epochs.later(term, "a restart");
        if round % 2 == 0 {
            session.close().await.unwrap();
            f.store().restart().await;
        } else {
            // Its process is gone after the restart, or the session was: nobody renews it any more.
            f.store().restart().await;
            drop(session);
        }
    }
}

async fn assert_epoch_beside(b: &Arc<dyn Backend>, l: &Latch) -> bool {
    let entries = b.list(&prefix("lead")).await.unwrap().entries;
    let at = |wanted: &ha_core::backend::Key| entries.iter().find(|entry| entry.key == *wanted);
    let Some(term) = at(l.key()).and_then(|entry| entry.held.clone()) else { return false };
    let epoch = at(&l.epoch_key()).map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
    let shown = epoch.as_ref().is_some_and(|epoch| epoch.contains(&term.epoch.to_string()));
    assert!(shown, "the latch is held under {term:?} while {epoch:?} stands beside it");
    true
}

pub async fn b_31_the_epoch_is_raised_in_the_step_that_takes_the_latch(f: Fixture) {
    // Fails if a reader can see the new holder together with the counter of the old one.
    let l = latch("lead");
    let (b, reader) = (f.connect().await, f.connect().await);
    let changes = f.go({
        let (f, l) = (f.clone(), l.clone());
        async move {
            for _ in 0..30 {
                let (session, _) = f.successor(&b, &l).await;
                session.close().await.unwrap();
            }
            f.successor(&b, &l).await
        }
    });
    let mut changes = std::pin::pin!(changes);
    let last = loop {
        tokio::select! {
            biased;
            last = &mut changes => break last,
            () = f.seam().sleep(std::time::Duration::from_micros(200)) => {}
        }
        assert_epoch_beside(&reader, &l).await;
    };
    assert!(assert_epoch_beside(&reader, &l).await, "the last holder is still there");
    assert!(reader.read(&key("lead/latch")).await.unwrap().is_some_and(|entry| entry.held == Some(last.1)));
}
