//! What a handle on a journal may cost, and what it must not depend on: hints for nothing, idle times, the runtime
//! that opened it, what others wait for.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use ha_core::backend::{
    Acquire, Backend, Commit, Expect, Key, Latch, Outcome, Prefix, ReadGuarantee, Session, SessionOptions,
};
use ha_core::journal::{
    DeviceProfile, Journal, JournalBackend, JournalOptions, Published, Read, SnapshotName, Witness,
};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use ha_testkit::journal::{MemoryHandle, MemoryJournal, PublishFault};
use ha_testkit::run::block_on;
use ha_testkit::sim;

/// A device that counts, and that may say what is not so.
#[derive(Debug)]
struct Odd {
    inner: Arc<MemoryHandle>,
    reads: AtomicU64,
    /// So many hints are still given at once, whether there is anything or not.
    hints: AtomicU64,
    /// No floor below this one is told.
    floor: AtomicU64,
}

impl Odd {
    fn new(inner: Arc<MemoryHandle>) -> Arc<Self> {
        let (reads, hints, floor) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { inner, reads, hints, floor })
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Journal for Odd {
    fn profile(&self) -> DeviceProfile {
        self.inner.profile()
    }

    fn identity(&self) -> u128 {
        self.inner.identity()
    }

    async fn publish(&self, number: u64, entry: u128, bytes: &Bytes) -> Result<Published, Error> {
        self.inner.publish(number, entry, bytes).await
    }

    async fn read(&self, from: u64) -> Result<Read, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut read = self.inner.read(from).await?;
        read.floor = read.floor.max(self.floor.load(Ordering::Relaxed));
        Ok(read)
    }

    async fn snapshots(&self) -> Result<Vec<SnapshotName>, Error> {
        self.inner.snapshots().await
    }

    async fn read_snapshot(&self, name: SnapshotName) -> Result<Option<Bytes>, Error> {
        self.inner.read_snapshot(name).await
    }

    async fn put_snapshot(&self, name: SnapshotName, bytes: &Bytes) -> Result<(), Error> {
        self.inner.put_snapshot(name, bytes).await
    }

    async fn sweep(&self, sessions: &[String]) -> Result<(), Error> {
        self.inner.sweep(sessions).await
    }

    async fn appended(&self, number: u64, patience: Duration) {
        if self.hints.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            self.inner.appended(number, patience).await;
        }
    }

    fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.inner.witness()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

fn options() -> JournalOptions {
    JournalOptions::default().with_points(8, 1 << 20)
}

async fn open(device: Arc<dyn Journal>, seam: &Seam) -> Arc<JournalBackend> {
    JournalBackend::open(device, seam.clone(), options()).await.unwrap()
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

async fn has(backend: &JournalBackend, at: &str) -> bool {
    backend.read(&Key::new(at).unwrap()).await.unwrap().is_some()
}

async fn eventually(seam: &Seam, what: &str, mut look: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !look().await {
            seam.sleep(Duration::from_millis(5)).await;
        }
    };
    seam.timeout(Duration::from_secs(60), looking).await.unwrap_or_else(|| panic!("in vain: {what}"));
}

fn latch() -> Latch {
    Latch::below(&Prefix::new("lead").unwrap())
}

async fn session(backend: &JournalBackend, silence: Duration) -> Box<dyn Session> {
    backend.open_session(&SessionOptions { silence, label: "a test".into() }).await.unwrap()
}

#[test]
fn hints_for_nothing_do_not_make_a_handle_spin() {
    sim::run(1, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let device = Odd::new(journal.handle());
        device.hints.store(100_000, Ordering::Relaxed);
        let backend = open(Arc::clone(&device) as Arc<dyn Journal>, &seam).await;
        seam.sleep(Duration::from_secs(10)).await;
        assert!(device.reads() < 1_000, "{} reads in ten seconds, and nothing happened", device.reads());
        // It is as quick as ever when there is something.
        device.hints.store(0, Ordering::Relaxed);
        let other = open(journal.handle(), &seam).await;
        write(&other, &seam, "k", 3).await;
        assert!(has(&backend, "k/2").await);
    });
}

