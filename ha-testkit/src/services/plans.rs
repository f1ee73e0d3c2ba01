//! Execution plans: EP, and what SH says of them.

use std::sync::{Arc, Mutex, PoisonError};

use ha_core::election::Leadership;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::{ErrorKind, HighAvailabilityServices, JobId};
use serde_json::json;

use super::cluster::{assert_deposed, assert_kind, job};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};

/// Remembers what it was told: `+` for added, `-` for removed.
#[derive(Debug, Default)]
pub(super) struct Listener(Mutex<Vec<String>>);

impl Listener {
    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn hears(&self, c: &Cluster, what: &str) {
        c.eventually(&format!("the listener hears {what}"), || async { self.told().iter().any(|told| told == what) })
            .await;
    }
}

impl ExecutionPlanListener for Listener {
    fn on_added_execution_plan(&self, job: &JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("+{job}"));
    }

    fn on_removed_execution_plan(&self, job: &JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("-{job}"));
    }
}

pub(super) type Plans = Arc<dyn ExecutionPlanStore>;

pub(super) async fn started(leadership: &Leadership) -> (Plans, Arc<Listener>) {
    let (store, listener) = (leadership.execution_plan_store(), Arc::<Listener>::default());
    store.start(Arc::<Listener>::clone(&listener)).await.unwrap();
    (store, listener)
}

/// A store of a process that may not lead.
async fn started_by(process: &Process) -> (Plans, Arc<Listener>) {
    let (store, listener) = (process.services.execution_plan_store().unwrap(), Arc::<Listener>::default());
    store.start(Arc::<Listener>::clone(&listener)).await.unwrap();
    (store, listener)
}

pub(super) fn plan(name: &str, content: &str) -> ExecutionPlan {
    ExecutionPlan::new(job(name), content.to_owned().into())
}

pub(super) async fn content(store: &Plans, name: &str) -> Option<String> {
    let plan = store.recover_execution_plan(&job(name)).await.unwrap();
    plan.map(|plan| String::from_utf8_lossy(&plan.plan).into_owned())
}

pub(super) fn key(name: &str) -> String {
    format!("execution-plans/{name}")
}

pub async fn ep_01_a_plan_is_recovered_by_another_leader(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph").with_requirements(json!({"slots": 3}))).await.unwrap();
    let (_two, leads) = c.take_over("two").await;
    let recovered = started(&leads).await.0.recover_execution_plan(&job("a")).await.unwrap().unwrap();
    assert_eq!(recovered, plan("a", "graph").with_requirements(json!({"slots": 3})));
}

pub async fn ep_02_a_missing_plan_is_none(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    assert_eq!(store.recover_execution_plan(&job("nothing")).await.unwrap(), None);
    let unstarted = leadership.execution_plan_store();
    assert_kind(ErrorKind::IllegalState, unstarted.recover_execution_plan(&job("a")).await);
    assert_kind(ErrorKind::IllegalState, unstarted.put_execution_plan(&plan("a", "x")).await);
    assert_kind(ErrorKind::IllegalState, unstarted.global_cleanup(&job("a")).await);
    assert_eq!(unstarted.job_ids().await.unwrap(), []);
}

pub async fn ep_03_a_failed_recovery_owns_nothing_and_deletes_nothing(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    started(&leadership).await.0.put_execution_plan(&plan("a", "graph")).await.unwrap();
    let state = c.states().await.remove(0);
    c.spoil(&state, Some("gra")).await;
    let (store, _) = started(&leadership).await;
    let error = assert_kind(ErrorKind::Corrupt, store.recover_execution_plan(&job("a")).await);
    assert!(error.to_string().contains('a'), "names the job: {error}");
    assert_kind(ErrorKind::NotOwned, store.put_execution_plan(&plan("a", "new")).await);
    assert_eq!(c.states().await, [state], "nothing was deleted, nothing left behind");
}

pub async fn ep_04_a_new_plan_is_stored(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    assert!(c.entry(&key("a")).await.is_some());
    assert_eq!(c.states().await.len(), 1);
}

pub async fn ep_05_an_own_plan_is_replaced_and_its_old_state_deleted(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    for content in ["first", "second", "third"] {
        store.put_execution_plan(&plan("a", content)).await.unwrap();
    }
    assert_eq!(content(&store, "a").await.unwrap(), "third");
    c.until_states(1).await;
}

