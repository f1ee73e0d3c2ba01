use std::collections::VecDeque;

use tokio::sync::watch;

use super::*;
use crate::backend::{Change, Commit, Entry, Holder, Key, Mark, Outcome, Prefix, Profile, Scope, Snapshot};
use crate::seam::Moment;

/// A store of one session, which answers attempts as it is told and counts what else is asked of it.
#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    attempts: Mutex<VecDeque<Result<Acquire, Error>>>,
    releases: watch::Sender<usize>,
    closes: watch::Sender<usize>,
    lapsed: AtomicBool,
}

#[async_trait]
impl Backend for Scripted {
    fn profile(&self) -> Profile {
        Profile::new("scripted", 1 << 10, 8, 1 << 12)
    }
    async fn read(&self, _: &Key) -> Result<Option<Entry>, Error> {
        Ok(None)
    }
    async fn list(&self, _: &Prefix) -> Result<Snapshot, Error> {
        Ok(Snapshot { entries: Vec::new(), mark: Mark::UNSEEN })
    }
    async fn changed(&self, _: &Scope, _: &Mark) -> Result<Change, Error> {
        std::future::pending().await
    }
    async fn commit(&self, _: &Commit) -> Result<Outcome, Error> {
        Ok(Outcome::Fenced)
    }
    async fn open_session(&self, _: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(self.clone()))
    }
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Session for Scripted {
    fn id(&self) -> &str {
        "scripted"
    }
    async fn try_acquire(&self, _: &Latch, _: Bytes, _: Option<&Term>) -> Result<Acquire, Error> {
        self.0.attempts.lock().unwrap().pop_front().expect("an answer for each attempt")
    }
    async fn release(&self, _: &Latch) -> Result<(), Error> {
        self.0.releases.send_modify(|count| *count += 1);
        Ok(())
    }
    fn valid_until(&self) -> Deadline {
        if self.0.lapsed.load(Ordering::SeqCst) { Deadline::PAST } else { Deadline::at(Moment::NEVER) }
    }
    async fn ended(&self) -> Ended {
        std::future::pending().await
    }
    async fn close(&self) -> Result<(), Error> {
        self.0.closes.send_modify(|count| *count += 1);
        Ok(())
    }
}

fn latch(name: &str) -> Latch {
    Latch::below(&Prefix::new(name).unwrap())
}

fn held() -> Acquire {
    let term = Term { epoch: 1, native: "other".into() };
    Acquire::Held { by: Holder { term, value: Bytes::new() }, wait: Scope::Below(Prefix::root()), seen: Mark::UNSEEN }
}

async fn reaches(count: &watch::Sender<usize>, least: usize) -> bool {
    let mut counted = count.subscribe();
    let reached = counted.wait_for(|count| *count >= least);
    Seam::system().timeout(Duration::from_secs(20), reached).await.is_some()
}

fn sessions(store: &Scripted) -> Arc<Sessions> {
    Sessions::new(Arc::new(store.clone()), SessionOptions::default(), None, Seam::system())
}

#[tokio::test]
async fn an_attempt_without_an_answer_stays_in_doubt_after_the_answer_to_a_later_one() {
    let store = Scripted::default();
    let sessions = sessions(&store);
    let (one, other) = (latch("one"), latch("other"));
    let session = sessions.for_latch(&one).await.unwrap();
    let _shared = sessions.for_latch(&other).await.unwrap();

    let lost = Error::new(ErrorKind::Indeterminate, "acquire");
    store.0.attempts.lock().unwrap().extend([Err(lost), Ok(held())]);
    assert!(session.try_acquire(&one, Bytes::new(), None).await.is_err());
    assert!(matches!(session.try_acquire(&one, Bytes::new(), None).await, Ok(Acquire::Held { .. })));
    session.leave(&one, None);
    assert!(reaches(&store.0.releases, 3).await, "the first attempt may still come, and win for nobody");
    assert_eq!(*store.0.closes.borrow(), 0, "another latch is on it");
}

#[tokio::test]
async fn a_session_whose_deadline_is_past_is_left_all_the_same() {
    let store = Scripted::default();
    let sessions = sessions(&store);
    let one = latch("one");
    let session = sessions.for_latch(&one).await.unwrap();
    store.0.lapsed.store(true, Ordering::SeqCst);
    session.leave(&one, None);
    // Somebody keeps its last grant, and so the session: its renewals may have arrived all the while.
    assert!(reaches(&store.0.closes, 1).await, "its latch would stay held by nobody who knows");
}
