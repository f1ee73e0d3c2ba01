//! Attacks on the resolution of unknown outcomes.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: panicking is how it fails, and threads are what it is about"
)]

mod rigged;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{Acquire, Backend, Commit, Expect, Fence, Key, Latch, Outcome, Prefix, Session, SessionOptions};
use ha_core::record::{self, Body};
use ha_core::resolve::Committer;
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use rigged::{Fate, Rigged, store, until};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Text(String);
impl Body for Text {
    const KIND: &'static str = "text";
}

fn key(key: &str) -> Key {
    Key::new(key).unwrap()
}

fn put(seam: &Seam, key: &Key, expect: Expect, text: &str) -> Commit {
    let id = seam.write_id();
    Commit::new(id).put(key.clone(), expect, value(id, text))
}

fn value(id: ha_core::backend::WriteId, text: &str) -> Bytes {
    record::encode(&Text(text.into()), id, 1).unwrap()
}

async fn lead(backend: &dyn Backend, place: &str) -> (Box<dyn Session>, Fence) {
    let latch = Latch::below(&Prefix::new(place).unwrap());
    let options = SessionOptions { silence: Duration::from_secs(60), label: String::new() };
    let session = backend.open_session(&options).await.unwrap();
    match session.try_acquire(&latch, "me".into(), None).await.unwrap() {
        Acquire::Won(term) => (session, Fence { latch, term }),
        held => panic!("{held:?}"),
    }
}

fn may_be_applied(result: &Result<Outcome, Error>) -> bool {
    matches!(result, Ok(Outcome::Applied { .. })) || result.as_ref().is_err_and(Error::may_have_applied)
}

#[tokio::test]
async fn a_create_that_was_applied_and_then_removed_by_the_successor_is_not_reported_as_not_applied() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
    let (session, fence) = lead(&*backend, "leader").await;
    let plan = key("plan");
    rig.next([Fate::Pass]); // The read of the barrier is no commit; this is the create's place in the queue.
    rig.fates.lock().unwrap().clear();
    rig.next([Fate::LoseAnswer]);
    let other = store.connect();
    let commit = put(&seam, &plan, Expect::Absent, "plan").guarded_by(fence);
    let successor = async {
        // Between the lost answer and the second copy: the successor takes over, uses what it
        // found, and removes the pointer.
        while other.read(&plan).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        session.close().await.unwrap();
        let (next, fence) = lead(&other, "leader").await;
        let found = other.read(&plan).await.unwrap().unwrap();
        let removal = Commit::new(seam.write_id()).remove(plan.clone(), found.revision).guarded_by(fence);
        assert!(matches!(other.commit(&removal).await.unwrap(), Outcome::Applied { .. }));
        next
    };
    let (result, _next) = tokio::join!(committer.commit(commit), successor);
    assert!(may_be_applied(&result), "it was applied, and reported as not: {result:?}");
}

#[tokio::test]
async fn a_write_that_certainly_was_not_applied_is_still_reported_as_fenced() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
    let (session, fence) = lead(&*backend, "leader").await;
    let counter = key("counter");
    let made = committer.commit(put(&seam, &counter, Expect::Absent, "1").guarded_by(fence.clone())).await.unwrap();
    let Outcome::Applied { revisions } = made else { panic!("{made:?}") };
    rig.next([Fate::HoldBack]);
    session.close().await.unwrap();
    let step = put(&seam, &counter, Expect::Revision(revisions[0]), "2").guarded_by(fence);
    assert_eq!(committer.commit(step).await.unwrap(), Outcome::Fenced);
}

