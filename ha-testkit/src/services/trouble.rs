//! What no test of Flink covers, beside deposed leaders: X.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use ha_core::checkpoint::{CheckpointIdCounter, DiscardStateOnly};
use ha_core::plan::ExecutionPlan;
use ha_core::{ComponentId, ErrorKind, JobId, JobStatus, ServicesOptions};
use serde_json::json;

use super::Cluster;
use super::checkpoints::{add, checkpoint, ids, recovered, try_recovered};
use super::cluster::{assert_deposed, assert_kind, job};
use super::plans::{content, plan, started};
use crate::faults::{Call, Fault};

pub(super) async fn counter(leadership: &ha_core::election::Leadership) -> Arc<dyn CheckpointIdCounter> {
    let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job("job"));
    counter.start().await.unwrap();
    counter
}

pub async fn x_13_a_lost_answer_of_any_call_is_found_out(c: Cluster) {
    let (process, leadership) = c.leader("one").await;
    let (plans, _) = started(&leadership).await;
    let (counter, checkpoints) = (counter(&leadership).await, recovered(&leadership, 1).await);
    for (round, fault) in [Fault::FailAfter, Fault::LostBefore, Fault::DeliveredTwice].into_iter().enumerate() {
        let (round, lose) = (round as u64 + 1, || process.plan.next(Call::Commit, fault));
        lose();
        leadership.publish(&format!("here:{round}")).await.unwrap();
        c.sees(&mut process.watch(), &format!("here:{round}")).await;
        lose();
        plans.put_execution_plan(&plan("a", "graph")).await.unwrap();
        lose();
        plans.put_job_resource_requirements(&job("a"), json!(round)).await.unwrap();
        assert_eq!(plans.recover_execution_plan(&job("a")).await.unwrap().unwrap().requirements, Some(json!(round)));
        lose();
        let id = counter.get_and_increment().await.unwrap();
        lose();
        counter.set_count(id + 100).await.unwrap();
        assert_eq!(counter.get().await.unwrap(), id + 100, "{fault:?}");
        lose();
        add(&checkpoints, checkpoint(id)).await.unwrap();
        assert_eq!(ids(&checkpoints).await, [id]);
        checkpoints.discards_settled().await;
        lose();
        plans.global_cleanup(&job("a")).await.unwrap();
        c.until_states(1).await;
    }
    process.plan.next(Call::Commit, Fault::FailAfter);
    counter.shutdown(JobStatus::Finished).await.unwrap();
    process.plan.next(Call::Commit, Fault::FailAfter);
    checkpoints.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!((c.names("jobs").await, c.names("execution-plans").await), (vec![], vec![]));
}

pub async fn x_16_lost_wake_ups_cost_time_alone(c: Cluster) {
    let (leader, leadership) = c.leader("leader").await;
    let (standby, observer) = (c.process("standby").await, c.process("observer").await);
    for process in [&leader, &standby, &observer] {
        process.plan.always(Call::Changed, Fault::Hang);
    }
    let contending = standby.contend().await;
    leadership.publish("old:1").await.unwrap();
    let mut watch = observer.watch();
    c.sees(&mut watch, "old:1").await;
    leadership.resign().await.unwrap();
    let id = contending.granted(&c, 1).await;
    contending.election.confirm_leadership(id, "new:1").await.unwrap();
    c.sees(&mut watch, "new:1").await;
}

pub async fn x_20_a_hundred_contenders_cost_little(c: Cluster) {
    const CONTENDERS: usize = 100;
    // Nothing here is decided by silence, and renewals of a hundred sessions may be late on a busy machine.
    let patient = |label: &str| {
        let mut options = c.options(label);
        options.session.silence *= 10;
        options
    };
    let leader = c.process_with(&patient("leader")).await;
    let leadership = leader.lead().await;
    let mut standbys = Vec::new();
    for number in 0..CONTENDERS {
        let process = c.process_with(&patient(&format!("standby-{number}"))).await;
        let contending = process.contend().await;
        standbys.push((process, contending));
    }
    // Each at some moment, and not all at one: now and then they read anew what they wait for.
    for (process, _) in &standbys {
        c.eventually("it waits for the latch", || async { process.line.watching() > 1 }).await;
    }
    let calls = || standbys.iter().map(|(process, _)| process.line.calls()).sum::<usize>();
    let before = calls();
    drop(leadership);
    let granted = || standbys.iter().filter(|(_, one)| !one.recorder.told().is_empty()).count();
    c.eventually("one of them leads", || async { granted() == 1 }).await;
    let spent = calls() - before;
    // Each wakes up, tries once or twice, and waits again; those who follow read what has changed.
    assert!(spent <= 20 * CONTENDERS, "{spent} calls for one change of leaders");
    drop(leader);
}

