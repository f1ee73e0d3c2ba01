//! An operator's sweep beside whoever leads: whatever it comes upon, every pointer leads to intact state after it.

use std::sync::Arc;

use ha_core::cleanup::{OrphanOptions, OrphanSweep};
use ha_core::inspect::Depth;
use ha_core::plan::ExecutionPlan;
use ha_core::state::chunks_of;
use ha_core::{ErrorKind, HighAvailabilityServices, JobStatus};

use super::rig::{Fault, Ignore, Process, World, eventually, job};
use super::trap::Trap;

const ORPHANS: usize = 3;

fn sweep(world: &World, trap: &Arc<Trap>) -> OrphanSweep {
    world.sweep(trap, OrphanOptions::default())
}

/// A leader of the second term, beside pointers and orphans of the first.
async fn world() -> (World, Process) {
    let world = World::new();
    let old = world.leader().await;
    old.populate("a").await;
    for number in 0..ORPHANS {
        let lost =
            old.leadership.blob_store().put(&job("z"), chunks_of(format!("lost {number}").into())).await.unwrap();
        world.tamper(&format!("blobs/z/{lost}"), None);
    }
    let leader = world.depose(&old).await;
    leader.populate("b").await;
    (world, leader)
}

async fn calls_of_a_sweep() -> usize {
    let (world, _leader) = world().await;
    let trap = Arc::new(Trap::default());
    trap.arm(usize::MAX, Fault::Fail);
    assert_eq!(sweep(&world, &trap).collect().await.unwrap().orphans.len(), ORPHANS);
    assert!(trap.calls() > 10, "{}", trap.calls());
    trap.calls()
}

/// What a leader does that writes state, makes pointers to it, points to the same anew, and lets go of it.
async fn work(leader: &Process, of: &str) {
    let plans = leader.leadership.execution_plan_store();
    plans.start(Arc::new(Ignore)).await.unwrap();
    for job in plans.job_ids().await.unwrap() {
        plans.recover_execution_plan(&job).await.unwrap();
    }
    // The state of the former term gets a pointer of this one.
    plans.put_job_resource_requirements(&job("a"), serde_json::json!({ "of": of })).await.unwrap();
    plans.put_execution_plan(&ExecutionPlan::new(job("b"), format!("replaced by {of}").into())).await.unwrap();
    plans.stop().await.unwrap();
    leader.populate(of).await;
    leader.end_job(of, JobStatus::Finished).await;
    leader.populate(&format!("{of}-over")).await;
    leader.services.global_cleanup(&job(&format!("{of}-over"))).await.unwrap();
    // The same content, whose pointer is there already.
    leader.populate_blobs("a").await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// The leader works.
    Work,
    /// The leader is deposed, and the next works.
    HandOver,
    /// A state that was written long before gets its pointer.
    SlowPointer,
    /// Its pointer is refused, for its writer was deposed.
    LatePointer,
}

#[tokio::test]
async fn whatever_a_leader_does_beside_a_sweep_every_pointer_leads_to_its_state() {
    let calls = calls_of_a_sweep().await;
    for beside in [Beside::Work, Beside::HandOver, Beside::SlowPointer, Beside::LatePointer] {
        for nth in 1..=calls {
            let what = format!("{beside:?} before call {nth}");
            let (world, leader) = world().await;
            let is_slow = matches!(beside, Beside::SlowPointer | Beside::LatePointer);
            let blobs = leader.leadership.blob_store();
            let (seam, trap) = (world.seam.clone(), Arc::new(Trap::default()));
            let slow = is_slow.then(|| {
                leader.trap.close_gate("blobs/slow");
                seam.spawn(async move { drop(blobs.put(&job("slow"), chunks_of("slow".into())).await) })
            });
            eventually(&what, async || !is_slow || leader.trap.waiting() > 0).await;
            trap.arm(nth, Fault::Hold);
            let (sweeping, (ended, mut answer)) = (sweep(&world, &trap), tokio::sync::oneshot::channel());
            let _task = seam.spawn(async move { drop(ended.send(sweeping.collect().await)) });
            eventually(&what, async || trap.holds()).await;
            let next = match beside {
                Beside::HandOver | Beside::LatePointer => Some(world.depose(&leader).await),
                Beside::Work | Beside::SlowPointer => None,
            };
            if is_slow {
                leader.trap.open();
                eventually(&what, async || slow.as_ref().is_some_and(ha_core::seam::Task::is_finished)).await;
            }
            work(next.as_ref().unwrap_or(&leader), "new").await;
            trap.go_on();
            eventually(&what, async || !answer.is_empty()).await;
            match answer.try_recv().unwrap() {
                Ok(swept) => assert_eq!(swept.orphans.len(), ORPHANS, "{what}"),
                // Leaders changed, and so it did nothing.
                Err(error) => {
                    assert_eq!((error.kind(), next.is_some()), (ErrorKind::IllegalState, true), "{what}: {error}");
                }
            }
            world.assert_sound(&what).await;
            let keys = world.keys().await;
            assert_eq!(keys.iter().any(|key| key.starts_with("blobs/slow/")), beside == Beside::SlowPointer, "{what}");
            assert!(keys.contains(&"execution-plans/new".to_owned()), "{what}");
        }
    }
}

