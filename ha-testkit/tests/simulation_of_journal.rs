//! Several processes on one journal whose device fails all the time; one seed decides a whole run.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::backend::{Acquire, Backend, Commit, Expect, Fence, Key, Latch, Outcome, Prefix, SessionOptions, Term};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_testkit::journal::MemoryJournal;
use ha_testkit::sim::{self, History};

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    keys: BTreeSet<Key>,
    terms: Vec<Term>,
    counted: Vec<u64>,
}

#[derive(Clone)]
struct Process {
    name: &'static str,
    journal: MemoryJournal,
    seam: Seam,
    history: History,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

fn latch() -> Latch {
    Latch::below(&Prefix::new("lead").unwrap())
}

fn options() -> JournalOptions {
    JournalOptions::default().with_points(8, 1 << 20)
}

impl Process {
    /// Lives several lives: campaigns, writes and counts as a leader, and goes in one way or another.
    async fn run(self) {
        for life in 0..6 {
            let device = self.journal.handle();
            let shared: Arc<ha_testkit::journal::MemoryHandle> = Arc::clone(&device);
            let backend = JournalBackend::open(shared, self.seam.clone(), options()).await.unwrap();
            device.faults().at_random(Some(4));
            device.faults().deaf(self.seam.random_u64().is_multiple_of(3));
            device.faults().slow(Duration::from_micros(200), Duration::from_micros(self.seam.random_u64() % 3000));
            self.lead(&backend, life).await;
            match self.seam.random_u64() % 3 {
                0 => drop(backend.close().await),
                1 => drop(backend),
                _ => {
                    self.history.note(self.name, "is cut off");
                    device.faults().cut_off(true);
                }
            }
        }
    }

    async fn lead(&self, backend: &JournalBackend, life: u32) {
        let options = SessionOptions { silence: Duration::from_secs(2), label: self.name.into() };
        let Ok(session) = backend.open_session(&options).await else { return };
        let term = loop {
            match session.try_acquire(&latch(), self.name.into(), None).await {
                Ok(Acquire::Won(term)) => break term,
                Ok(Acquire::Held { wait, seen, .. }) => {
                    let _ = self.seam.timeout(Duration::from_secs(1), backend.changed(&wait, &seen)).await;
                }
                Err(error) => {
                    self.history.note(self.name, format_args!("attempt failed: {error}"));
                    if error.kind() == ha_core::ErrorKind::SessionEnded {
                        return;
                    }
                    self.seam.sleep(self.seam.jittered(Duration::from_millis(40))).await;
                }
            }
        };
        self.history.note(self.name, format_args!("won {term:?}"));
        self.acknowledged.lock().unwrap().terms.push(term.clone());
        for step in 0..8 {
            self.write(backend, &term, &format!("{}/{life}-{step}", self.name)).await;
            self.count(backend, &term).await;
            self.seam.sleep(self.seam.jittered(Duration::from_millis(50))).await;
        }
    }

    fn fenced(&self, term: &Term) -> Commit {
        let fence = Fence { latch: latch(), term: term.clone() };
        Commit::new(self.seam.write_id()).guarded_by(fence)
    }

    async fn write(&self, backend: &JournalBackend, term: &Term, at: &str) {
        let at = Key::new(at).unwrap();
        let commit = self.fenced(term).put(at.clone(), Expect::Absent, self.name.into());
        let outcome = backend.commit(&commit).await;
        self.history.note(self.name, format_args!("wrote {at}: {outcome:?}"));
        if matches!(outcome, Ok(Outcome::Applied { .. })) {
            self.acknowledged.lock().unwrap().keys.insert(at);
        }
    }

    async fn count(&self, backend: &JournalBackend, term: &Term) {
        let at = Key::new("counter").unwrap();
        let Ok(found) = backend.read(&at).await else { return };
        let (expect, next) = match found {
            Some(entry) => {
                let count: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                (Expect::Revision(entry.revision), count + 1)
            }
            None => (Expect::Absent, 1),
        };
        let outcome = backend.commit(&self.fenced(term).put(at, expect, next.to_string().into())).await;
        if matches!(outcome, Ok(Outcome::Applied { .. })) {
            self.history.note(self.name, format_args!("counted {next}"));
            self.acknowledged.lock().unwrap().counted.push(next);
        }
    }
}

fn history_of(seed: u64) -> History {
    sim::run(seed, async |seam| {
        let (journal, history) = (MemoryJournal::new(seam.clone()), History::new(seam.clone()));
        let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
        let mut done = Vec::new();
        for name in ["one", "two", "three"] {
            let (seam, history, journal) = (seam.clone(), history.clone(), journal.clone());
            let process =
                Process { name, journal, seam: seam.clone(), history, acknowledged: Arc::clone(&acknowledged) };
            let (tell, told) = tokio::sync::oneshot::channel();
            let task = seam.spawn(async move {
                process.run().await;
                let _ = tell.send(());
            });
            done.push((task, told));
        }
        for (_task, told) in done {
            told.await.unwrap();
        }
        let fresh = JournalBackend::open(journal.handle(), seam.clone(), options()).await.unwrap();
        let found: BTreeSet<Key> =
            fresh.list(&Prefix::root()).await.unwrap().entries.into_iter().map(|entry| entry.key).collect();
        let acknowledged = acknowledged.lock().unwrap();
        let lost: Vec<&Key> = acknowledged.keys.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}\n{history}");
        let epochs: Vec<u64> = acknowledged.terms.iter().map(|term| term.epoch).collect();
        assert!(epochs.is_sorted_by(|a, b| a < b), "epochs must grow: {epochs:?}\n{history}");
        assert!(!epochs.is_empty(), "nobody ever led\n{history}");
        let unique: BTreeSet<u64> = acknowledged.counted.iter().copied().collect();
        assert_eq!(unique.len(), acknowledged.counted.len(), "counted twice: {:?}\n{history}", acknowledged.counted);
        let floor = journal.snapshots().last().map_or(0, |name| name.floor);
        assert!(!unique.is_empty() && floor > 0, "something was counted, and swept\n{history}");
        history
    })
}

#[test]
fn nothing_acknowledged_is_lost_and_no_number_is_given_twice_whatever_the_device_does() {
    for seed in 0..60 {
        history_of(seed);
    }
}

#[test]
fn one_seed_of_the_journal_has_one_history_byte_for_byte() {
    for seed in 1000..1004 {
        assert_eq!(history_of(seed).to_string(), history_of(seed).to_string(), "seed {seed}");
    }
}
