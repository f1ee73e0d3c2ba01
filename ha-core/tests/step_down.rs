//! A planned hand-over: who leads after it, and whom a request does not depose.
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Acquire, Backend, Commit, Expect, Key, Latch, Outcome, Prefix, SessionOptions};
use ha_core::election::{Leadership, LossReason, STAY_AWAY_MAX, StepDown};
use ha_core::inspect::Inspector;
use ha_core::job_result::JobResult;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::wrap::Chroot;
use ha_core::{ErrorKind, HaServices, HighAvailabilityServices, JobId, JobStatus, ServicesOptions};
use ha_embedded::Embedded;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

struct World {
    seam: Seam,
    store: Embedded,
    storage: StateStorage,
    options: ServicesOptions,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        let store = Embedded::new(seam.clone());
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        Self { seam, store, storage, options: ServicesOptions::default() }
    }

    fn services(&self) -> HaServices {
        let backend = Arc::new(self.store.connect());
        HaServices::new(backend, self.storage.clone(), &self.options, self.seam.clone()).unwrap()
    }

    fn step_down(&self) -> StepDown {
        StepDown::new(Arc::new(self.store.connect()), &self.options, self.seam.clone()).unwrap()
    }

    fn inspector(&self) -> Inspector {
        let backend = Arc::new(self.store.connect());
        Inspector::new(backend, self.storage.clone(), &self.options, self.seam.clone()).unwrap()
    }

    /// The cluster's part of the store.
    fn inside(&self) -> Chroot {
        Chroot::new(Arc::new(self.store.connect()), Prefix::new("flink/default").unwrap())
    }

    async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.seam.timeout(LONG, future).await.unwrap_or_else(|| panic!("not in time: {what}"))
    }
}

async fn campaign(services: &HaServices) -> Leadership {
    services.dispatcher_leader_election().unwrap().campaign().await.unwrap()
}

#[tokio::test]
async fn a_leader_that_is_asked_hands_over_to_another_and_not_to_itself() {
    // Fails if the one who steps down campaigns again at once and is faster than who waits.
    let world = World::new();
    let (one, other) = (world.services(), world.services());
    let leads = campaign(&one).await;
    let follower = async {
        let next = campaign(&other).await;
        world.seam.sleep(SHORT).await;
        next
    };
    let again = async {
        assert_eq!(leads.lost().await, LossReason::AskedToStepDown);
        let epoch = leads.token().epoch();
        drop(leads);
        // As a loop around `campaign` does. It wins only after the other has left.
        (epoch, campaign(&one).await)
    };
    let asking = async {
        let asked = world.step_down().ask(None, LONG, LONG).await.unwrap();
        assert!(asked.over && !asked.request_left, "{asked:?}");
        asked
    };
    let handed_over = async {
        let (next, asked) = tokio::join!(follower, asking);
        assert_eq!(asked.now, Some(next.token().epoch()), "{asked:?}");
        next.resign().await.unwrap();
        (next_epoch(&asked), asked.epoch)
    };
    let ((epoch, back), (next, asked)) =
        world.within("a hand-over and a return", async { tokio::join!(again, handed_over) }).await;
    assert_eq!(asked, Some(epoch));
    assert!(epoch < next && next < back.token().epoch());
    let found = world.inside().read(&Key::new("leader/step_down").unwrap()).await.unwrap();
    assert_eq!(found, None, "the request was taken back");
}

fn next_epoch(asked: &ha_core::election::SteppedDown) -> u64 {
    asked.now.unwrap()
}

#[tokio::test]
async fn who_hands_over_comes_back_after_a_successor_that_it_has_never_seen() {
    // Fails if only a term that still lasts is looked for: then nobody leads for the ten minutes that it stays away.
    let world = World::new();
    let one = world.services();
    let leads = campaign(&one).await;
    let epoch = leads.token().epoch();
    let again = async {
        leads.lost().await;
        drop(leads);
        campaign(&one).await
    };
    // Tasks run one at a time here, and this store answers at once: nobody looks between the last two calls.
    let passing = async {
        let store = world.inside();
        let session = store.open_session(&SessionOptions::default()).await.unwrap();
        let latch = Latch::below(&Prefix::new("leader").unwrap());
        while let Acquire::Held { wait, seen, .. } = session.try_acquire(&latch, "x".into(), None).await.unwrap() {
            store.changed(&wait, &seen).await.unwrap();
        }
        session.release(&latch).await.unwrap();
    };
    let asking = async { world.step_down().ask(None, STAY_AWAY_MAX, SHORT).await.unwrap() };
    let (back, (), asked) = world.within("it comes back", async { tokio::join!(again, passing, asking) }).await;
    assert!(asked.over, "{asked:?}");
    assert!(back.token().epoch() > epoch + 1, "somebody led in between");
}

#[tokio::test]
async fn a_leader_without_a_successor_comes_back_after_its_time_away() {
    let world = World::new();
    let one = world.services();
    let leads = campaign(&one).await;
    let again = async {
        leads.lost().await;
        drop(leads);
        campaign(&one).await
    };
    let asking = async { world.step_down().ask(None, SHORT, LONG).await.unwrap() };
    let (back, asked) = world.within("it comes back", async { tokio::join!(again, asking) }).await;
    assert_eq!(asked.now, Some(back.token().epoch()), "{asked:?}");
    assert!(asked.epoch < asked.now);
}