pub async fn x_21_what_is_too_large_is_refused_before_anything_is_written(c: Cluster) {
    let (_process, leadership) = c.leader("one").await;
    let (plans, _) = started(&leadership).await;
    let largest = c.connect().await.profile().value_bytes_max;
    let large = plan("a", "graph").with_requirements(json!("x".repeat(largest)));
    assert_kind(ErrorKind::TooLarge, plans.put_execution_plan(&large).await);
    let store = recovered(&leadership, 1).await;
    assert_kind(ErrorKind::Invalid, add(&store, checkpoint(1).with_external("x".repeat(4097))).await);
    assert_kind(ErrorKind::Invalid, leadership.publish(&"x".repeat(4097)).await);
    assert_eq!((c.states().await.len(), c.names("execution-plans").await.len()), (0, 0));
    // Large state is none of the backend's business.
    let state = "y".repeat(2 * largest);
    plans.put_execution_plan(&ExecutionPlan::new(job("a"), state.clone().into())).await.unwrap();
    assert_eq!(content(&plans, "a").await.unwrap(), state);
}

pub async fn x_25_names_that_are_paths_are_refused_and_clusters_are_apart(c: Cluster) {
    for name in ["", "..", "a/b", "a b", "ä", ".hidden", &"x".repeat(129)] {
        assert_kind(ErrorKind::Invalid, JobId::new(name));
        assert_kind(ErrorKind::Invalid, ComponentId::new(name));
    }
    for cluster_id in ["", "/", "a//b", "../other"] {
        let options = ServicesOptions { cluster_id: cluster_id.into(), ..c.options("one") };
        assert_kind(ErrorKind::Invalid, options.validate());
    }
    let mut alive = Vec::new();
    for cluster_id in ["prod", "prod-2", "prod/eu"] {
        let process = c.process_with(&ServicesOptions { cluster_id: cluster_id.into(), ..c.options("one") }).await;
        let leadership = process.lead().await;
        leadership.publish(&format!("{cluster_id}:1")).await.unwrap();
        let (plans, _) = started(&leadership).await;
        plans.put_execution_plan(&plan(&cluster_id.replace('/', "-"), cluster_id)).await.unwrap();
        alive.push((cluster_id, process, leadership, plans));
    }
    for (cluster_id, _, leadership, plans) in &alive {
        assert!(leadership.is_valid(), "each cluster has a leader of its own");
        assert_eq!(plans.job_ids().await.unwrap(), [job(&cluster_id.replace('/', "-"))]);
        // A slash in front says nothing.
        let options = ServicesOptions { cluster_id: format!("/{cluster_id}"), ..c.options("observer") };
        c.sees(&mut c.process_with(&options).await.watch(), &format!("{cluster_id}:1")).await;
    }
}

pub async fn x_26_ids_are_unique_over_leaders_and_lost_answers(c: Cluster) {
    let mut all: Vec<u64> = Vec::new();
    for term in 0..5 {
        let (process, leadership) = c.leader(&format!("leader-{term}")).await;
        let counter = counter(&leadership).await;
        let callers = (0..4).map(|_| {
            let (counter, plan) = (Arc::clone(&counter), process.plan.clone());
            c.go(async move {
                let mut ids = Vec::new();
                for step in 0..20 {
                    if step % 5 == 0 {
                        plan.next(Call::Commit, [Fault::FailAfter, Fault::LostBefore][step / 5 % 2]);
                    }
                    match counter.get_and_increment().await {
                        Ok(id) => ids.push(id),
                        // Lost just before the end: whether it was applied may stay unknown.
                        Err(error) if error.kind() == ErrorKind::Indeterminate => {}
                        Err(error) => assert_deposed::<()>("an id", Err(error)),
                    }
                }
                ids
            })
        });
        let callers: Vec<_> = callers.collect();
        c.depose().await;
        let ids = c.in_time("the callers end", join_all(callers)).await;
        assert!(ids.iter().all(|ids| ids.windows(2).all(|pair| pair[0] < pair[1])));
        let (least, last) = (ids.iter().flatten().min().copied(), all.iter().max().copied());
        assert!(least.is_none_or(|least| last.is_none_or(|last| least > last)), "ids grow over leaders");
        all.extend(ids.into_iter().flatten());
    }
    let (_last, leadership) = c.leader("last").await;
    all.push(counter(&leadership).await.get_and_increment().await.unwrap());
    let unique: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(unique.len(), all.len(), "an id was handed out twice");
}

pub async fn x_28_ten_thousand_pointers_are_recovered(c: Cluster) {
    const PLANS: usize = 10_000;
    /// Each so many is put by the store. The others are pointers as it wrote them, several in a commit: whoever
    /// recovers them cannot tell, and ten thousand puts one by one are minutes over a network.
    const PUT: usize = 20;
    let name = |number: usize| format!("job-{number:05}");
    let (_one, leadership) = c.leader("one").await;
    let (plans, _) = started(&leadership).await;
    let chunks = (0..8).map(|part| {
        let plans = Arc::clone(&plans);
        c.go(async move {
            for number in (part * PUT..PLANS).step_by(8 * PUT) {
                plans.put_execution_plan(&plan(&name(number), "graph")).await.expect("a stored plan");
            }
        })
    });
    join_all(chunks.collect::<Vec<_>>()).await;
    let backend = c.connect().await;
    for first in (0..PLANS).step_by(PUT) {
        let copies: Vec<String> =
            (first + 1..first + PUT).map(|copy| format!("execution-plans/{}", name(copy))).collect();
        c.copy(&backend, &format!("execution-plans/{}", name(first)), &copies).await;
    }
    let (_two, leads) = c.take_over("two").await;
    let (plans, _) = started(&leads).await;
    let jobs = plans.job_ids().await.unwrap();
    assert_eq!(jobs.len(), PLANS);
    assert!(jobs.is_sorted());
    for job in jobs.iter().step_by(500) {
        assert_eq!(plans.recover_execution_plan(job).await.unwrap().unwrap().plan, "graph");
    }
}

