//! Each race of the journal, brought about on purpose on a device in memory. A snapshot and a sweep come after every
//! eight entries.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Acquire, Backend, Commit, Ended, Expect, Key, Latch, Outcome, Prefix, Session, SessionOptions};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use ha_testkit::journal::{Gate, MemoryHandle, MemoryJournal, PublishFault, ReadFault};
use ha_testkit::run::block_on;
use ha_testkit::sim;

const HOUR: Duration = Duration::from_secs(3600);

struct World {
    seam: Seam,
    journal: MemoryJournal,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        Self { journal: MemoryJournal::new(seam.clone()), seam }
    }

    async fn open(&self) -> (Arc<JournalBackend>, Arc<MemoryHandle>) {
        let device = self.journal.handle();
        (self.open_on(&device).await.unwrap(), device)
    }

    async fn open_on(&self, device: &Arc<MemoryHandle>) -> Result<Arc<JournalBackend>, Error> {
        let options = JournalOptions::default().with_points(8, 1 << 20);
        let device: Arc<MemoryHandle> = Arc::clone(device);
        JournalBackend::open(device, self.seam.clone(), options).await
    }

    fn create(&self, at: &str) -> Commit {
        Commit::new(self.seam.write_id()).put(key(at), Expect::Absent, at.to_owned().into())
    }

    /// Writes so many entries one after another.
    async fn write(&self, backend: &JournalBackend, name: &str, entries: usize) {
        for n in 0..entries {
            assert_applied(backend.commit(&self.create(&format!("{name}/{n}"))).await);
        }
    }

    /// Waits until the entry of that number was swept.
    async fn swept(&self, number: u64) {
        self.eventually("the number is swept", async || self.journal.entries().first().is_none_or(|n| *n > number))
            .await;
    }

    async fn eventually(&self, what: &str, mut look: impl AsyncFnMut() -> bool) {
        let looking = async {
            while !look().await {
                self.seam.sleep(Duration::from_millis(5)).await;
            }
        };
        self.in_time(what, looking).await;
    }

    async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.seam.timeout(Duration::from_secs(60), future).await.unwrap_or_else(|| panic!("in vain: {what}"))
    }

    async fn session(&self, backend: &JournalBackend, silence: Duration) -> Box<dyn Session> {
        backend.open_session(&SessionOptions { silence, label: "a test".into() }).await.unwrap()
    }

    /// Waits until another session has the latch.
    async fn successor(&self, backend: &JournalBackend) -> Box<dyn Session> {
        let session = self.session(backend, HOUR).await;
        let attempts = async {
            while let Acquire::Held { wait, seen, .. } = session.try_acquire(&latch(), "x".into(), None).await.unwrap()
            {
                backend.changed(&wait, &seen).await.unwrap();
            }
        };
        self.in_time("a successor wins", attempts).await;
        session
    }

    fn task<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let task = self.seam.spawn(async move {
            let _ = tell.send(future.await);
        });
        async move {
            let _task = task;
            told.await.unwrap()
        }
    }
}

fn key(at: &str) -> Key {
    Key::new(at).unwrap()
}

fn latch() -> Latch {
    Latch::below(&Prefix::new("lead").unwrap())
}

fn assert_applied(outcome: Result<Outcome, Error>) {
    assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{outcome:?}");
}

async fn has(backend: &JournalBackend, at: &str) -> bool {
    backend.read(&key(at)).await.unwrap().is_some()
}

#[test]
fn a_writer_that_stood_still_past_a_sweep_does_not_call_its_entry_applied() {
    block_on(async {
        let world = World::new();
        let ((slow, device), (other, _)) = (world.open().await, world.open().await);
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::HeldBefore(gate.clone())]);
        let commit = world.create("late");
        let late = world.task({
            let slow = Arc::clone(&slow);
            async move { slow.commit(&commit).await }
        });
        gate.arrived().await;
        world.write(&other, "other", 40).await;
        world.swept(1).await;
        gate.open();
        let error = world.in_time("an answer", late).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        let fresh = world.open().await.0;
        for backend in [&slow, &other, &fresh] {
            assert!(!has(backend, "late").await, "it counts nowhere");
            assert!(has(backend, "other/39").await);
        }
        assert_applied(slow.commit(&world.create("after")).await);
        assert!(has(&other, "after").await);
    });
}

