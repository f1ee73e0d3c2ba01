//! The cleaner: tries again, ends with its leadership, and marks results as clean only after everything.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::cleanup::{CleanableResource, CleanupEnd, CleanupStrategy, ResourceCleaner};
use ha_core::election::LossReason;
use ha_core::job_result::JobResult;
use ha_core::{Error, ErrorKind, JobStatus};

use super::rig::{Process, World, eventually, job};

/// Answers as it is told, and then with success.
#[derive(Debug, Default)]
struct Scripted {
    name: &'static str,
    answers: Mutex<VecDeque<Answer>>,
    calls: AtomicUsize,
    log: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Fail(ErrorKind),
    Panic,
    Hang,
}

impl Scripted {
    fn new(name: &'static str, answers: impl IntoIterator<Item = Answer>, log: &Arc<Mutex<Vec<String>>>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { name, answers, log: Arc::clone(log), calls: AtomicUsize::new(0) })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl CleanableResource for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    async fn global_cleanup(&self, result: &JobResult) -> Result<(), Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(format!("{} {}", self.name, result.status));
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            None => Ok(()),
            Some(Answer::Fail(kind)) => Err(Error::new(kind, "clean up").because("failed for the test")),
            Some(Answer::Panic) => panic!("the resource panics for the test"),
            Some(Answer::Hang) => std::future::pending().await,
        }
    }
}

fn soon(attempts: Option<u32>) -> CleanupStrategy {
    CleanupStrategy::FixedDelay { delay: Duration::from_millis(1), attempts }
}

fn cleaner(of: &Process, strategy: CleanupStrategy) -> ResourceCleaner {
    ResourceCleaner::of(&of.leadership, strategy).unwrap()
}

async fn is_dirty(process: &Process, name: &str) -> bool {
    process.leadership.job_result_store().has_dirty_job_result_entry(&job(name)).await.unwrap()
}

/// HA-12.
#[tokio::test]
async fn it_tries_again_until_everything_is_gone_and_marks_clean_last() {
    let world = World::new();
    let leader = world.leader().await;
    leader.populate("a").await;
    let result = leader.end_job("a", JobStatus::Finished).await;
    let log = Arc::default();
    let fail = Answer::Fail;
    let first = Scripted::new("first", [fail(ErrorKind::Storage), Answer::Panic], &log);
    let beside = Scripted::new("beside", [fail(ErrorKind::Unavailable), fail(ErrorKind::Indeterminate)], &log);
    let cleaner = cleaner(&leader, soon(None));
    let cleaner = cleaner.first(Arc::<Scripted>::clone(&first)).beside(Arc::<Scripted>::clone(&beside));
    assert_eq!(cleaner.clean_up(&result).await, CleanupEnd::Clean);
    // Twice in vain, once to the end, and not again; what comes after it waits for it.
    assert_eq!((first.calls(), beside.calls()), (3, 3));
    assert_eq!(log.lock().unwrap()[..3], ["first FINISHED"; 3]);
    assert!(!is_dirty(&leader, "a").await);
    assert!(!world.keys().await.iter().any(|key| key.contains('a') && !key.starts_with("leader/")));
    assert_eq!(cleaner.clean_up(&result).await, CleanupEnd::Clean, "doing it once more changes nothing");
}

/// FLINK-26652: exhausted tries end nothing but themselves.
#[tokio::test]
async fn exhausted_tries_leave_the_result_dirty_for_the_next() {
    for (strategy, tries) in [(CleanupStrategy::None, 1), (soon(Some(3)), 4)] {
        let world = World::new();
        let leader = world.leader().await;
        leader.populate("a").await;
        let result = leader.end_job("a", JobStatus::Finished).await;
        let broken = Scripted::new("broken", [Answer::Fail(ErrorKind::Storage); 9], &Arc::default());
        let hopeless = cleaner(&leader, strategy).beside(Arc::<Scripted>::clone(&broken));
        let end = hopeless.clean_up(&result).await;
        assert!(matches!(&end, CleanupEnd::GivenUp(error) if error.kind() == ErrorKind::Storage), "{end:?}");
        assert_eq!(broken.calls(), tries);
        assert!(is_dirty(&leader, "a").await && leader.leadership.is_valid());
        let ends = cleaner(&leader, soon(None)).clean_up_dirty_results().await.unwrap().finished().await;
        assert_eq!(ends, [(job("a"), CleanupEnd::Clean)]);
    }
}