#[tokio::test]
async fn a_resolved_commit_does_not_name_the_revision_of_a_rivals_write_as_its_own() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
    let (a, b) = (key("a"), key("b"));
    rig.next([Fate::LoseAnswer]);
    let id = seam.write_id();
    let commit = Commit::new(id).put(a.clone(), Expect::Absent, value(id, "ours")).put(
        b.clone(),
        Expect::Absent,
        value(id, "ours"),
    );
    // The rival overwrites one of the two as soon as it is there.
    let rival = RivalOnRead { inner: Arc::<Rigged>::clone(&backend), victim: b.clone(), seam: seam.clone() };
    let resolving = Committer::new(Arc::new(rival), seam.clone());
    let outcome = resolving.commit(commit).await.unwrap();
    let Outcome::Applied { revisions } = outcome else { panic!("{outcome:?}") };
    // Whoever goes on from what it was told must not overwrite what it has never read.
    let next = put(&seam, &b, Expect::Revision(revisions[1]), "ours again");
    let went = committer.commit(next).await.unwrap();
    assert!(matches!(went, Outcome::Conflict { .. }), "the rival's write was overwritten unread: {went:?}");
}

/// Overwrites a key right before it is read for the first time.
#[derive(Debug)]
struct RivalOnRead {
    inner: Arc<Rigged>,
    victim: Key,
    seam: Seam,
}

#[async_trait::async_trait]
impl Backend for RivalOnRead {
    fn profile(&self) -> ha_core::backend::Profile {
        self.inner.profile()
    }
    async fn read(&self, key: &Key) -> Result<Option<ha_core::backend::Entry>, Error> {
        if *key == self.victim
            && let Some(found) = self.inner.read(key).await?
        {
            let rival = put(&self.seam, key, Expect::Revision(found.revision), "rival");
            self.inner.inner.commit(&rival).await?;
        }
        self.inner.read(key).await
    }
    async fn list(&self, below: &Prefix) -> Result<ha_core::backend::Snapshot, Error> {
        self.inner.list(below).await
    }
    async fn changed(
        &self,
        scope: &ha_core::backend::Scope,
        seen: &ha_core::backend::Mark,
    ) -> Result<ha_core::backend::Change, Error> {
        self.inner.changed(scope, seen).await
    }
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.inner.commit(commit).await
    }
    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.inner.open_session(options).await
    }
    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

async fn remove(committer: &Committer, fence: &Fence, key: &Key) -> Result<Outcome, Error> {
    let found = committer.backend().read(key).await?.expect("there");
    let removal = Commit::new(committer.seam().write_id()).remove(key.clone(), found.revision);
    committer.commit(removal.guarded_by(fence.clone())).await
}

#[tokio::test]
async fn a_late_copy_of_a_create_does_not_bring_back_what_was_removed() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
    let (_session, fence) = lead(&*backend, "leader").await;
    for round in 0..20 {
        let plan = key(&format!("plan-{}", round % 3));
        // One copy stays on its way, another is applied.
        rig.next([Fate::HoldBack]);
        let made = committer.commit(put(&seam, &plan, Expect::Absent, "x").guarded_by(fence.clone())).await.unwrap();
        assert!(matches!(made, Outcome::Applied { .. }), "{made:?}");
        if round % 2 == 0 {
            rig.next([Fate::LoseAnswer]); // of the raising of the barrier
        }
        let gone = remove(&committer, &fence, &plan).await.unwrap();
        assert!(matches!(gone, Outcome::Applied { .. }), "{gone:?}");
        let late = backend.deliver().await;
        assert!(late.iter().all(|o| matches!(o, Outcome::Conflict { .. })), "{late:?}");
        assert!(store.connect().read(&plan).await.unwrap().is_none(), "it came back");
    }
}

#[tokio::test]
async fn a_cancelled_create_does_not_come_back_after_a_removal() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
    let (_session, fence) = lead(&*backend, "leader").await;
    let plan = key("plan");
    // The first copy is held back. The caller gives up once it is on its way; whether a second one was
    // sent by then makes no difference, for that one never arrives.
    rig.next([Fate::HoldBack, Fate::Vanish]);
    let create = committer.commit(put(&seam, &plan, Expect::Absent, "x").guarded_by(fence.clone()));
    let on_its_way = until(&seam, "the create is on its way", || rig.held_back.lock().unwrap().len() == 1);
    tokio::select! {
        biased;
        answer = create => panic!("answered, and nothing was delivered: {answer:?}"),
        () = on_its_way => {}
    }
    rig.fates.lock().unwrap().clear();
    // Created by another commit, then removed.
    committer.commit(put(&seam, &plan, Expect::Absent, "y").guarded_by(fence.clone())).await.unwrap();
    remove(&committer, &fence, &plan).await.unwrap();
    let late = backend.deliver().await;
    assert!(matches!(late[..], [Outcome::Conflict { .. }]), "{late:?}");
    assert!(store.connect().read(&plan).await.unwrap().is_none(), "it came back");
}

