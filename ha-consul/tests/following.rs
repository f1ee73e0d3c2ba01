//! What following costs and survives, seen on the way to the agent.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_consul::{Consul, ConsulSettings};
use ha_core::ErrorKind;
use ha_core::backend::{Backend, Change, Commit, Expect, Key, Mark, Outcome, Prefix, Revision, Scope, Snapshot};
use ha_core::seam::{Seam, Task};
use ha_testkit::Missing;
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use ha_testkit::servers::consul::{Agent, Options};

/// Larger than what is read again at once: a pause of 15 ms, at least.
const BYTES: usize = 128 * 1024;
const PAUSE: Duration = Duration::from_millis(15);
/// The longest pause after answers that brought nothing new.
const PAUSE_IN_VAIN: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(120);

/// An agent, the proxy in front of it, and a handle through the proxy.
struct World {
    seam: Seam,
    agent: Agent,
    proxy: Proxy,
    consul: Arc<Consul>,
}

impl World {
    async fn start() -> Result<Self, Missing> {
        let seam = Seam::system();
        let agent = Agent::start(seam.clone(), Options::developer()).await?;
        let proxy = Proxy::to(agent.address(), seam.clone()).await;
        let mut settings = ConsulSettings::at(proxy.address());
        settings.blocking_wait = Duration::from_secs(1);
        let consul = Arc::new(Consul::connect(settings, seam.clone()).await.unwrap());
        Ok(Self { seam, agent, proxy, consul })
    }

    async fn put(&self, key: &Key, expect: Expect, value: Bytes) -> Revision {
        let commit = Commit::new(self.seam.write_id()).put(key.clone(), expect, value);
        match self.consul.commit(&commit).await.unwrap() {
            Outcome::Applied { revisions } => revisions[0],
            other => panic!("{other:?}"),
        }
    }

    /// Writes a key, whatever stands there.
    async fn put_any(&self, key: &Key) -> Revision {
        let expect = self.consul.read(key).await.unwrap().map_or(Expect::Absent, |e| Expect::Revision(e.revision));
        self.put(key, expect, self.seam.uuid().to_string().into()).await
    }

    /// Follows the place without end.
    fn follow(&self, place: &str) -> Task {
        let (scope, consul) = (Scope::Below(Prefix::new(place).unwrap()), Arc::clone(&self.consul));
        let seam = self.seam.clone();
        self.seam.spawn(async move {
            let mut seen = Mark::UNSEEN;
            loop {
                match consul.changed(&scope, &seen).await {
                    Ok(Change::Snapshot(snapshot)) => seen = snapshot.mark,
                    Ok(_) => {}
                    Err(_) => seam.sleep(Duration::from_millis(50)).await,
                }
            }
        })
    }

    async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.seam.timeout(PATIENCE, future).await.unwrap_or_else(|| panic!("waited in vain: {what}"))
    }

    /// A snapshot of the agent from before twenty more writes of the key, and the revision that is in it.
    async fn saved_before_it_goes_on(&self, key: &Key) -> (Revision, Vec<u8>) {
        let old = self.put_any(key).await;
        let snapshot = self.agent.snapshot().await;
        for _ in 0..20 {
            self.put_any(key).await;
        }
        (old, snapshot)
    }

    async fn list(&self, place: &str) -> Snapshot {
        self.consul.list(&Prefix::new(place).unwrap()).await.unwrap()
    }
}

fn run(test: impl Future<Output = Result<(), Missing>>) {
    if let Err(Missing(what)) = ha_testkit::run::block_on(test) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        eprintln!("SKIPPED: {what}");
    }
}

fn parked() -> Matching {
    Matching::path("index=")
}

