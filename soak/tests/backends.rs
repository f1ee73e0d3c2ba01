//! Connecting, and every call of a backend and of its sessions, dropped at each of its await points, on every backend: nothing is half
//! done, nobody is kept from a latch, and when the handle is closed no task, no session, no check, no connection and no
//! descriptor is left. Alone in its process, for descriptors are the whole process's.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{Acquire, Backend, Commit, Expect, Key, Latch, Mark, Outcome, Scope, Session, SessionOptions};
use ha_core::seam::Seam;
use ha_testkit::cancel::{Cut, at_every_await_point, cut_at};
use ha_testkit::ledger::{Counts, Holdings, counted};
use soak::{ConsulPlace, EmbeddedPlace, FilesystemPlace, Gauge, JournalPlace, Place};

/// Longer than a session that nobody knows of lives on: Consul takes up to twice its time-to-live.
const PATIENCE: Duration = Duration::from_secs(90);

fn options() -> SessionOptions {
    SessionOptions { silence: Duration::from_secs(3), label: "cancelled".into() }
}

struct World {
    backend: Arc<dyn Backend>,
    session: Box<dyn Session>,
    latch: Latch,
    commit: Commit,
    seen: Mark,
    seam: Seam,
}

/// A call; it answers whether something was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    List,
    Changed,
    Commit,
    OpenSession,
    Close,
    TryAcquire,
    Release,
    Ended,
    CloseSession,
}

const CALLS: [Call; 10] = [
    Call::Read,
    Call::List,
    Call::Changed,
    Call::Commit,
    Call::OpenSession,
    Call::Close,
    Call::TryAcquire,
    Call::Release,
    Call::Ended,
    Call::CloseSession,
];

impl World {
    async fn new(place: &dyn Place, seam: &Seam, call: Call) -> Self {
        let backend = place.connect().await.unwrap();
        let name = seam.uuid().simple().to_string();
        let key = |last: &str| Key::new(format!("{name}/{last}")).unwrap();
        let latch = Latch::below(&key("a").home());
        let value = Bytes::from_static(b"value");
        let commit = Commit::new(seam.write_id());
        let commit = commit.put(key("a"), Expect::Absent, value.clone()).put(key("b"), Expect::Absent, value);
        let session = backend.open_session(&options()).await.unwrap();
        if matches!(call, Call::Release | Call::CloseSession | Call::Close) {
            let won = session.try_acquire(&latch, Bytes::from_static(b"one"), None).await.unwrap();
            assert!(matches!(won, Acquire::Won(_)), "{won:?}");
        }
        let seen = backend.changed(&Scope::Below(latch.home()), &Mark::UNSEEN).await.unwrap().mark();
        Self { backend, session, latch, commit, seen, seam: seam.clone() }
    }

    async fn call(&self, call: Call) {
        let home = self.latch.home();
        match call {
            Call::Read => drop(self.backend.read(self.latch.key()).await.unwrap()),
            Call::List => drop(self.backend.list(&home).await.unwrap()),
            // Nothing changes: it waits until it is given up, or a little longer.
            Call::Changed => {
                let scope = Scope::Below(home);
                let changed = self.backend.changed(&scope, &self.seen);
                drop(self.seam.timeout(Duration::from_millis(30), changed).await);
            }
            Call::Commit => {
                let outcome = self.backend.commit(&self.commit).await.unwrap();
                assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
            }
            Call::OpenSession => drop(self.backend.open_session(&options()).await.unwrap()),
            Call::Close => self.backend.close().await.unwrap(),
            Call::TryAcquire => {
                let won = self.session.try_acquire(&self.latch, Bytes::from_static(b"one"), None).await.unwrap();
                assert!(matches!(won, Acquire::Won(_)), "{won:?}");
            }
            Call::Release => self.session.release(&self.latch).await.unwrap(),
            Call::Ended => drop(self.seam.timeout(Duration::from_millis(30), self.session.ended()).await),
            Call::CloseSession => self.session.close().await.unwrap(),
        }
    }

