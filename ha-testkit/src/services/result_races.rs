//! Results of jobs under races, crashes and lost leaderships: X-33.

use ha_core::job_result::JobResult;
use ha_core::{ErrorKind, HighAvailabilityServices, JobStatus};

use super::Cluster;
use super::cluster::{assert_deposed, assert_kind, job};
use super::job_results::{dirty, full, has, result};
use super::plans::{content, plan, started};
use crate::faults::{Call, Fault};

pub async fn x_33_of_results_there_is_one_after_races_crashes_and_lost_leaderships(c: Cluster) {
    exactly_one_creation_wins(&c).await;
    a_crash_at_any_step_is_picked_up(&c).await;
    a_lost_leadership_loses_no_result(&c).await;
}

/// Many at once in one process, and an old leader against its successor.
async fn exactly_one_creation_wins(c: &Cluster) {
    let (one, leadership) = c.leader("one").await;
    let racing: Vec<_> = (0..8_u64)
        .map(|number| {
            let results =
                if number % 2 == 0 { leadership.job_result_store() } else { one.services.job_result_store().unwrap() };
            let mine = result("raced").with_network_run_time_ms(number);
            c.go(async move { (number, results.create_dirty_result(&mine).await) })
        })
        .collect();
    let mut winners = Vec::new();
    for one in racing {
        match c.in_time("a creation ends", one).await {
            (number, Ok(())) => winners.push(number),
            (_, refused) => drop(assert_kind(ErrorKind::AlreadyExists, refused)),
        }
    }
    let stored = dirty(&leadership.job_result_store()).await;
    assert_eq!(winners, [stored[0].network_run_time_ms], "the winner's result is the one that is stored");

    let standby = c.process("standby").await.services.job_result_store().unwrap();
    assert_kind(ErrorKind::NotLeader, standby.create_dirty_result(&result("other")).await);
    one.line.make_unaware();
    one.line.hold();
    let late = leadership.job_result_store();
    let late = c.go(async move { late.create_dirty_result(&full("contested")).await });
    c.eventually("the old leader's creation is on its way", || async { one.line.held() > 0 }).await;
    let (two, leads) = c.take_over("two").await;
    let results = leads.job_result_store();
    results.create_dirty_result(&result("contested")).await.unwrap();
    one.line.let_go();
    assert_deposed("the old leader's creation", c.in_time("it ends", late).await);
    assert!(dirty(&results).await.contains(&result("contested")));
    for name in ["raced", "contested"] {
        results.mark_result_as_clean(&job(name)).await.unwrap();
    }
    // In the mode that removes, nothing tells a job that was cleaned from one that never was.
    assert_kind(ErrorKind::NotFound, results.mark_result_as_clean(&job("raced")).await);
    c.in_time("the second leader ends", two.services.close()).await.unwrap();
}

/// The process ends with the answer of any write outstanding; its successor goes on from what is stored.
async fn a_crash_at_any_step_is_picked_up(c: &Cluster) {
    for fault in [Fault::Hang, Fault::FailAfter, Fault::LostBefore] {
        for marks in [false, true] {
            let (one, leadership) = c.leader("one").await;
            let results = leadership.job_result_store();
            if marks {
                results.create_dirty_result(&full("a")).await.unwrap();
            }
            one.plan.next(Call::Commit, fault);
            one.plan.always(Call::Commit, Fault::Hang);
            let sent = one.plan.calls(Call::Commit);
            let crashing = c.go(async move {
                if marks {
                    results.mark_result_as_clean(&job("a")).await
                } else {
                    results.create_dirty_result(&full("a")).await
                }
            });
            c.eventually("the write is on its way", || async { one.plan.calls(Call::Commit) > sent }).await;
            drop((crashing, leadership));
            one.kill().await;
            drop(one);
            let two = c.process("two").await;
            let leads = two.lead().await;
            let results = leads.job_result_store();
            let [found, is_dirty, _] = has(&results, "a").await;
            assert_eq!(found, is_dirty, "{fault:?}: it is dirty or it is not there");
            if is_dirty {
                assert_eq!(dirty(&results).await, [full("a")], "{fault:?}: whole");
            } else if !marks {
                results.create_dirty_result(&full("a")).await.unwrap();
            }
            if !marks || is_dirty {
                results.mark_result_as_clean(&job("a")).await.unwrap();
            }
            assert_eq!(has(&results, "a").await, [false; 3]);
            c.in_time("the second leader ends", two.services.close()).await.unwrap();
        }
    }
}

/// FLINK-39704: the job is over, and leadership goes before its result is stored.
async fn a_lost_leadership_loses_no_result(c: &Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (plans, _) = started(&leadership).await;
    plans.put_execution_plan(&plan("a", "graph")).await.unwrap();
    let (results, lasting) = (leadership.job_result_store(), one.services.job_result_store().unwrap());
    assert_kind(ErrorKind::Invalid, results.create_dirty_result(&JobResult::new(job("a"), JobStatus::Suspended)).await);
    c.depose().await;
    c.in_time("the loss is known", leadership.lost()).await;
    // Told so: the caller still has the result, and knows that it is not stored.
    assert_deposed("the result of a term that is over", results.create_dirty_result(&full("a")).await);
    assert_eq!(has(&lasting, "a").await, [false; 3]);
    drop(leadership);
    let again = one.lead().await;
    assert_eq!(content(&started(&again).await.0, "a").await.as_deref(), Some("graph"), "the plan was kept");
    assert_deposed("the store of the old term", results.create_dirty_result(&full("a")).await);
    lasting.create_dirty_result(&full("a")).await.unwrap();
    let (_two, leads) = c.take_over("two").await;
    assert_eq!(
        dirty(&leads.job_result_store()).await,
        [full("a")],
        "the next leader cleans up, and runs nothing again"
    );
}
