//! Handles and sessions that end in the middle of something, and states that are loaded in between.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use ha_core::ErrorKind;
use ha_core::backend::{Acquire, Backend, Commit, Ended, Expect, Key, Latch, Outcome, Prefix, Session, SessionOptions};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::{Seam, Task};
use ha_testkit::journal::{Gate, MemoryHandle, MemoryJournal, PublishFault};
use ha_testkit::sim;

const HOUR: Duration = Duration::from_secs(3600);
const SILENCE: Duration = Duration::from_secs(10);

async fn open(journal: &MemoryJournal, seam: &Seam) -> (Arc<JournalBackend>, Arc<MemoryHandle>) {
    let device = journal.handle();
    let options = JournalOptions::default().with_points(8, 1 << 20);
    let shared: Arc<MemoryHandle> = Arc::clone(&device);
    (JournalBackend::open(shared, seam.clone(), options).await.unwrap(), device)
}

fn create(seam: &Seam, at: &str) -> Commit {
    Commit::new(seam.write_id()).put(Key::new(at).unwrap(), Expect::Absent, at.to_owned().into())
}

async fn write(backend: &JournalBackend, seam: &Seam, name: &str, entries: usize) {
    for n in 0..entries {
        let outcome = backend.commit(&create(seam, &format!("{name}/{n}"))).await;
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{outcome:?}");
    }
}

async fn session(backend: &JournalBackend, silence: Duration) -> Box<dyn Session> {
    backend.open_session(&SessionOptions { silence, label: "a test".into() }).await.unwrap()
}

fn latch() -> Latch {
    Latch::below(&Prefix::new("lead").unwrap())
}

async fn wins(session: &dyn Session) -> bool {
    matches!(session.try_acquire(&latch(), "x".into(), None).await, Ok(Acquire::Won(_)))
}

/// Writes and waits until the first number is swept.
async fn sweep(backend: &JournalBackend, journal: &MemoryJournal, seam: &Seam, name: &str) {
    let last = journal.entries().last().copied().unwrap_or(0);
    write(backend, seam, name, 40).await;
    while journal.entries().first().is_some_and(|first| *first <= last + 8) {
        seam.sleep(Duration::from_millis(20)).await;
    }
}

/// A commit by a task of its own: its answer, if it gets one.
fn commit(
    backend: &Arc<JournalBackend>,
    seam: &Seam,
    at: &str,
) -> (Task, impl Future<Output = Result<Outcome, ha_core::Error>>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (commit, backend) = (create(seam, at), Arc::clone(backend));
    let task = seam.spawn(async move { drop(tell.send(backend.commit(&commit).await)) });
    (task, async move { told.await.unwrap() })
}

#[test]
fn closing_twice_while_the_device_hangs_ends_in_time_and_tells_each_what_is_true() {
    sim::run(1, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let ((backend, device), (other, _)) = (open(&journal, &seam).await, open(&journal, &seam).await);
        let leader = session(&backend, HOUR).await;
        assert!(wins(&*leader).await);
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::HeldBefore(gate.clone())]);
        let (_sent, sent) = commit(&backend, &seam, "sent");
        gate.arrived().await;
        let (_waits, waits) = commit(&backend, &seam, "waits");
        seam.sleep(Duration::from_millis(1)).await;
        let began = seam.now();
        let (one, two) = join(backend.close(), backend.close()).await;
        assert!(seam.now().since(began) < Duration::from_secs(60));
        assert!(one.is_err() && two.is_err(), "its session may still stand in the journal: {one:?} {two:?}");
        assert_eq!(sent.await.unwrap_err().kind(), ErrorKind::Indeterminate);
        let error = waits.await.unwrap_err();
        assert!(!error.may_have_applied(), "{error}");
        assert_eq!(backend.close().await, Ok(()), "once more changes nothing");
        assert!(leader.valid_until().is_past(seam.now()));
        assert_eq!(leader.ended().await, Ended::Closed);
        gate.open();
        seam.sleep(Duration::from_secs(60)).await;
        assert!(other.read(&Key::new("waits").unwrap()).await.unwrap().is_none(), "it said: not applied");
    });
}

#[test]
fn a_commit_whose_caller_went_at_any_time_is_there_once_or_not_at_all() {
    for after in 0..12 {
        sim::run(after, async |seam| {
            let journal = MemoryJournal::new(seam.clone());
            let ((backend, device), (other, _)) = (open(&journal, &seam).await, open(&journal, &seam).await);
            device.faults().slow(Duration::from_millis(4), Duration::from_millis(4));
            let dropped = create(&seam, "dropped");
            assert!(
                seam.timeout(Duration::from_millis(after), backend.commit(&dropped)).await.is_none_or(|r| r.is_ok())
            );
            write(&backend, &seam, "after", 3).await;
            let again = other.commit(&dropped).await.unwrap();
            let first = journal.entries().len();
            assert!(matches!(again, Outcome::Conflict { .. } | Outcome::Applied { .. }));
            assert!(other.read(&Key::new("dropped").unwrap()).await.unwrap().is_some());
            assert_eq!(journal.entries().len(), first, "nothing comes later");
        });
    }
}