pub async fn ep_06_global_cleanup_removes_pointer_and_state(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    store.global_cleanup(&job("a")).await.unwrap();
    assert_eq!((c.entry(&key("a")).await, c.states().await.len()), (None, 0));
    store.global_cleanup(&job("a")).await.unwrap();
}

pub async fn ep_07_cleanup_works_for_plans_never_seen(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    started(&leadership).await.0.put_execution_plan(&plan("a", "graph")).await.unwrap();
    started(&leadership).await.0.global_cleanup(&job("a")).await.unwrap();
    assert_eq!((c.entry(&key("a")).await, c.states().await.len()), (None, 0));
}

pub async fn ep_08_a_failed_removal_is_an_error_and_can_be_repeated(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    one.plan.next(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, store.global_cleanup(&job("a")).await);
    assert_eq!(content(&store, "a").await.unwrap(), "graph", "nothing was deleted");
    store.global_cleanup(&job("a")).await.unwrap();
    assert_eq!((c.entry(&key("a")).await, c.states().await.len()), (None, 0));
}

pub async fn ep_09_all_jobs_are_listed_in_order(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    for name in ["job-10", "job-1", "b", "A"] {
        store.put_execution_plan(&plan(name, "graph")).await.unwrap();
    }
    let expected: Vec<JobId> = ["A", "b", "job-1", "job-10"].map(job).into();
    assert_eq!(store.job_ids().await.unwrap(), expected);
    let other = c.process("other").await;
    assert_eq!(other.services.execution_plan_store().unwrap().job_ids().await.unwrap(), expected);
}

pub async fn ep_10_foreign_plans_are_announced_and_own_ones_are_not(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, own) = started(&leadership).await;
    let (_observer, foreign) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    store.put_execution_plan(&plan("b", "graph")).await.unwrap();
    foreign.hears(&c, "+a").await;
    foreign.hears(&c, "+b").await;
    assert_eq!(own.told(), Vec::<String>::new(), "what a store does itself is no news to it");
}

pub async fn ep_12_a_removal_is_heard_by_who_owned_the_plan(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let ((store, own), (other, heard), (third, stranger)) =
        (started(&leadership).await, started(&leadership).await, started(&leadership).await);
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    content(&other, "a").await.unwrap();
    store.global_cleanup(&job("a")).await.unwrap();
    heard.hears(&c, "-a").await;
    assert_eq!(content(&third, "a").await, None);
    assert!(!stranger.told().contains(&"-a".to_owned()), "it was not this store's");
    assert!(!own.told().contains(&"-a".to_owned()), "it has removed it itself");
    other.put_execution_plan(&plan("a", "anew")).await.unwrap();
}

pub async fn ep_14_a_stopped_store_is_told_nothing(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let ((stopped, silent), (store, _), (_other, heard)) =
        (started(&leadership).await, started(&leadership).await, started(&leadership).await);
    stopped.stop().await.unwrap();
    stopped.stop().await.unwrap();
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    heard.hears(&c, "+a").await;
    assert_eq!(silent.told(), Vec::<String>::new());
    assert_kind(ErrorKind::IllegalState, stopped.put_execution_plan(&plan("b", "x")).await);
    stopped.start(Arc::<Listener>::clone(&silent)).await.unwrap();
    silent.hears(&c, "+a").await;
}

pub async fn ep_16_stopping_gives_up_what_it_owned_and_deletes_nothing(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, listener) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    store.stop().await.unwrap();
    store.start(listener).await.unwrap();
    assert_kind(ErrorKind::NotOwned, store.put_execution_plan(&plan("a", "new")).await);
    assert_eq!(content(&store, "a").await.unwrap(), "graph");
    store.put_execution_plan(&plan("a", "new")).await.unwrap();
}

pub async fn ep_17_local_cleanup_forgets_and_deletes_nothing(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    store.local_cleanup(&job("a")).await.unwrap();
    assert_kind(ErrorKind::NotOwned, store.put_execution_plan(&plan("a", "new")).await);
    assert_eq!(content(&store, "a").await.unwrap(), "graph");
}

pub async fn ep_18_requirements_are_replaced_and_the_plan_stays(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    let states = c.states().await;
    for slots in [1, 2] {
        store.put_job_resource_requirements(&job("a"), json!({"slots": slots})).await.unwrap();
    }
    let recovered = store.recover_execution_plan(&job("a")).await.unwrap().unwrap();
    assert_eq!(recovered, plan("a", "graph").with_requirements(json!({"slots": 2})));
    assert_eq!(c.states().await, states, "the plan itself was not written again");
}