#[tokio::test]
async fn more_doubtful_creates_than_are_remembered_come_back_after_no_removal() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
    let (_session, fence) = lead(&*backend, "leader").await;
    let plans: Vec<Key> = (0..300).map(|number| key(&format!("plan-{number}"))).collect();
    for plan in &plans {
        rig.next([Fate::HoldBack]);
        let create = committer.commit(put(&seam, plan, Expect::Absent, "x").guarded_by(fence.clone()));
        // Past the bound the first commit in the queue is the raising: it is lost, and resolved.
        let made = create.await.unwrap();
        assert!(matches!(made, Outcome::Applied { .. }), "{made:?}");
    }
    for plan in &plans {
        remove(&committer, &fence, plan).await.unwrap();
    }
    backend.deliver().await;
    for plan in &plans {
        assert!(store.connect().read(plan).await.unwrap().is_none(), "{plan} came back");
    }
}

#[tokio::test]
async fn a_create_under_one_latch_does_not_come_back_after_a_removal_under_another() {
    let (store, seam) = store();
    let (backend, rig) = Rigged::new(&store, &seam);
    let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
    let (_one, shard) = lead(&*backend, "latches/shard").await;
    let (_two, main) = lead(&*backend, "leader").await;
    let record = key("application/x");
    rig.next([Fate::HoldBack]);
    committer.commit(put(&seam, &record, Expect::Absent, "x").guarded_by(shard)).await.unwrap();
    remove(&committer, &main, &record).await.unwrap();
    backend.deliver().await;
    assert!(store.connect().read(&record).await.unwrap().is_none(), "it came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_back_whatever_the_order_of_losses_cancellations_and_late_copies() {
    for seed in 0..60_u64 {
        let (store, seam) = store();
        let (backend, rig) = Rigged::new(&store, &seam);
        let committer = Committer::new(Arc::<Rigged>::clone(&backend) as Arc<dyn Backend>, seam.clone());
        let (_session, fence) = lead(&*backend, "leader").await;
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut roll = move |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        for _ in 0..40 {
            let plan = key(&format!("plan-{}", roll(3)));
            let fate = [Fate::Pass, Fate::LoseAnswer, Fate::HoldBack][roll(3) as usize];
            rig.next([fate]);
            let there = backend.read(&plan).await.unwrap().is_some();
            let patience = Duration::from_millis([1, 4, 5000][roll(3) as usize]);
            if there {
                let removing = seam.timeout(patience, remove(&committer, &fence, &plan)).await;
                let removed = matches!(removing, Some(Ok(Outcome::Applied { .. })));
                if removed {
                    // Every copy of every create from before arrives now.
                    backend.deliver().await;
                    assert!(backend.read(&plan).await.unwrap().is_none(), "seed {seed}: {plan} came back");
                }
            } else {
                let create = put(&seam, &plan, Expect::Absent, "x").guarded_by(fence.clone());
                let id = create.id;
                let made = seam.timeout(patience, committer.commit(create)).await;
                if let Some(Ok(Outcome::Applied { .. })) = made {
                    let found = backend.read(&plan).await.unwrap().expect("applied is there");
                    assert_eq!(record::write_id_of(&found), Some(id), "seed {seed}");
                } else if let Some(Err(error)) = made {
                    assert_eq!(error.kind(), ErrorKind::Indeterminate, "seed {seed}: {error}");
                }
            }
            rig.fates.lock().unwrap().clear();
        }
    }
}