#[test]
fn a_large_place_is_not_read_without_pause_while_it_is_written() {
    run(async {
        let w = World::start().await?;
        let reads = w.proxy.treat(parked(), Treatment::SlowAnswer(Duration::ZERO));
        let key = Key::new("place/large").unwrap();
        let value = Bytes::from(vec![b'x'; BYTES]);
        let mut revision = w.put(&key, Expect::Absent, value.clone()).await;
        let began = w.seam.now();
        let _following = w.follow("place");
        w.in_time("it follows", reads.matched(1)).await;
        for _ in 0..100 {
            revision = w.put(&key, Expect::Revision(revision), value.clone()).await;
        }
        // The one that waits now has not been answered.
        let answered = u32::try_from(reads.count().saturating_sub(1)).unwrap();
        let took = w.seam.now().since(began);
        assert!(answered * PAUSE <= took, "{answered} reads within {took:?} of {BYTES} bytes each");
        Ok(())
    });
}

#[test]
fn an_empty_place_is_not_asked_for_at_every_write_elsewhere() {
    run(async {
        // Fails if what Consul answers below an empty place, at every write anywhere, is asked for again at once.
        let w = World::start().await?;
        let reads = w.proxy.treat(parked(), Treatment::SlowAnswer(Duration::ZERO));
        let began = w.seam.now();
        let _following = w.follow("empty");
        w.in_time("it follows", reads.matched(1)).await;
        for number in 0..500 {
            w.agent.ask("PUT", &format!("/v1/kv/elsewhere/{number}"), b"x").await;
        }
        let took = w.seam.now().since(began);
        // The first few pauses are shorter.
        let answered = u32::try_from(reads.count()).unwrap().saturating_sub(10);
        assert!(answered * PAUSE_IN_VAIN <= took, "{answered} reads in vain within {took:?}");
        Ok(())
    });
}

#[test]
fn one_request_waits_for_all_who_wait_in_one_process() {
    run(async {
        let w = World::start().await?;
        let reads = w.proxy.treat(parked(), Treatment::SlowAnswer(Duration::ZERO));
        let keys: Vec<Key> = (0..50).map(|number| Key::new(format!("place/{number}")).unwrap()).collect();
        for key in &keys {
            w.put_any(key).await;
        }
        let seen = w.list("place").await.mark;
        let wait = |key: &Key| {
            let (scope, consul) = (Scope::Key(key.clone()), Arc::clone(&w.consul));
            async move { consul.changed(&scope, &seen).await.unwrap() }
        };
        let waiting = futures_util::future::join_all(keys.iter().map(wait));
        let changes = async {
            w.in_time("one waits", reads.matched(1)).await;
            let before = reads.count();
            for key in &keys {
                w.put_any(key).await;
            }
            before
        };
        let all = w.in_time("all hear", futures_util::future::join(waiting, changes)).await;
        // The wait of a second may have been over, and another begun, once or twice.
        assert!(all.1 <= 3, "{} requests wait for {} who wait", all.1, keys.len());
        Ok(())
    });
}