pub async fn x_29_broken_entries_fail_loudly_and_stay(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 3).await;
    for id in 1..=2 {
        add(&store, checkpoint(id)).await.unwrap();
    }
    let key = format!("jobs/job/checkpoints/{:019}", 2);
    let sound = String::from_utf8(c.entry(&key).await.unwrap().value.to_vec()).unwrap();
    let broken = [
        (ErrorKind::Corrupt, "garbage".to_owned()),
        (ErrorKind::Corrupt, format!("{sound}garbage")),
        (ErrorKind::Corrupt, sound[..sound.len() / 2].to_owned()),
        (ErrorKind::Corrupt, sound.replace("\"id\":2", "\"id\":3")),
        (ErrorKind::NewerFormat, sound.replace("\"format\":1", "\"format\":2")),
    ];
    for (kind, value) in broken {
        c.tamper(&key, Some(&value)).await;
        assert_kind(kind, try_recovered(&leadership, 3, Arc::new(DiscardStateOnly)).await);
        assert_eq!(c.entry(&key).await.unwrap().value, value, "nothing was deleted");
    }
    c.tamper(&key, Some(&sound)).await;
    assert_eq!(ids(&recovered(&leadership, 3).await).await, [1, 2]);
    for (kind, bytes) in [(ErrorKind::Corrupt, Some("state 9")), (ErrorKind::StateMissing, None)] {
        let state = c.states().await.remove(0);
        c.spoil(&state, bytes).await;
        assert_kind(kind, try_recovered(&leadership, 3, Arc::new(DiscardStateOnly)).await);
    }
    let counter = counter(&leadership).await;
    for value in
        ["garbage", r#"{"format":1,"kind":"checkpoint_id_counter","write_id":"0","epoch":1,"body":{"next":1}}"#]
    {
        c.tamper("jobs/job/checkpoint_id_counter", Some(value)).await;
        counter.start().await.unwrap();
        assert_kind(ErrorKind::Corrupt, counter.get_and_increment().await);
        assert_kind(ErrorKind::Corrupt, counter.shutdown(JobStatus::Finished).await);
        assert_eq!(c.entry("jobs/job/checkpoint_id_counter").await.unwrap().value, value);
    }
}

pub async fn x_31_two_processes_with_one_name_are_two(c: Cluster) {
    let (one, other) = (c.process("same").await, c.process("same").await);
    let (first, second) = (one.contend().await, other.contend().await);
    let granted = || [&first, &second].iter().filter(|one| !one.recorder.told().is_empty()).count();
    c.eventually("one leads", || async { granted() >= 1 }).await;
    let (leads, waits) = if first.recorder.told().is_empty() { (&second, &first) } else { (&first, &second) };
    let id = leads.granted(&c, 1).await;
    assert!(leads.election.has_leadership(id) && !waits.election.has_leadership(id));
    leads.close(&c).await;
    assert_ne!(waits.granted(&c, 1).await, id);
}

pub async fn x_32_an_old_version_does_not_replace_a_plan_that_was_made_anew(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (old, _) = started(&leadership).await;
    old.put_execution_plan(&plan("a", "same")).await.unwrap();
    let (beside, _) = started(&leadership).await;
    beside.global_cleanup(&job("a")).await.unwrap();
    beside.put_execution_plan(&plan("a", "same")).await.unwrap();
    let refused = old.put_execution_plan(&plan("a", "late")).await.unwrap_err().kind();
    assert!(matches!(refused, ErrorKind::Conflict | ErrorKind::NotOwned), "{refused:?}");
    assert_eq!(content(&beside, "a").await.unwrap(), "same");
    // The same between two leaders in turn, with the same bytes under the same name.
    one.line.make_unaware();
    let (_two, leads) = c.take_over("two").await;
    let (new, _) = started(&leads).await;
    new.global_cleanup(&job("a")).await.unwrap();
    new.put_execution_plan(&plan("a", "same")).await.unwrap();
    let before = c.everything().await;
    let refused = beside.put_execution_plan(&plan("a", "late")).await.unwrap_err().kind();
    assert!(matches!(refused, ErrorKind::Fenced | ErrorKind::NotOwned), "{refused:?}");
    assert_deposed("an old leader's removal", beside.global_cleanup(&job("a")).await);
    c.eventually("nothing has changed", || async { c.everything().await == before }).await;
}