#[test]
fn a_reader_that_stood_still_past_a_sweep_does_not_believe_what_it_opened() {
    block_on(async {
        let world = World::new();
        let ((stalled, stalled_device), (other, _)) = (world.open().await, world.open().await);
        let (reader, device) = world.open().await;
        let (writer_gate, reader_gate) = (Gate::shut(), Gate::shut());
        stalled_device.faults().publishes([PublishFault::HeldBefore(writer_gate.clone())]);
        let fork = world.create("fork");
        let late = world.task({
            let stalled = Arc::clone(&stalled);
            async move { stalled.commit(&fork).await }
        });
        writer_gate.arrived().await;
        device.faults().reads([ReadFault::Held(reader_gate.clone())]);
        let read = world.task({
            let reader = Arc::clone(&reader);
            async move { (has(&reader, "fork").await, has(&reader, "other/39").await) }
        });
        reader_gate.arrived().await;
        world.write(&other, "other", 40).await;
        world.swept(1).await;
        writer_gate.open();
        assert_eq!(late.await.unwrap_err().kind(), ErrorKind::Indeterminate);
        // Now the number 1 is there again, and says something else than what everybody has applied.
        reader_gate.open();
        assert_eq!(world.in_time("the reader answers", read).await, (false, true));
    });
}

#[test]
fn a_reader_that_finds_nothing_below_the_floor_is_behind_and_not_at_the_end() {
    block_on(async {
        let world = World::new();
        let ((reader, device), (other, _)) = (world.open().await, world.open().await);
        let gate = Gate::shut();
        device.faults().reads([ReadFault::Held(gate.clone())]);
        let read = world.task({
            let reader = Arc::clone(&reader);
            async move { has(&reader, "other/39").await }
        });
        gate.arrived().await;
        world.write(&other, "other", 40).await;
        world.swept(8).await;
        gate.open();
        assert!(world.in_time("the reader answers", read).await);
    });
}

#[test]
fn what_failed_before_its_link_was_not_applied_and_says_so() {
    block_on(async {
        let world = World::new();
        let (backend, device) = world.open().await;
        device.faults().publishes([PublishFault::FailBefore]);
        let error = backend.commit(&world.create("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(!has(&backend, "k").await);
        assert_applied(backend.commit(&world.create("k")).await);
    });
}

#[test]
fn a_lost_answer_is_found_by_reading_the_number() {
    block_on(async {
        let world = World::new();
        let (backend, device) = world.open().await;
        device.faults().publishes([PublishFault::FailAfter, PublishFault::SaysTaken]);
        assert_applied(backend.commit(&world.create("lost")).await);
        assert_applied(backend.commit(&world.create("taken")).await);
        assert_eq!(world.journal.entries(), [1, 2], "each stands under one number");
    });
}

#[test]
fn an_answer_that_never_comes_is_found_by_the_reader() {
    block_on(async {
        let world = World::new();
        let (backend, device) = world.open().await;
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::HeldAfter(gate.clone())]);
        assert_applied(world.in_time("an answer", backend.commit(&world.create("k"))).await);
        gate.open();
        assert_applied(backend.commit(&world.create("next")).await);
    });
}

#[test]
fn a_link_that_comes_late_is_unknown_and_counts_if_the_number_is_free() {
    block_on(async {
        let world = World::new();
        let ((backend, device), (other, _)) = (world.open().await, world.open().await);
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::LaterThan(gate.clone())]);
        let error = backend.commit(&world.create("late")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        gate.open();
        world.eventually("the late link is seen", async || has(&other, "late").await).await;
        assert!(has(&backend, "late").await);
    });
}

#[test]
fn the_next_entry_takes_the_number_from_a_link_that_comes_late() {
    block_on(async {
        let world = World::new();
        let (backend, device) = world.open().await;
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::LaterThan(gate.clone())]);
        let error = backend.commit(&world.create("late")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert_applied(backend.commit(&world.create("next")).await);
        gate.open();
        // It finds its number taken, now or while there are more.
        world.seam.sleep(Duration::from_millis(300)).await;
        world.write(&backend, "more", 10).await;
        assert!(!has(&backend, "late").await, "its number has another entry");
    });
}