#[test]
fn three_hundred_places_are_followed_by_fewer_requests_than_an_agent_allows() {
    run(async {
        // Fails if each latch has a connection of its own: a stock agent closes those above 200.
        let w = World::start().await?;
        let keys: Vec<Key> = (0..300).map(|number| Key::new(format!("latches/{number}/value")).unwrap()).collect();
        for key in &keys {
            w.put_any(key).await;
        }
        let seen = w.list("latches").await.mark;
        let held = w.proxy.treat(parked(), Treatment::Hold);
        let wait = |key: &Key| {
            let (scope, consul) = (Scope::Key(key.clone()), Arc::clone(&w.consul));
            w.seam.spawn(async move { drop(consul.changed(&scope, &seen).await.unwrap()) })
        };
        let waiting: Vec<Task> = keys.iter().map(wait).collect();
        // All that will wait do: 64 places, and the one above them.
        w.in_time("they wait", held.matched(65)).await;
        for key in &keys {
            w.put_any(key).await;
        }
        assert_eq!(held.count(), 65, "requests that wait at once");
        drop(held);
        w.in_time("all hear", async {
            while !waiting.iter().all(Task::is_finished) {
                w.seam.sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Ok(())
    });
}

#[test]
fn a_query_that_is_never_answered_is_given_up() {
    run(async {
        // Fails if a query through a follower of a stopped leader is waited for as long as that takes.
        let w = World::start().await?;
        let key = Key::new("place/key").unwrap();
        w.put_any(&key).await;
        let seen = w.list("place").await.mark;
        let lost = w.proxy.treat(parked().times(1), Treatment::Swallow);
        let scope = Scope::Key(key.clone());
        let waiting = async {
            loop {
                // It is told of the doubt, and waits anew.
                if let Ok(Change::Snapshot(snapshot)) = w.consul.changed(&scope, &seen).await {
                    return snapshot;
                }
            }
        };
        let write = async {
            lost.matched(1).await;
            w.put_any(&key).await
        };
        let (heard, revision) = w.in_time("it hears", futures_util::future::join(waiting, write)).await;
        assert_eq!(heard.entries[0].revision, revision);
        Ok(())
    });
}

#[test]
fn an_index_that_went_back_is_told_and_followed_anew() {
    run(async {
        // Fails if the index of before is kept: its waiter is blind until that is reached again.
        let w = World::start().await?;
        let key = Key::new("place/key").unwrap();
        let (old, snapshot) = w.saved_before_it_goes_on(&key).await;
        let seen = w.list("place").await.mark;
        let parked = w.proxy.treat(parked(), Treatment::SlowAnswer(Duration::ZERO));
        let scope = Scope::Below(Prefix::new("place").unwrap());
        let restore = async {
            parked.matched(1).await;
            w.agent.restore(&snapshot).await;
        };
        let (told, ()) =
            w.in_time("it is told", futures_util::future::join(w.consul.changed(&scope, &seen), restore)).await;
        if let Err(error) = told {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        let now = w.list("place").await;
        assert_eq!(now.entries[0].revision, old, "what was restored");
        let write = async { w.put_any(&key).await };
        let waiting = async {
            let mut seen = now.mark;
            loop {
                match w.consul.changed(&scope, &seen).await {
                    Ok(Change::Snapshot(snapshot)) if snapshot.entries[0].revision != old => return snapshot,
                    Ok(Change::Snapshot(snapshot)) => seen = snapshot.mark,
                    _ => {}
                }
            }
        };
        let (heard, written) = w.in_time("it hears", futures_util::future::join(waiting, write)).await;
        assert_eq!(heard.entries[0].revision, written);
        Ok(())
    });
}

#[test]
fn who_was_busy_while_a_snapshot_was_restored_is_told_all_the_same() {
    run(async {
        // Fails if only those hear of it who wait at that moment.
        let w = World::start().await?;
        let key = Key::new("place/key").unwrap();
        let (old, snapshot) = w.saved_before_it_goes_on(&key).await;
        let seen = w.list("place").await.mark;
        let parked = w.proxy.treat(parked(), Treatment::SlowAnswer(Duration::ZERO));
        let _other = w.follow("place");
        w.in_time("another waits", parked.matched(1)).await;
        w.agent.restore(&snapshot).await;
        w.in_time("it is restored", async {
            while w.list("place").await.entries[0].revision != old {
                w.seam.sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let before = parked.count();
        w.in_time("the other follows what was restored", parked.matched(before + 2)).await;
        let tells = async |when: &str| {
            for scope in [Scope::Key(key.clone()), Scope::Below(Prefix::new("place").unwrap())] {
                let told = w.in_time(when, w.consul.changed(&scope, &seen)).await;
                assert!(told.is_err_and(|error| error.kind() == ErrorKind::Unavailable), "{when}");
            }
        };
        tells("it is told").await;
        // Something is written beyond all that was seen, and the connection breaks.
        w.put_any(&Key::new("place/other").unwrap()).await;
        let cut = w.proxy.treat(self::parked().times(1), Treatment::Refuse);
        w.in_time("it breaks", cut.matched(1)).await;
        let before = parked.count();
        w.in_time("it is followed again", parked.matched(before + 2)).await;
        tells("it is told also after a break").await;
        Ok(())
    });
}
