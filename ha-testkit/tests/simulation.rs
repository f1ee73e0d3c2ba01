//! The simulation replays: one seed, one history.

#![allow(clippy::unwrap_used, reason = "the helpers of this test are test code too")]

use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Acquire, Backend, Expect, Fence, Key, Latch, Outcome, Prefix, SessionOptions};
use ha_core::resolve::Committer;
use ha_core::seam::Seam;
use ha_embedded::Embedded;
use ha_testkit::faults::{Call, Fault, Faulty, Plan};
use ha_testkit::sim::{self, History};

/// Campaigns, leads for a while, writes under its leadership, and lets go or is cut off.
async fn contend(name: &'static str, store: Embedded, plan: Plan, seam: Seam, history: History) {
    let latch = Latch::below(&Prefix::new("lead").unwrap());
    let backend: Arc<dyn Backend> = Arc::new(Faulty::new(Arc::new(store.connect()), seam.clone(), plan));
    let committer = Committer::with_budget(Arc::clone(&backend), seam.clone(), Duration::from_secs(2));
    for round in 0..12 {
        let options = SessionOptions { silence: Duration::from_secs(2), label: name.into() };
        let session = backend.open_session(&options).await.unwrap();
        let term = loop {
            match session.try_acquire(&latch, name.into(), None).await {
                Ok(Acquire::Won(term)) => break term,
                Ok(Acquire::Held { wait, seen, .. }) => drop(backend.changed(&wait, &seen).await),
                Err(error) => history.note(name, format_args!("attempt failed: {error}")),
            }
            seam.sleep(seam.jittered(Duration::from_millis(40))).await;
        };
        history.note(name, format_args!("won epoch {}", term.epoch));
        for step in 0..3 {
            let at = Key::new(format!("{name}/{round}-{step}")).unwrap();
            let fence = Fence { latch: latch.clone(), term: term.clone() };
            let commit = ha_core::backend::Commit::new(seam.write_id()).guarded_by(fence);
            match committer.commit(commit.put(at.clone(), Expect::Absent, name.into())).await {
                Ok(Outcome::Applied { revisions }) => history.note(name, format_args!("wrote {at} {revisions:?}")),
                other => history.note(name, format_args!("did not write {at}: {other:?}")),
            }
            seam.sleep(seam.jittered(Duration::from_millis(100))).await;
        }
        if seam.random_u64().is_multiple_of(3) {
            store.freeze(session.id()).unwrap();
            history.note(name, format_args!("is over: {:?}", session.ended().await));
        } else {
            history.note(name, format_args!("releases: {:?}", session.release(&latch).await));
        }
    }
}

fn history_of(seed: u64) -> History {
    sim::run(seed, async |seam| {
        let (store, history) = (Embedded::new(seam.clone()), History::new(seam.clone()));
        let faults = [Fault::FailAfter, Fault::LostBefore, Fault::FailBefore, Fault::DeliveredTwice];
        let contender = |name, part| {
            let plan = Plan::seeded(seed ^ part, 4, faults);
            plan.next(Call::Changed, Fault::LoseWakeUp);
            contend(name, store.clone(), plan, seam.clone(), history.clone())
        };
        // One of them on a task of its own, so that the order of tasks is part of what is replayed.
        let (done, other_is_done) = tokio::sync::oneshot::channel();
        let other = contender("other", 1 << 32);
        let _task = seam.spawn(async move {
            other.await;
            let _ = done.send(());
        });
        contender("one", 2 << 32).await;
        other_is_done.await.unwrap();
        history
    })
}

fn epochs(history: &History) -> Vec<u64> {
    let won = |line: &String| line.split_once("won epoch ").map(|(_, epoch)| epoch.parse().unwrap());
    history.lines().iter().filter_map(won).collect()
}

#[test]
fn one_seed_has_one_history_byte_for_byte() {
    for seed in 0..8 {
        let (first, second) = (history_of(seed).to_string(), history_of(seed).to_string());
        assert!(first.lines().count() > 50, "something must have happened:\n{first}");
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn different_seeds_have_different_histories() {
    assert_ne!(history_of(1).to_string(), history_of(2).to_string());
}

#[test]
fn epochs_grow_whatever_the_seed_brings() {
    for seed in 100..130 {
        let history = history_of(seed);
        let epochs = epochs(&history);
        assert_eq!(epochs.len(), 24, "both led twelve times:\n{history}");
        assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: {epochs:?}\n{history}");
    }
}