#[tokio::test]
async fn an_old_request_deposes_no_later_term() {
    // Fails if a request counts for whoever leads when it is seen.
    let world = World::new();
    let one = world.services();
    let inside = world.inside();
    let key = Key::new("leader/step_down").unwrap();
    let first = campaign(&one).await;
    let term = inside.read(&Key::new("leader/latch").unwrap()).await.unwrap().unwrap().held.unwrap();
    first.resign().await.unwrap();
    let second = campaign(&one).await;
    let value = format!(
        r#"{{"format":1,"kind":"step_down_request","write_id":"{:032x}","epoch":0,"body":{{"epoch":{},"native":{:?},"by":"a tool that crashed","at_unix_ms":1,"stay_away_ms":1000}}}}"#,
        7, term.epoch, &*term.native
    );
    let put = Commit::new(world.seam.write_id()).put(key.clone(), Expect::Absent, value.into());
    assert!(matches!(inside.commit(&put).await.unwrap(), Outcome::Applied { .. }));
    let shown = world.inspector().leaders().await.unwrap();
    let request = shown.latches[0].step_down.as_ref().unwrap();
    assert!(!request.is_current && request.by == "a tool that crashed", "{request:?}");
    assert_eq!(world.seam.timeout(Duration::from_millis(500), second.lost()).await, None, "nobody asked for this term");
    // The next operator is not kept from asking by what the last one left.
    let (tool, other) = (world.step_down(), world.services());
    let asking = async { tokio::join!(tool.ask(None, SHORT, LONG), campaign(&other)) };
    let asked = world.within("asks", asking).await.0.unwrap();
    assert_eq!((asked.epoch, asked.over), (Some(second.token().epoch()), true));
}

#[tokio::test]
async fn bytes_that_are_no_request_depose_nobody_and_are_written_over() {
    let world = World::new();
    let one = world.services();
    let leads = campaign(&one).await;
    let key = Key::new("leader/step_down").unwrap();
    let put = Commit::new(world.seam.write_id()).put(key, Expect::Absent, "\u{0}no record".into());
    world.inside().commit(&put).await.unwrap();
    assert_eq!(world.seam.timeout(Duration::from_millis(300), leads.lost()).await, None);
    assert_eq!(world.inspector().leaders().await.unwrap().problems.len(), 1, "it is told");
    let (tool, other) = (world.step_down(), world.services());
    let asking = async { tokio::join!(tool.ask(None, SHORT, LONG), campaign(&other)) };
    assert!(world.within("asks", asking).await.0.unwrap().over);
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_taken_back_and_followed_by_nobody_later() {
    // The holder is a foreign session: nothing in it looks for requests, as in an older version.
    let world = World::new();
    let inside = world.inside();
    let session = inside.open_session(&ha_core::backend::SessionOptions::default()).await.unwrap();
    let latch = ha_core::backend::Latch::below(&Prefix::new("leader").unwrap());
    session.try_acquire(&latch, "{}".into(), None).await.unwrap();
    let asked = world.within("gives up", world.step_down().ask(None, SHORT, SHORT)).await.unwrap();
    assert!(!asked.over && !asked.request_left, "{asked:?}");
    assert_eq!(inside.read(&Key::new("leader/step_down").unwrap()).await.unwrap(), None);
    // What does not answer is ended, fenced.
    let forced = world.within("forces", world.step_down().force(None, Duration::ZERO)).await.unwrap();
    assert!(forced.over, "{forced:?}");
    assert_eq!(forced.now, None, "the tool has let go of it");
}

#[tokio::test]
async fn forcing_fences_the_leader_and_another_leads() {
    let world = World::new();
    let (one, other) = (world.services(), world.services());
    let leads = campaign(&one).await;
    let old = leads.job_result_store();
    let (next, forced) = world
        .within("a successor", async {
            tokio::join!(campaign(&other), async { world.step_down().force(None, LONG).await })
        })
        .await;
    let forced = forced.unwrap();
    assert_eq!((forced.epoch, forced.over), (Some(leads.token().epoch()), true));
    assert!(next.token() > leads.token());
    world.within("it learns of it", leads.lost()).await;
    let result = JobResult::new(JobId::new("job").unwrap(), JobStatus::Finished);
    let refused = old.create_dirty_result(&result).await.unwrap_err();
    assert!([ErrorKind::Fenced, ErrorKind::NotLeader].contains(&refused.kind()), "{refused}");
}

#[tokio::test]
async fn asking_where_nobody_leads_does_nothing() {
    let world = World::new();
    for asked in [world.step_down().ask(None, SHORT, LONG).await, world.step_down().force(None, LONG).await] {
        let asked = asked.unwrap();
        assert_eq!((asked.epoch, asked.over, asked.now), (None, false, None));
    }
    assert!(world.inside().list(&Prefix::root()).await.unwrap().entries.is_empty(), "nothing was written");
}

#[tokio::test]
async fn two_operators_who_ask_at_once_cost_one_change() {
    let world = World::new();
    let one = world.services();
    let leads = campaign(&one).await;
    let (first, second) = (world.step_down(), world.step_down());
    let again = async {
        leads.lost().await;
        drop(leads);
        campaign(&one).await
    };
    let both = async { tokio::join!(first.ask(None, SHORT, LONG), second.ask(None, SHORT, LONG), again) };
    let (first, second, back) = world.within("both are answered", both).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.over && second.over);
    assert_eq!((first.epoch, first.now), (second.epoch, second.now));
    assert_eq!(world.seam.timeout(Duration::from_millis(300), back.lost()).await, None, "nothing is left over");
}