#[test]
fn a_floor_that_no_snapshot_leads_to_is_an_error_and_no_endless_loop() {
    sim::run(2, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let device = Odd::new(journal.handle());
        let backend = open(Arc::clone(&device) as Arc<dyn Journal>, &seam).await;
        write(&backend, &seam, "k", 20).await;
        seam.sleep(Duration::from_secs(10)).await;
        // As if the newest snapshots were deleted by hand: the device has seen their floor.
        device.floor.store(1_000, Ordering::Relaxed);
        let before = device.reads();
        let error = backend.read(&Key::new("k/1").unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(device.reads() - before < 1_000, "{} reads for one answer", device.reads() - before);
    });
}

#[test]
fn a_handle_that_writes_alone_does_not_read_its_own_entries() {
    sim::run(3, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let device = Odd::new(journal.handle());
        let backend = open(Arc::clone(&device) as Arc<dyn Journal>, &seam).await;
        let before = device.reads();
        write(&backend, &seam, "k", 200).await;
        assert!(device.reads() - before < 20, "{} reads for 200 commits of its own", device.reads() - before);
    });
}

#[test]
fn a_handle_that_was_idle_reads_on_before_it_writes() {
    sim::run(4, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let idle_device = journal.handle();
        idle_device.faults().deaf(true);
        let (idle, other) = (open(idle_device, &seam).await, open(journal.handle(), &seam).await);
        seam.sleep(Duration::from_millis(1_500)).await;
        write(&other, &seam, "other", 40).await;
        eventually(&seam, "the first number is swept", async || journal.entries().first() != Some(&1)).await;
        let outcome = idle.commit(&create(&seam, "idle")).await;
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{outcome:?}");
        assert_ne!(journal.entries().first(), Some(&1), "a swept number was made again");
    });
}