pub async fn ep_19_requirements_of_an_unknown_job_are_refused(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    let refused = store.put_job_resource_requirements(&job("a"), json!(1)).await;
    assert_kind(ErrorKind::NotFound, refused);
    assert_eq!(c.entry(&key("a")).await, None);
}

pub async fn ep_20_put_and_remove_and_put_again(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    for round in 0..5 {
        store.put_execution_plan(&plan("a", &format!("round {round}"))).await.unwrap();
        assert_eq!(content(&store, "a").await.unwrap(), format!("round {round}"));
        store.global_cleanup(&job("a")).await.unwrap();
        assert_eq!(content(&store, "a").await, None);
    }
    assert_eq!(c.states().await.len(), 0);
}

pub async fn ep_21_one_broken_plan_does_not_hide_the_others(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    for name in ["a", "b", "d"] {
        store.put_execution_plan(&plan(name, name)).await.unwrap();
    }
    c.tamper(&key("c"), Some("garbage")).await;
    c.tamper(&key("d"), Some(r#"{"format":99}"#)).await;
    let (_two, leads) = c.take_over("two").await;
    let (store, _) = started(&leads).await;
    assert_eq!(store.job_ids().await.unwrap().len(), 4, "a broken plan is reported, not hidden");
    assert_eq!((content(&store, "a").await.unwrap(), content(&store, "b").await.unwrap()), ("a".into(), "b".into()));
    assert_kind(ErrorKind::Corrupt, store.recover_execution_plan(&job("c")).await);
    assert_kind(ErrorKind::NewerFormat, store.recover_execution_plan(&job("d")).await);
    assert_eq!(c.entry(&key("c")).await.unwrap().value, "garbage");
}

pub async fn ep_22_who_only_watches_hears_and_touches_nothing(c: Cluster) {
    let standby = c.process("standby").await;
    let (watching, heard) = started_by(&standby).await;
    let (_one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    heard.hears(&c, "+a").await;
    let before = c.everything().await;
    assert_kind(ErrorKind::NotLeader, watching.put_execution_plan(&plan("b", "x")).await);
    assert_kind(ErrorKind::NotLeader, watching.global_cleanup(&job("a")).await);
    assert_eq!(content(&watching, "a").await.unwrap(), "graph", "reading needs no leadership");
    assert_eq!(c.everything().await, before);
}

pub async fn ep_23_a_plan_that_is_not_owned_is_not_replaced(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let ((store, _), (other, _)) = (started(&leadership).await, started(&leadership).await);
    store.put_execution_plan(&plan("a", "mine")).await.unwrap();
    assert_kind(ErrorKind::NotOwned, other.put_execution_plan(&plan("a", "yours")).await);
    assert_eq!(content(&other, "a").await.unwrap(), "mine");
    other.put_execution_plan(&plan("a", "yours")).await.unwrap();
    assert_kind(ErrorKind::Conflict, store.put_execution_plan(&plan("a", "late")).await);
    c.until_states(1).await;
    assert_eq!(content(&store, "a").await.unwrap(), "yours");
}

pub async fn ep_24_the_successor_removes_what_the_old_leader_still_has(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (old, _) = started(&leadership).await;
    old.put_execution_plan(&plan("a", "graph")).await.unwrap();
    one.line.make_unaware();
    let (_two, leads) = c.take_over("two").await;
    started(&leads).await.0.global_cleanup(&job("a")).await.unwrap();
    assert_deposed("bringing it back", old.put_execution_plan(&plan("a", "again")).await);
    assert_eq!(c.entry(&key("a")).await, None, "no job comes back to life");
    c.until_states(0).await;
}

pub async fn ep_25_names_and_keys_belong_together(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let ((store, _), (_other, heard)) = (started(&leadership).await, started(&leadership).await);
    for name in ["job1", "job10", "J.o-b_1"] {
        store.put_execution_plan(&plan(name, name)).await.unwrap();
        heard.hears(&c, &format!("+{name}")).await;
        assert!(c.entry(&key(name)).await.is_some());
    }
    store.global_cleanup(&job("job1")).await.unwrap();
    assert_eq!(content(&store, "job10").await.unwrap(), "job10");
}
