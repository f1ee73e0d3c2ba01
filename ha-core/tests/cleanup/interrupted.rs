//! a clean-up is interrupted at every call that it makes of the store or the state storage, before the call
//! and after it, by a crash or by an error, and another process finishes it.

use ha_core::cleanup::{CleanupEnd, CleanupStrategy, OrphanCollector, OrphanOptions, ResourceCleaner};
use ha_core::{Error, HighAvailabilityServices, JobStatus};

use super::rig::{Fault, Process, World, job};

const FAULTS: [Fault; 4] = [Fault::Fail, Fault::LoseAnswer, Fault::CrashBefore, Fault::CrashAfter];

/// What a clean-up has to come to, whatever happened on the way.
type Left = (Vec<String>, Vec<String>);

#[derive(Debug, Clone, Copy)]
enum Work {
    All,
    Job,
    Result,
}

impl Work {
    async fn run(self, process: &Process) -> Result<(), Error> {
        match self {
            Self::All => process.services.cleanup_all_data().await,
            Self::Job => process.services.global_cleanup(&job("a")).await,
            Self::Result => {
                // One try, as a process makes that dies before its second.
                let cleaner = ResourceCleaner::of(&process.leadership, CleanupStrategy::None).unwrap();
                let ends = cleaner.clean_up_dirty_results().await?.finished().await;
                match ends.into_iter().next() {
                    Some((_, CleanupEnd::GivenUp(error) | CleanupEnd::Stopped(error))) => Err(error),
                    Some((_, CleanupEnd::Clean)) | None => Ok(()),
                }
            }
        }
    }
}

async fn world() -> (World, Process) {
    let world = World::new();
    let leader = world.leader().await;
    leader.populate("a").await;
    leader.populate("b").await;
    leader.end_job("a", JobStatus::Canceled).await;
    leader.note("mine").await;
    (world, leader)
}

/// What is left, once orphans were collected as every leader does now and then.
async fn left(world: &World, by: &Process) -> Left {
    let collected = OrphanCollector::of(&by.leadership, OrphanOptions::default()).collect().await.unwrap();
    assert!(!collected.may_be_more);
    let keys = world.keys().await.into_iter().filter(|key| !key.starts_with("leader/")).collect();
    // A checkpoint that a policy might have retained is never collected: if the crash came between its pointer and
    // itself it may stay.
    let contents = world.contents().await.into_iter().filter(|content| content != "a Checkpoint RetainOnFailure");
    (keys, contents.collect())
}

/// The calls of an undisturbed run, and what it leaves.
async fn undisturbed(work: Work) -> (usize, Left) {
    let (world, leader) = world().await;
    leader.trap.arm(usize::MAX, Fault::Fail);
    work.run(&leader).await.unwrap();
    let calls = leader.trap.calls();
    let next = world.depose(&leader).await;
    (calls, left(&world, &next).await)
}

async fn interrupted_at_every_step(work: Work) {
    let (calls, expected) = undisturbed(work).await;
    assert!(calls > 5, "{work:?} makes {calls} calls");
    let mut crashes = 0;
    for nth in 1..=calls + 1 {
        for fault in FAULTS {
            let (world, first) = world().await;
            first.trap.arm(nth, fault);
            let ended = first.until_crash(work.run(&first)).await;
            crashes += usize::from(ended.is_none());
            let next = world.depose(&first).await;
            work.run(&next).await.unwrap_or_else(|error| panic!("{work:?} {fault:?} at {nth}: {error}"));
            assert_eq!(left(&world, &next).await, expected, "{work:?} {fault:?} at {nth}: {ended:?}");
        }
    }
    assert!(crashes >= calls, "{work:?} crashed {crashes} times in {calls} calls");
}

#[tokio::test]
async fn removing_everything_is_finished_by_another_process() {
    interrupted_at_every_step(Work::All).await;
}

#[tokio::test]
async fn removing_a_job_is_finished_by_another_process() {
    interrupted_at_every_step(Work::Job).await;
}

/// HA-12, HA-13: the dirty result leads the next leader to it.
#[tokio::test]
async fn cleaning_up_after_a_job_is_finished_by_the_next_leader() {
    interrupted_at_every_step(Work::Result).await;
}

/// The same process, after an error: nobody need crash for it.
#[tokio::test]
async fn after_an_error_the_same_process_finishes() {
    for work in [Work::All, Work::Job] {
        let (calls, expected) = undisturbed(work).await;
        for nth in 1..=calls {
            for fault in [Fault::Fail, Fault::LoseAnswer] {
                let (world, leader) = world().await;
                leader.trap.arm(nth, fault);
                let first = work.run(&leader).await;
                work.run(&leader).await.unwrap();
                let next = world.depose(&leader).await;
                assert_eq!(left(&world, &next).await, expected, "{work:?} {fault:?} at {nth}: {first:?}");
            }
        }
    }
}

/// dropped at any poll, as `select!` and time-outs do, it can be called again.
#[tokio::test]
async fn a_dropped_cleanup_is_called_again() {
    let (_, expected) = undisturbed(Work::All).await;
    for polls in 1..40 {
        let (world, leader) = world().await;
        {
            let mut work = std::pin::pin!(leader.services.cleanup_all_data());
            let mut left = polls;
            std::future::poll_fn(|context| {
                left -= 1;
                let polled = work.as_mut().poll(context).is_ready();
                if !polled && left > 0 {
                    context.waker().wake_by_ref();
                }
                if polled || left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
        leader.services.cleanup_all_data().await.unwrap();
        let next = world.depose(&leader).await;
        assert_eq!(left(&world, &next).await, expected, "dropped at poll {polls}");
    }
}
