//! A state storage that is slow, hangs, fails or is full: CP-23, SH-37, SH-38, X-22, X-42.

use std::sync::Arc;

use futures_util::FutureExt as _;
use ha_core::state::chunks_of;
use ha_core::{ErrorKind, HighAvailabilityServices, JobStatus};
use serde_json::json;

use super::Cluster;
use super::checkpoints::{add, checkpoint, ids, recovered};
use super::cluster::{assert_kind, job};
use super::plans::{content, key, plan, started};
use super::trouble::counter;
use crate::faults::{StateCall, StateFault};

/// More deletions than may wait before adding waits for them.
const BACKLOG: u64 = 128;

pub async fn cp_23_a_backlog_of_deletions_pauses_adding_until_it_is_gone(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 1).await;
    one.states.always(StateCall::Delete, StateFault::Hold);
    for id in 1..=BACKLOG + 1 {
        c.in_time("a checkpoint is added", add(&store, checkpoint(id))).await.unwrap();
    }
    assert_eq!(store.outstanding_discards() as u64, BACKLOG);
    let written = one.states.calls(StateCall::Put);
    let mut adding = std::pin::pin!(add(&store, checkpoint(BACKLOG + 2)));
    for _ in 0..100 {
        assert!(adding.as_mut().now_or_never().is_none(), "it waits for room");
        tokio::task::yield_now().await;
    }
    assert_eq!(one.states.calls(StateCall::Put), written, "and writes nothing before there is room");
    assert_eq!(ids(&store).await, [BACKLOG + 1], "reading does not wait with it");
    one.states.let_go();
    assert_eq!(c.in_time("it goes on", adding).await.unwrap(), Some(BACKLOG + 1));
    c.in_time("the backlog is worked off", store.discards_settled()).await;
    assert_eq!((ids(&store).await, c.states().await.len()), (vec![BACKLOG + 2], 1));
}

pub async fn sh_37_removing_is_idempotent_over_state_that_is_gone_or_stays(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (store, _) = started(&leadership).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    for state in c.states().await {
        c.spoil(&state, None).await;
    }
    assert_kind(ErrorKind::StateMissing, store.recover_execution_plan(&job("a")).await);
    for _ in 0..2 {
        store.global_cleanup(&job("a")).await.unwrap();
        assert_eq!(c.entry(&key("a")).await, None);
    }
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    one.states.always(StateCall::Delete, StateFault::FailBefore);
    for _ in 0..2 {
        // The pointer is gone, so nothing leads to the state; that it stays is no reason to keep the job.
        c.in_time("the removal ends", store.global_cleanup(&job("a"))).await.unwrap();
        assert_eq!((c.entry(&key("a")).await, c.states().await.len()), (None, 1));
    }
    assert_eq!(content(&store, "a").await, None);
    one.states.clear();
    store.put_execution_plan(&plan("a", "again")).await.unwrap();
    // Deleted, and told so by an error: trying again finds nothing, which is success.
    one.states.next(StateCall::Delete, StateFault::FailAfter);
    c.in_time("the removal ends", store.global_cleanup(&job("a"))).await.unwrap();
    assert_eq!(c.states().await.len(), 1, "only the orphan of before");
}

pub async fn sh_38_removing_all_is_idempotent_over_state_that_stays(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 4).await;
    for id in 1..=4 {
        add(&store, checkpoint(id)).await.unwrap();
    }
    // Each state is tried three times: some tries fail, and two states cannot be deleted at all.
    for _ in 0..8 {
        one.states.next(StateCall::Delete, StateFault::FailBefore);
    }
    for _ in 0..2 {
        c.in_time("the end of the job", store.shutdown(JobStatus::Finished)).await.unwrap();
        assert_eq!(c.names("jobs/job/checkpoints").await, Vec::<String>::new(), "no pointer is left");
    }
    assert!(c.states().await.len() < 4, "what can be deleted is deleted");
    assert_eq!(ids(&recovered(&leadership, 4).await).await, Vec::<u64>::new());
}