    /// What was cut off is whole or absent, others can lead, and it can be ended in order.
    async fn inspect(self, place: &dyn Place, call: Call, cut: Cut<()>) {
        let other = place.connect().await.unwrap();
        let stored = other.list(&self.latch.home()).await.unwrap().entries;
        let stored = stored.iter().filter(|entry| matches!(entry.key.last(), "a" | "b")).count();
        assert!(stored == 0 || stored == 2, "{call:?}: half of a commit");
        if call == Call::Commit && !cut.is_dropped() {
            assert_eq!(stored, 2, "an acknowledged commit");
        }
        // Either way round: closing the session first, or the handle under it.
        if call != Call::Close {
            self.session.close().await.unwrap();
        }
        drop(self.session);
        self.backend.close().await.unwrap();
        let next = other.open_session(&options()).await.unwrap();
        let deadline = self.seam.now() + PATIENCE;
        while !matches!(next.try_acquire(&self.latch, Bytes::from_static(b"two"), None).await.unwrap(), Acquire::Won(_))
        {
            assert!(self.seam.now() < deadline, "{call:?}: nobody can lead any more");
            self.seam.sleep(Duration::from_millis(5)).await;
        }
        next.close().await.unwrap();
        drop(next);
        other.close().await.unwrap();
    }
}

async fn held(place: &dyn Place) -> Vec<(Gauge, u64)> {
    let mut held = place.holds().await.unwrap();
    // Files follow what is written; the soak judges them.
    held.retain(|(gauge, _)| !matches!(gauge, Gauge::Files | Gauge::Entries | Gauge::Holders | Gauge::FileBytes));
    held
}

async fn every_call(name: &str, place: &dyn Place, (seam, counts): &(Seam, Counts)) {
    // What is made once and stays, threads and a first connection, is there before it is counted.
    for call in [Call::Commit, Call::TryAcquire] {
        let world = World::new(place, seam, call).await;
        world.call(call).await;
        world.inspect(place, call, Cut::Dropped).await;
    }
    let before = held(place).await;
    let (tasks, descriptors) = (counts.tasks(), Holdings::now().descriptors);
    for call in CALLS {
        let points = at_every_await_point(
            async || World::new(place, seam, call).await,
            async |world: &World| world.call(call).await,
            async |world: World, cut: Cut<()>, _| world.inspect(place, call, cut).await,
        );
        println!("{name}: {call:?}: {} await points", points.await);
    }
    // Of a handle that nobody was given, nothing may be left either.
    let points = at_every_await_point(
        async || (),
        async |(): &()| place.connect().await.unwrap(),
        async |(), cut: Cut<Arc<dyn Backend>>, _| {
            if let Some(backend) = cut.done() {
                backend.close().await.unwrap();
            }
        },
    );
    println!("{name}: connecting: {} await points", points.await);
    let deadline = seam.now() + PATIENCE;
    loop {
        let (now, holdings) = (held(place).await, Holdings::now());
        // One connection may be on its way out while the next comes in.
        if now == before && counts.tasks() <= tasks && holdings.descriptors <= descriptors + 2 {
            return;
        }
        assert!(
            seam.now() < deadline,
            "{name}: left: {now:?} of {before:?}, {counts:?} of {tasks} tasks, {holdings:?} of {descriptors}"
        );
        seam.sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn every_call_of_every_backend_can_be_dropped_anywhere_and_leaves_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let seam = || counted(Seam::system());
        let counted = seam();
        every_call("embedded", &EmbeddedPlace::new(&counted.0), &counted).await;
        let counted = seam();
        every_call("journal", &JournalPlace::new(&counted.0, 16), &counted).await;
        let counted = seam();
        every_call("filesystem", &FilesystemPlace::new(&counted.0, None, 16).unwrap(), &counted).await;
        let counted = seam();
        match ConsulPlace::start(&counted.0).await {
            Ok(place) => every_call("consul", &place, &counted).await,
            Err(missing) => {
                assert!(std::env::var_os("CI").is_none(), "{missing}");
                println!("SKIPPED consul: {missing}");
            }
        }
        // The points of a call that waits for its answer are there on a real store.
        assert!(cut_at(1, std::future::pending::<()>()).await.is_dropped());
    });
}