/// HA-13: it ends with the leadership at once, in a call that hangs and in a pause that would last for an hour.
#[tokio::test]
async fn it_ends_with_its_leadership_and_the_next_leader_takes_over() {
    let an_hour = CleanupStrategy::FixedDelay { delay: Duration::from_secs(3600), attempts: None };
    for answer in [Answer::Hang, Answer::Fail(ErrorKind::Storage)] {
        let world = World::new();
        let old = world.leader().await;
        old.populate("a").await;
        let result = old.end_job("a", JobStatus::Canceled).await;
        let slow = Scripted::new("slow", [answer], &Arc::default());
        let cleaning = cleaner(&old, an_hour.clone()).first(Arc::<Scripted>::clone(&slow));
        let (ended, answered) = tokio::sync::oneshot::channel();
        let task = world.seam.spawn(async move {
            drop(ended.send(cleaning.clean_up(&result).await));
        });
        eventually("it has begun", async || slow.calls() == 1).await;
        old.leadership.grant().end(LossReason::Evicted);
        let end = answered.await.unwrap();
        assert!(matches!(&end, CleanupEnd::Stopped(error) if error.kind() == ErrorKind::NotLeader), "{end:?}");
        drop(task);
        let next = world.leader().await;
        assert!(is_dirty(&next, "a").await);
        let mut taken_over = cleaner(&next, soon(None)).clean_up_dirty_results().await.unwrap();
        assert_eq!(taken_over.jobs(), [job("a")]);
        assert_eq!(taken_over.finished().await, [(job("a"), CleanupEnd::Clean)]);
        assert!(!is_dirty(&next, "a").await);
    }
}

/// A leader that does not know that it is over is told so by the fence, and does not try for ever.
#[tokio::test]
async fn a_deposed_leader_stops_by_itself() {
    let world = World::new();
    let old = world.leader().await;
    old.populate("a").await;
    let result = old.end_job("a", JobStatus::Finished).await;
    let next = world.depose(&old).await;
    let before = (world.keys().await, world.states().await);
    let end = cleaner(&old, soon(None)).clean_up(&result).await;
    let is_final = |kind| matches!(kind, ErrorKind::Fenced | ErrorKind::NotLeader);
    assert!(matches!(&end, CleanupEnd::Stopped(error) if is_final(error.kind())), "{end:?}");
    assert_eq!((world.keys().await, world.states().await), before);
    assert!(is_dirty(&next, "a").await);
}

#[tokio::test]
async fn one_that_never_succeeds_holds_up_no_other_and_dropping_ends_it() {
    let world = World::new();
    let leader = world.leader().await;
    for number in 0..30 {
        leader.end_job(&format!("job-{number}"), JobStatus::Finished).await;
    }
    leader.end_job("broken", JobStatus::Finished).await;
    world.tamper("job-results/broken", Some("?"));
    world.tamper("job-results/not/a-job", Some("?"));
    // The first twelve to come fail, and their next try is an hour away.
    let an_hour = CleanupStrategy::FixedDelay { delay: Duration::from_secs(3600), attempts: None };
    let some = Scripted::new("some", [Answer::Fail(ErrorKind::Storage); 12], &Arc::default());
    let cleaning = cleaner(&leader, an_hour).first(Arc::<Scripted>::clone(&some));
    let taken_over = cleaning.clean_up_dirty_results().await.unwrap();
    assert_eq!((taken_over.jobs().len(), taken_over.broken().len()), (30, 2));
    let results = leader.leadership.job_result_store();
    let left = async || results.dirty_results().await.unwrap().results.len();
    eventually("all but those that failed are clean", async || left().await == 12).await;
    drop(taken_over);
    let calls = some.calls();
    let mut rest = cleaner(&leader, soon(None)).clean_up_dirty_results().await.unwrap();
    assert_eq!(rest.finished().await.len(), 12);
    assert_eq!(some.calls(), calls, "what was dropped has ended");
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn a_strategy_that_does_not_fit_is_refused() {
    let leader = World::new().leader().await;
    let zero = CleanupStrategy::FixedDelay { delay: Duration::ZERO, attempts: None };
    assert_eq!(ResourceCleaner::of(&leader.leadership, zero).unwrap_err().kind(), ErrorKind::Invalid);
}