#[test]
fn a_session_that_ended_below_a_loaded_snapshot_is_over_for_its_owner() {
    sim::run(2, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let ((owner, device), (other, _)) = (open(&journal, &seam).await, open(&journal, &seam).await);
        let leader = session(&owner, HOUR).await;
        assert!(wins(&*leader).await);
        device.faults().cut_off(true);
        other.revoke(leader.id()).await.unwrap();
        sweep(&other, &journal, &seam, "other").await;
        assert!(!leader.valid_until().is_past(seam.now()), "it cannot know");
        device.faults().cut_off(false);
        let ended = seam.timeout(Duration::from_secs(10), leader.ended()).await;
        assert_eq!(ended, Some(Ended::Expired), "why, no snapshot tells");
        assert!(leader.valid_until().is_past(seam.now()));
        // And nothing of it comes back.
        let next = session(&other, HOUR).await;
        assert!(wins(&*next).await);
        seam.sleep(HOUR / 2).await;
        assert!(!next.valid_until().is_past(seam.now()));
        assert_eq!(other.sessions().await.unwrap().len(), 1);
    });
}

#[test]
fn an_attempt_that_registered_below_a_loaded_snapshot_is_owned_and_renewed() {
    sim::run(3, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let ((owner, device), (other, _)) = (open(&journal, &seam).await, open(&journal, &seam).await);
        let leader = session(&owner, SILENCE).await;
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::HeldAfter(gate.clone())]);
        let at = latch();
        let attempt = leader.try_acquire(&at, "x".into(), None);
        let elsewhere = async {
            gate.arrived().await;
            device.faults().cut_off(true);
            sweep(&other, &journal, &seam, "other").await;
            device.faults().cut_off(false);
            gate.open();
        };
        if let (Err(error), ()) = join(attempt, elsewhere).await {
            assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
            assert!(wins(&*leader).await, "it asks, and is told that it holds it");
        }
        seam.sleep(SILENCE * 5).await;
        assert!(!leader.valid_until().is_past(seam.now()), "nobody renewed it");
        let rival = session(&other, SILENCE).await;
        assert!(!wins(&*rival).await);
    });
}

#[test]
fn a_judge_that_loads_a_snapshot_does_not_begin_to_wait_anew() {
    sim::run(4, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let (owner, owner_device) = open(&journal, &seam).await;
        let ((judge, device), (other, _)) = (open(&journal, &seam).await, open(&journal, &seam).await);
        let leader = session(&owner, SILENCE).await;
        assert!(wins(&*leader).await);
        let rival = session(&judge, HOUR).await;
        assert!(!wins(&*rival).await);
        owner_device.faults().cut_off(true);
        let until = leader.valid_until();
        seam.sleep(SILENCE / 5).await;
        device.faults().cut_off(true);
        sweep(&other, &journal, &seam, "other").await;
        seam.sleep(SILENCE / 5).await;
        device.faults().cut_off(false);
        while !wins(&*rival).await {
            seam.sleep(Duration::from_millis(20)).await;
        }
        assert!(until.is_past(seam.now()), "too early");
        // Those without a stake in it wait a fifth longer: so it was this judge.
        assert!(seam.now().since(until.moment()) < SILENCE / 6, "late by {:?}", seam.now().since(until.moment()));
    });
}

#[test]
fn an_attempt_that_is_late_never_stands_behind_the_end_of_its_session() {
    for late in [1, 20, 200, 2_000] {
        sim::run(late, async |seam| {
            let journal = MemoryJournal::new(seam.clone());
            let ((owner, device), (other, _)) = (open(&journal, &seam).await, open(&journal, &seam).await);
            let leader = session(&owner, HOUR).await;
            device.faults().publishes([PublishFault::Later(Duration::from_millis(late))]);
            let error = leader.try_acquire(&latch(), "x".into(), None).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
            // Its end competes for the very number that the attempt may yet get.
            leader.close().await.unwrap();
            write(&other, &seam, "other", 40).await;
            seam.sleep(Duration::from_secs(10)).await;
            assert_eq!(other.sessions().await.unwrap(), [], "it stands there, and nobody renews it");
            let next = session(&other, HOUR).await;
            assert!(wins(&*next).await);
        });
    }
}