#[test]
fn snapshots_are_made_although_the_runtime_that_opened_the_handle_is_gone() {
    let seam = Seam::system();
    let journal = MemoryJournal::new(seam.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let backend = runtime.block_on(open(journal.handle(), &seam));
    drop(runtime);
    block_on(async {
        write(&backend, &seam, "k", 30).await;
        eventually(&seam, "a snapshot is made", async || !journal.snapshots().is_empty()).await;
        eventually(&seam, "and swept", async || journal.entries().first() != Some(&1)).await;
    });
}

#[test]
fn a_read_by_barrier_does_not_wait_behind_the_writes_of_others() {
    sim::run(5, async |seam| {
        let journal = MemoryJournal::with_monotonic_reads(seam.clone());
        let device = journal.handle();
        device.faults().slow(Duration::from_secs(1), Duration::ZERO);
        let backend = open(device, &seam).await;
        let value = Bytes::from(vec![b'x'; 1 << 20]);
        let large = (0..60).map(|n| {
            let key = Key::new(format!("large/{n}")).unwrap();
            Commit::new(seam.write_id()).put(key, Expect::Absent, value.clone())
        });
        let large: Vec<Commit> = large.collect();
        let writes = join_all(large.iter().map(|commit| backend.commit(commit)));
        let began = seam.now();
        let read = async {
            // Behind all of them in the queue.
            seam.sleep(Duration::from_millis(100)).await;
            assert!(!has(&backend, "none").await);
            seam.now().since(began)
        };
        let (written, read) = futures_util::future::join(writes, read).await;
        assert!(written.iter().all(Result::is_ok));
        let all = seam.now().since(began);
        assert!(read + Duration::from_millis(1_500) < all, "it took {read:?} of {all:?}");
    });
}

#[test]
fn who_asks_for_monotonic_reads_reads_without_entries_and_is_told_what_it_gets() {
    sim::run(6, async |seam| {
        let journal = MemoryJournal::with_monotonic_reads(seam.clone());
        let options = options().with_monotonic_reads();
        let backend = JournalBackend::open(journal.handle(), seam.clone(), options).await.unwrap();
        assert_eq!(backend.profile().reads, ReadGuarantee::Monotonic);
        let other = open(journal.handle(), &seam).await;
        assert_eq!(other.profile().reads, ReadGuarantee::Linearizable);
        write(&backend, &seam, "k", 3).await;
        for n in 0..10 {
            assert_eq!(has(&backend, &format!("k/{n}")).await, n < 3);
        }
        assert_eq!(journal.entries().len(), 3, "its reads are no entries");
        // A session is proved by what certainly is the end, whatever reads are worth.
        let standby = session(&backend, Duration::from_secs(3)).await;
        seam.sleep(Duration::from_secs(10)).await;
        assert!(!standby.valid_until().is_past(seam.now()));
        assert!(journal.entries().len() > 6, "{:?}", journal.entries());
        // Where the device is better than that, nothing is given away.
        let journal = MemoryJournal::new(seam.clone());
        let backend = JournalBackend::open(journal.handle(), seam.clone(), options).await.unwrap();
        assert_eq!(backend.profile().reads, ReadGuarantee::Linearizable);
    });
}

#[test]
fn sessions_that_are_over_leave_nothing_to_look_after() {
    sim::run(7, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let inner = journal.handle();
        let device = Odd::new(Arc::clone(&inner));
        let backend = open(Arc::clone(&device) as Arc<dyn Journal>, &seam).await;
        let operator = open(journal.handle(), &seam).await;
        // One was ended by others, and its own end cannot be written.
        let revoked = session(&backend, Duration::from_secs(600)).await;
        assert!(matches!(revoked.try_acquire(&latch(), "x".into(), None).await, Ok(Acquire::Won(_))));
        operator.revoke(revoked.id()).await.unwrap();
        revoked.ended().await;
        inner.faults().cut_off(true);
        drop(revoked);
        seam.sleep(Duration::from_secs(1)).await;
        inner.faults().cut_off(false);
        // The attempt of the other stays unknown and never comes to be, and its own end cannot be written.
        let doubted = session(&backend, Duration::from_secs(600)).await;
        inner.faults().publishes([PublishFault::Later(Duration::from_secs(60)), PublishFault::FailBefore]);
        doubted.try_acquire(&latch(), "x".into(), None).await.unwrap_err();
        drop(doubted);
        seam.sleep(Duration::from_secs(1)).await;
        write(&backend, &seam, "k", 2).await;
        seam.sleep(Duration::from_secs(120)).await;
        let before = device.reads();
        seam.sleep(Duration::from_secs(120)).await;
        assert!(device.reads() - before < 60, "{} reads in two idle minutes", device.reads() - before);
    });
}

#[test]
fn renewals_do_not_wait_behind_the_writes_of_many() {
    // By the clock of the simulation: nothing but what waits for the device takes time.
    sim::run(8, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let device = journal.handle();
        device.faults().slow(Duration::from_millis(20), Duration::ZERO);
        let backend = open(device, &seam).await;
        let session = session(&backend, Duration::from_secs(2)).await;
        assert!(matches!(session.try_acquire(&latch(), "x".into(), None).await, Ok(Acquire::Won(_))));
        let end = seam.now() + Duration::from_secs(5);
        let writers = (0..32).map(|name| {
            let (seam, backend) = (&seam, &backend);
            async move {
                for n in 0.. {
                    if seam.now() > end {
                        return;
                    }
                    write(backend, seam, &format!("{name}/{n}"), 1).await;
                }
            }
        });
        join_all(writers).await;
        assert!(!session.valid_until().is_past(seam.now()), "the session was starved");
    });
}

#[test]
fn what_waits_together_shares_an_entry() {
    sim::run(9, async |seam| {
        let journal = MemoryJournal::new(seam.clone());
        let device = journal.handle();
        device.faults().slow(Duration::from_millis(5), Duration::ZERO);
        let backend = JournalBackend::open(device, seam.clone(), JournalOptions::default()).await.unwrap();
        let writers = (0..64).map(|name| name.to_string()).collect::<Vec<_>>();
        join_all(writers.iter().map(|name| write(&backend, &seam, name, 5))).await;
        let entries = journal.entries().len();
        assert!(entries <= 64 * 5 / 10, "320 commits took {entries} entries");
    });
}
