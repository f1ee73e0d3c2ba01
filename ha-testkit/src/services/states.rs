//! What the catalogue says of handles to state, through the store of execution plans: SH.

use std::sync::Arc;

use ha_core::ErrorKind;
use ha_core::election::Leadership;
use ha_core::plan::{DefaultExecutionPlanStore, ExecutionPlanStore};

use super::cluster::{assert_kind, job};
use super::plans::{Listener, Plans, content, plan, started};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};

/// A store for which every answer that is lost stays unknown.
async fn hasty(process: &Process, leadership: &Leadership) -> Plans {
    let store = DefaultExecutionPlanStore::new(process.hasty(leadership), leadership.storage().clone());
    store.start(Arc::<Listener>::default()).await.unwrap();
    Arc::new(store)
}

pub async fn sh_02_after_an_unknown_add_nothing_is_deleted(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let store = hasty(&one, &leadership).await;
    for (name, fault) in [("applied", Fault::FailAfter), ("lost", Fault::LostBefore)] {
        one.plan.always(Call::Commit, fault);
        let states = c.states().await.len();
        assert_kind(ErrorKind::Indeterminate, store.put_execution_plan(&plan(name, name)).await);
        assert_eq!(c.states().await.len(), states + 1, "the state of {name} is kept");
        one.plan.clear();
    }
    assert_eq!(content(&store, "applied").await.unwrap(), "applied");
    assert_eq!(content(&store, "lost").await, None);
    store.put_execution_plan(&plan("lost", "again")).await.unwrap();
    store.put_execution_plan(&plan("applied", "again")).await.unwrap();
    assert_eq!(content(&store, "applied").await.unwrap(), "again", "the doubt is cleared by the next call");
}

pub async fn sh_04_a_lost_answer_that_is_found_out_is_success(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    for fault in [Fault::FailAfter, Fault::LostBefore, Fault::DeliveredTwice] {
        one.plan.next(Call::Commit, fault);
        store.put_execution_plan(&plan("a", "graph")).await.unwrap();
        assert_eq!(content(&store, "a").await.unwrap(), "graph");
        c.until_states(1).await;
        one.plan.next(Call::Commit, fault);
        store.global_cleanup(&job("a")).await.unwrap();
        c.until_states(0).await;
    }
}

pub async fn sh_05_after_a_definite_failure_the_new_state_is_deleted(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    one.plan.next(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, store.put_execution_plan(&plan("a", "graph")).await);
    c.until_states(0).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
}

pub async fn sh_08_after_an_unknown_replacement_both_states_stay(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let store = hasty(&one, &leadership).await;
    for fault in [Fault::FailAfter, Fault::LostBefore] {
        store.put_execution_plan(&plan("a", "old")).await.unwrap();
        c.until_states(1).await;
        one.plan.always(Call::Commit, fault);
        assert_kind(ErrorKind::Indeterminate, store.put_execution_plan(&plan("a", "new")).await);
        assert_eq!(c.states().await.len(), 2, "{fault:?}");
        one.plan.clear();
        let expected = if fault == Fault::FailAfter { "new" } else { "old" };
        assert_eq!(content(&store, "a").await.unwrap(), expected);
        store.global_cleanup(&job("a")).await.unwrap();
        for orphan in c.states().await {
            c.spoil(&orphan, None).await;
        }
    }
}

pub async fn sh_09_after_a_definite_failure_to_replace_the_old_state_stays(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "old")).await.unwrap();
    let states = c.states().await;
    one.plan.next(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, store.put_execution_plan(&plan("a", "new")).await);
    c.eventually("only the new state is deleted", || async { c.states().await == states }).await;
    assert_eq!(content(&store, "a").await.unwrap(), "old");
}

pub async fn sh_32_a_replacement_without_leadership_is_fenced(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (old, _) = started(&leadership).await;
    old.put_execution_plan(&plan("a", "old")).await.unwrap();
    one.line.make_unaware();
    let (_two, leads) = c.take_over("two").await;
    let (new, _) = started(&leads).await;
    let states = c.states().await;
    assert_kind(ErrorKind::Fenced, old.put_execution_plan(&plan("a", "late")).await);
    c.eventually("its new state is deleted", || async { c.states().await == states }).await;
    assert_eq!(content(&new, "a").await.unwrap(), "old");
}