pub async fn x_22_a_full_disk_fails_the_call_and_leaves_what_was_there(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (plans, _) = started(&leadership).await;
    let (counter, store, blobs) =
        (counter(&leadership).await, recovered(&leadership, 2).await, leadership.blob_store());
    plans.put_execution_plan(&plan("a", "old")).await.unwrap();
    add(&store, checkpoint(1)).await.unwrap();
    let key = blobs.put(&job("job"), chunks_of("old".into())).await.unwrap();
    let before = c.everything().await;
    for fault in [StateFault::DiskFull, StateFault::FailBefore] {
        one.states.always(StateCall::Put, fault);
        let refused = assert_kind(ErrorKind::Storage, plans.put_execution_plan(&plan("a", "new")).await);
        assert!(refused.to_string().contains(c.base()), "it names the place: {refused}");
        assert_kind(ErrorKind::Storage, plans.put_execution_plan(&plan("b", "new")).await);
        assert_kind(ErrorKind::Storage, add(&store, checkpoint(2)).await);
        assert_kind(ErrorKind::Storage, blobs.put(&job("job"), chunks_of("new".into())).await);
        one.states.clear();
        assert_eq!(c.everything().await, before, "{fault:?}");
        assert!(leadership.is_valid(), "it is no reason to give up leadership");
        assert_eq!(content(&plans, "a").await.as_deref(), Some("old"));
        assert_eq!(ids(&store).await, [1]);
    }
    one.states.always(StateCall::Put, StateFault::DiskFull);
    counter.get_and_increment().await.expect("what needs no state goes on");
    plans.put_job_resource_requirements(&job("a"), json!({"slots": 1})).await.expect("nor does this");
    blobs.delete(&job("job"), &key).await.expect("deleting makes room");
    one.states.clear();
    plans.put_execution_plan(&plan("a", "new")).await.unwrap();
    add(&store, checkpoint(2)).await.unwrap();
    assert_eq!((content(&plans, "a").await.as_deref(), ids(&store).await), (Some("new"), vec![1, 2]));
}

pub async fn x_42_a_state_storage_that_hangs_holds_up_nothing_else(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let (plans, listener) = started(&leadership).await;
    let (counter, store) = (counter(&leadership).await, recovered(&leadership, 2).await);
    plans.put_execution_plan(&plan("read", "graph")).await.unwrap();
    one.states.next(StateCall::Put, StateFault::Hold);
    one.states.next(StateCall::Get, StateFault::Hold);
    let putting = {
        let plans = Arc::clone(&plans);
        c.go(async move { plans.put_execution_plan(&plan("hangs", "graph")).await })
    };
    let reading = {
        let plans = Arc::clone(&plans);
        c.go(async move { plans.recover_execution_plan(&job("read")).await })
    };
    c.eventually("both hang", || async { one.states.held() == 2 }).await;
    c.in_time("other plans go on", async {
        plans.put_execution_plan(&plan("b", "graph")).await.unwrap();
        plans.put_job_resource_requirements(&job("read"), json!(1)).await.unwrap();
        plans.put_execution_plan(&plan("b", "newer")).await.unwrap();
        assert_eq!(content(&plans, "b").await.as_deref(), Some("newer"));
        plans.global_cleanup(&job("b")).await.unwrap();
        assert_eq!(plans.job_ids().await.unwrap(), [job("read")]);
        counter.get_and_increment().await.unwrap();
        add(&store, checkpoint(1)).await.unwrap();
        leadership.publish("here:1").await.unwrap();
    })
    .await;
    let beside = started(&leadership).await.0;
    beside.put_execution_plan(&plan("foreign", "graph")).await.unwrap();
    listener.hears(&c, "+foreign").await;
    c.in_time("stopping returns", plans.stop()).await.unwrap();
    c.in_time("and so does starting anew", plans.start(Arc::<super::plans::Listener>::default())).await.unwrap();
    one.states.let_go();
    // They belong to a use of the store that is over.
    assert_kind(ErrorKind::IllegalState, c.in_time("the put ends", putting).await);
    assert_kind(ErrorKind::IllegalState, c.in_time("the recovery ends", reading).await);
    assert_eq!(c.entry(&key("hangs")).await, None, "nothing was put after stop");
    assert_kind(ErrorKind::NotOwned, plans.put_execution_plan(&plan("read", "late")).await);
    c.until_states(3).await;

    one.states.always(StateCall::Put, StateFault::Hang);
    let puts = one.states.calls(StateCall::Put);
    let hanging = {
        let store = Arc::clone(&store);
        c.go(async move { add(&store, checkpoint(2)).await })
    };
    c.eventually("the add hangs", || async { one.states.calls(StateCall::Put) > puts }).await;
    assert_eq!(c.in_time("checkpoints can be read", ids(&store)).await, [1]);
    c.in_time("the store can be shut down", store.shutdown(JobStatus::Suspended)).await.unwrap();
    c.in_time("leadership can be given up", leadership.resign()).await.unwrap();
    c.in_time("everything can be closed", one.services.close()).await.unwrap();
    drop(hanging);
}
