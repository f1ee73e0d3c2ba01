use std::sync::Arc;
use std::time::Duration;

use ha_core::Error;
use ha_core::backend::{Backend, Commit, Expect, Latch, Outcome, Revision, Session, Term};
use ha_core::record::{self, Body};
use ha_core::resolve::Committer;
use serde::{Deserialize, Serialize};

use crate::faults::{Call, Fault, Faulty, Plan};
use crate::fixture::{Fixture, applied, fence, key, latch, won};

#[derive(Serialize, Deserialize)]
struct Note(u64);

impl Body for Note {
    const KIND: &'static str = "note";
}

/// A leader whose commits go through a committer over a faulty way to the store.
pub(super) struct World {
    pub(super) f: Fixture,
    pub(super) plan: Plan,
    /// The store without faults, as another process sees it.
    pub(super) store: Arc<dyn Backend>,
    pub(super) committer: Arc<Committer>,
    pub(super) session: Arc<dyn Session>,
    pub(super) latch: Latch,
    pub(super) term: Term,
}

impl World {
    pub(super) async fn new(f: Fixture) -> Self {
        Self::with_budget(f, Duration::from_secs(15)).await
    }

    pub(super) async fn with_budget(f: Fixture, budget: Duration) -> Self {
        let (store, plan, l) = (f.connect().await, Plan::none(), latch("lead"));
        let inner = f.connect().await;
        let (session, term) = f.leader(&inner, &l).await;
        let faulty = Arc::new(Faulty::new(inner, f.seam().clone(), plan.clone()));
        let committer = Committer::with_budget(faulty, f.seam().clone(), budget);
        Self { f, plan, store, committer, session, latch: l, term }
    }

    /// Every commit's first sending fails like this.
    pub(super) fn fail(&self, below: &str, fault: Fault) {
        self.plan.next_below(Call::Commit, below, fault);
    }

    pub(super) fn bare(&self) -> Commit {
        self.f.new_commit()
    }

    pub(super) fn guarded(&self) -> Commit {
        self.bare().guarded_by(fence(&self.latch, &self.term))
    }

    pub(super) fn put(&self, commit: Commit, at: &str, expect: Expect) -> Commit {
        let epoch = commit.guard.as_ref().map_or(0, |guard| guard.term.epoch);
        let value = record::encode(&Note(7), commit.id, epoch).expect("a number is valid JSON");
        commit.put(key(at), expect, value)
    }

    pub(super) fn create(&self, at: &str) -> Commit {
        self.put(self.guarded(), at, Expect::Absent)
    }

    pub(super) async fn commit(&self, commit: Commit) -> Result<Outcome, Error> {
        self.f.in_time("the committer answers", self.committer.commit(commit)).await
    }

    /// Creates through the committer, whatever is planned, and answers the revision.
    pub(super) async fn created(&self, at: &str) -> Revision {
        applied(self.commit(self.create(at)).await)[0]
    }

    pub(super) async fn removed(&self, at: &str, revision: Revision) {
        applied(self.commit(self.guarded().remove(key(at), revision)).await);
    }

    pub(super) async fn revision(&self, at: &str) -> Option<Revision> {
        self.store.read(&key(at)).await.expect("a read").map(|entry| entry.revision)
    }

    pub(super) fn sent(&self) -> usize {
        self.plan.calls(Call::Commit)
    }

    /// Another process takes the leadership over.
    pub(super) async fn deposed(&self) -> (Arc<dyn Session>, Term) {
        let heir = self.f.session(&self.store).await;
        let term = won(heir.try_acquire(&self.latch, "heir".into(), Some(&self.term)).await);
        (heir, term)
    }
}