#[test]
fn a_device_that_hangs_is_given_up_and_the_outcome_is_unknown() {
    sim::run(7, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let device = journal.handle();
        let world = World { journal, seam };
        let backend = world.open_on(&device).await.unwrap();
        device.faults().publishes([PublishFault::Hang]);
        let error = backend.commit(&world.create("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert_applied(backend.commit(&world.create("next")).await);
    });
}

#[test]
fn who_misses_every_hint_looks_for_itself() {
    block_on(async {
        let world = World::new();
        let ((deaf, device), (other, _)) = (world.open().await, world.open().await);
        device.faults().deaf(true);
        let scope = ha_core::backend::Scope::Key(key("k"));
        let seen = deaf.changed(&scope, &ha_core::backend::Mark::UNSEEN).await.unwrap().mark();
        let heard = world.task({
            let deaf = Arc::clone(&deaf);
            async move { deaf.changed(&scope, &seen).await.map(drop) }
        });
        world.eventually("it waits", async || deaf.waiting() == 1).await;
        assert_applied(other.commit(&world.create("k")).await);
        world.in_time("it hears of the change", heard).await.unwrap();
    });
}

#[test]
fn a_read_on_a_device_with_old_reads_sees_what_was_acknowledged() {
    block_on(async {
        let seam = Seam::system();
        let world = World { journal: MemoryJournal::with_monotonic_reads(seam.clone()), seam };
        let ((reader, device), (other, _)) = (world.open().await, world.open().await);
        for n in 0..20 {
            let at = format!("k/{n}");
            assert_applied(other.commit(&world.create(&at)).await);
            device.faults().reads([ReadFault::Stale, ReadFault::Stale]);
            assert!(has(&reader, &at).await);
        }
    });
}

#[test]
fn a_damaged_entry_breaks_the_handle_loudly_and_deletes_nothing() {
    block_on(async {
        let world = World::new();
        let ((reader, device), (writer, _)) = (world.open().await, world.open().await);
        device.faults().cut_off(true);
        world.write(&writer, "k", 3).await;
        world.journal.damage_entry(2, |bytes| Some(bytes.slice(..bytes.len() - 1)));
        device.faults().cut_off(false);
        for _ in 0..3 {
            let error = reader.read(&key("k/0")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains('2'), "it names the entry: {error}");
            let error = reader.commit(&world.create("other")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        assert_eq!(world.open_on(&world.journal.handle()).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(world.journal.entries(), [1, 2, 3]);
    });
}

#[test]
fn a_damaged_snapshot_is_done_without_only_if_the_entries_lead_to_it() {
    block_on(async {
        let world = World::new();
        let (writer, _) = world.open().await;
        world.write(&writer, "k", 30).await;
        let made = async || world.journal.snapshots().last().is_some_and(|newest| newest.number == 24);
        world.eventually("snapshots are made", made).await;
        world.swept(16).await;
        let newest = *world.journal.snapshots().last().unwrap();
        world.journal.damage_snapshot(newest, |bytes| Some(bytes.slice(..bytes.len() / 2)));
        assert!(has(&world.open().await.0, "k/29").await, "the snapshot before it and the entries lead there");

        world.journal.damage_entry(newest.number, |_| None);
        let error = world.open_on(&world.journal.handle()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(&newest.number.to_string()), "it names the snapshot: {error}");

        world.journal.damage_snapshot(world.journal.snapshots()[0], |_| None);
        let error = world.open_on(&world.journal.handle()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "nothing leads to the present: {error}");
    });
}

#[test]
fn handles_opened_while_everything_is_swept_find_the_newest_state() {
    block_on(async {
        let world = World::new();
        let (writer, _) = world.open().await;
        for round in 0..30 {
            let name = format!("k/{round}");
            let more = world.write(&writer, &name, 20);
            let opened = async {
                for _ in 0..5 {
                    let backend = world.open().await.0;
                    assert!(round == 0 || has(&backend, &format!("k/{}/19", round - 1)).await);
                }
            };
            futures_util::join!(more, opened);
        }
    });
}

#[test]
fn an_attempt_on_a_latch_that_comes_late_does_not_outlive_its_closed_session() {
    block_on(async {
        let world = World::new();
        let ((backend, device), (other, _)) = (world.open().await, world.open().await);
        let session = world.session(&backend, HOUR).await;
        // The end of the session finds no place, and the attempt comes to be there after all.
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::LaterThan(gate.clone()), PublishFault::FailBefore]);
        let error = session.try_acquire(&latch(), "x".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert_eq!(session.close().await.unwrap_err().kind(), ErrorKind::Unavailable);
        gate.open();
        world.eventually("the late attempt is seen", async || has(&other, "lead/latch").await).await;
        world.successor(&other).await;
    });
}

#[test]
fn who_asks_again_after_an_unknown_attempt_learns_what_it_was() {
    block_on(async {
        let world = World::new();
        let (backend, device) = world.open().await;
        let gate = Gate::shut();
        device.faults().publishes([PublishFault::LaterThan(gate.clone())]);
        let session = world.session(&backend, HOUR).await;
        let error = session.try_acquire(&latch(), "x".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        gate.open();
        world.eventually("the late attempt is seen", async || has(&backend, "lead/latch").await).await;
        let Ok(Acquire::Won(term)) = session.try_acquire(&latch(), "x".into(), None).await else {
            panic!("it holds it")
        };
        assert_eq!(backend.read(latch().key()).await.unwrap().unwrap().held, Some(term));

        // And here the second question takes the number: then the attempt was none, and the session is over.
        device.faults().publishes([PublishFault::LaterThan(Gate::shut())]);
        let other = Latch::below(&Prefix::new("other").unwrap());
        let session = world.session(&backend, HOUR).await;
        assert!(session.try_acquire(&other, "x".into(), None).await.is_err());
        let error = session.try_acquire(&other, "x".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionEnded, "{error}");
        assert_eq!(session.ended().await, Ended::Expired);
    });
}

#[test]
fn a_process_that_is_seen_dying_is_replaced_before_its_silence_is_over() {
    block_on(async {
        let seam = Seam::system();
        let world = World { journal: MemoryJournal::with_witness(seam.clone()), seam };
        let ((leader, device), (other, _)) = (world.open().await, world.open().await);
        let session = world.session(&leader, HOUR).await;
        assert!(matches!(session.try_acquire(&latch(), "x".into(), None).await, Ok(Acquire::Won(_))));
        device.faults().cut_off(true);
        world.journal.witness().unwrap().kill(session.id());
        world.successor(&other).await;
        device.faults().cut_off(false);
        assert_eq!(world.in_time("it hears of its end", session.ended()).await, Ended::Revoked);
    });
}

#[test]
fn a_handle_that_is_dropped_with_its_session_leaves_no_latch_behind() {
    block_on(async {
        let world = World::new();
        let ((backend, _), (other, _)) = (world.open().await, world.open().await);
        let session = world.session(&backend, HOUR).await;
        assert!(matches!(session.try_acquire(&latch(), "x".into(), None).await, Ok(Acquire::Won(_))));
        drop(backend);
        drop(session);
        world.successor(&other).await;
    });
}

#[test]
fn a_leader_that_is_cut_off_is_over_at_its_deadline_and_another_wins_later() {
    block_on(async {
        let world = World::new();
        let ((leader, device), (other, _)) = (world.open().await, world.open().await);
        let session = world.session(&leader, Duration::from_secs(3)).await;
        assert!(matches!(session.try_acquire(&latch(), "x".into(), None).await, Ok(Acquire::Won(_))));
        device.faults().cut_off(true);
        let deadline = session.valid_until();
        let error = leader.commit(&world.create("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        world.successor(&other).await;
        assert!(deadline.is_past(world.seam.now()));
        assert_eq!(world.in_time("it hears", session.ended()).await, Ended::Expired);
        device.faults().cut_off(false);
        assert_applied(leader.commit(&world.create("k")).await);
    });
}