/// What is left of orphans, once somebody sweeps who is not disturbed.
async fn swept_again(world: &World, what: &str) {
    world.assert_sound(what).await;
    let again = sweep(world, &Arc::default()).collect().await.unwrap();
    assert!(again.orphans.len() <= ORPHANS && !again.may_be_more, "{what}: {again:?}");
    assert!(!world.contents().await.iter().any(|content| content.starts_with("lost")), "{what}");
    world.assert_sound(what).await;
}

#[tokio::test]
async fn a_sweep_that_fails_dies_or_is_dropped_at_any_call_takes_only_orphans_and_is_called_again() {
    let calls = calls_of_a_sweep().await;
    for nth in 1..=calls {
        for fault in [Fault::Fail, Fault::LoseAnswer, Fault::CrashBefore, Fault::CrashAfter] {
            let what = format!("{fault:?} at {nth}");
            let (world, _leader) = world().await;
            let (keys, count, trap) = (world.entries().await, world.states().await.len(), Arc::new(Trap::default()));
            trap.arm(nth, fault);
            let sweeping = sweep(&world, &trap);
            let ended = tokio::select! {
                biased;
                () = trap.crashed.notified() => None,
                ended = sweeping.collect() => Some(ended),
            };
            // All that it looks at comes before all that it deletes: an answer that is missing deletes nothing.
            let failed = matches!(fault, Fault::Fail | Fault::LoseAnswer);
            assert!(ended.is_none() != failed && ended.is_none_or(|ended| ended.is_err()), "{what}");
            let left = world.states().await.len();
            assert!(left + ORPHANS >= count && (nth > calls - ORPHANS || left == count), "{what}: {left} of {count}");
            assert_eq!(world.entries().await, keys, "{what}");
            swept_again(&world, &what).await;
        }
    }
}

#[tokio::test]
async fn one_pointer_that_cannot_be_read_at_either_look_keeps_everything_from_a_sweep() {
    let calls = calls_of_a_sweep().await;
    let keys = ["execution-plans/a", "jobs/a/checkpoints/0000000000000000001", "jobs/a/new", "blobs/b", "blobs/z/x"];
    for key in keys {
        for bytes in ["?", r#"{"format":9999}"#] {
            // From the first call on; and before the last list of pointers there, when all was looked at once.
            for nth in [1, calls - ORPHANS - 3] {
                let what = format!("{key} {bytes} from call {nth}");
                let (world, _leader) = world().await;
                let (before, trap) = (world.states().await, Arc::new(Trap::default()));
                trap.arm(nth, Fault::Hold);
                let (sweeping, (ended, mut answer)) = (sweep(&world, &trap), tokio::sync::oneshot::channel());
                let _task = world.seam.spawn(async move { drop(ended.send(sweeping.collect().await)) });
                eventually(&what, async || trap.holds()).await;
                world.tamper(key, Some(bytes));
                trap.go_on();
                eventually(&what, async || !answer.is_empty()).await;
                let error = answer.try_recv().unwrap().unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NewerFormat), "{what}: {error}");
                assert_eq!(world.states().await, before, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn looking_changes_nothing_whatever_it_looks_at() {
    let (world, leader) = world().await;
    world.tamper("jobs/a/checkpoints/junk", Some("?"));
    leader.end_job("b", JobStatus::Failed).await;
    leader.note("mine").await;
    for broken in [true, false] {
        if !broken {
            world.tamper("jobs/a/checkpoints/junk", None);
        }
        let before = (world.entries().await, world.states().await);
        let inspector = world.inspector();
        inspector.format().await.unwrap();
        inspector.leaders().await.unwrap();
        let contents = inspector.contents().await.unwrap();
        inspector.contents_of(&job("a")).await.unwrap();
        for depth in [Depth::Length, Depth::Checksum] {
            inspector.verify(&contents, depth, drop).await.unwrap();
        }
        assert_eq!(inspector.orphans().await.is_err(), broken);
        let found = sweep(&world, &Arc::default()).find().await;
        assert_eq!(found.map(|found| found.orphans.len()).ok(), (!broken).then_some(ORPHANS));
        // Revisions as well: nothing was written anew.
        assert_eq!((world.entries().await, world.states().await), before);
    }
}
