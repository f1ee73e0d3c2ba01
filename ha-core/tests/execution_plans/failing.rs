use super::*;

/// EP-08, FLINK-10329: a removal that did not happen is not reported as one.
#[tokio::test]
async fn a_failed_cleanup_is_an_error_and_can_be_repeated() {
    for fault in [Fault::Before, Fault::Lost, Fault::After] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let (store, _) = started_by(&rig, leader.hasty()).await;
        store.put_execution_plan(&plan("a", "graph")).await.unwrap();
        let state = handle_of(&rig, "a").await;
        leader.backend.next_commit(fault);
        let error = store.global_cleanup(&job("a")).await.unwrap_err();
        assert_eq!(error.may_have_applied(), fault != Fault::Before);
        store.discards_settled().await;
        assert!(exists(&rig.storage, &state).await, "in doubt nothing is deleted");
        store.global_cleanup(&job("a")).await.unwrap();
        assert!(store.job_ids().await.unwrap().is_empty());
        assert_eq!(exists(&rig.storage, &state).await, fault == Fault::After);
    }
}

/// FLINK-22494, and its mirror image.
#[tokio::test]
async fn a_definite_failure_discards_the_new_state_and_a_doubt_discards_nothing() {
    for fault in [Fault::Before, Fault::Lost, Fault::After] {
        let (directory, rig) = in_directory();
        let leader = rig.lead().await;
        let (store, _) = started_by(&rig, leader.hasty()).await;
        // A create.
        leader.backend.next_commit(fault);
        assert!(store.put_execution_plan(&plan("a", "one")).await.is_err());
        store.discards_settled().await;
        assert_eq!(files(&directory, "a"), usize::from(fault != Fault::Before), "{fault:?}");
        store.put_execution_plan(&plan("a", "two")).await.unwrap();
        // A replacement.
        store.discards_settled().await;
        let before = files(&directory, "a");
        leader.backend.next_commit(fault);
        assert!(store.put_execution_plan(&plan("a", "three")).await.is_err());
        store.discards_settled().await;
        assert_eq!(files(&directory, "a"), before + usize::from(fault != Fault::Before), "{fault:?}");
        // The plan is still this store's, and leads to intact state.
        let expected = if fault == Fault::After { "three" } else { "two" };
        store.put_job_resource_requirements(&job("a"), json!(1)).await.unwrap();
        assert_eq!(recovered(&store, "a").await, expected, "{fault:?}");
        store.put_execution_plan(&plan("a", "four")).await.unwrap();
        store.discards_settled().await;
        assert_eq!(recovered(&store, "a").await, "four");
        // What may yet land is an orphan; what was proven to have landed or not is gone.
        let orphans = if fault == Fault::Lost { 2 } else { 0 };
        assert_eq!(files(&directory, "a"), 1 + orphans, "{fault:?}");
    }
}

#[tokio::test]
async fn requirements_in_doubt_never_cost_the_state_that_they_share() {
    for fault in [Fault::Lost, Fault::After] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let (store, _) = started_by(&rig, leader.hasty()).await;
        store.put_execution_plan(&plan("a", "one")).await.unwrap();
        leader.backend.next_commit(fault);
        assert!(store.put_job_resource_requirements(&job("a"), json!(1)).await.unwrap_err().may_have_applied());
        store.put_job_resource_requirements(&job("a"), json!(2)).await.unwrap();
        store.discards_settled().await;
        assert_eq!(recovered(&store, "a").await, "one");
    }
}

#[tokio::test]
async fn a_put_that_was_dropped_after_it_was_sent_leaves_no_wrong_knowledge() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for round in 0..5 {
        leader.backend.next_commit(Fault::Hang);
        assert!(poll_and_drop(store.put_execution_plan(&plan("a", "dropped"))).is_none());
        assert_eq!(recovered(&store, "a").await, "dropped", "round {round}");
        leader.backend.next_commit(Fault::Hang);
        assert!(poll_and_drop(store.put_execution_plan(&plan("a", "dropped"))).is_none());
        store.put_execution_plan(&plan("a", "whole")).await.unwrap();
        store.discards_settled().await;
        assert_eq!(recovered(&store, "a").await, "whole", "round {round}");
    }
}

/// FLINK-24543: the lost answer of an applied create is not "already exists".
#[tokio::test]
async fn a_lost_answer_is_found_out_and_is_a_success() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for (fault, content) in [(Fault::After, "one"), (Fault::Lost, "two"), (Fault::After, "three")] {
        leader.backend.next_commit(fault);
        store.put_execution_plan(&plan("a", content)).await.unwrap();
        store.discards_settled().await;
        assert_eq!((recovered(&store, "a").await.as_str(), files(&directory, "a")), (content, 1));
    }
    leader.backend.next_commit(Fault::After);
    store.global_cleanup(&job("a")).await.unwrap();
    assert_eq!((rig.keys(BELOW).await.len(), files(&directory, "a")), (0, 0));
}

/// FLINK-10011: a job that the successor removed does not come back, and what it has stays.
#[tokio::test]
async fn a_deposed_leader_changes_nothing_whichever_write_it_tries_first() {
    for write in 0..4 {
        let (directory, rig) = in_directory();
        let first = rig.lead().await;
        let (deposed, _) = started(&rig, &first).await;
        deposed.put_execution_plan(&plan("a", "one")).await.unwrap();
        deposed.put_execution_plan(&plan("gone", "one")).await.unwrap();
        let second = rig.depose(&first).await;
        let (successor, _) = started(&rig, &second).await;
        successor.global_cleanup(&job("gone")).await.unwrap();
        assert_eq!(recovered(&successor, "a").await, "one");
        let contents = rig.contents(BELOW).await;
        let attempt = async |write: usize| -> Result<(), Error> {
            match write % 4 {
                0 => deposed.put_execution_plan(&plan("a", "two")).await,
                1 => deposed.put_execution_plan(&plan("new", "x")).await,
                2 => deposed.put_job_resource_requirements(&job("a"), json!(1)).await,
                _ => deposed.global_cleanup(&job("a")).await,
            }
        };
        assert_eq!(attempt(write).await.unwrap_err().kind(), ErrorKind::Fenced, "{write}");
        for other in 0..4 {
            assert_deposed(attempt(other).await);
        }
        assert_deposed(deposed.put_execution_plan(&plan("gone", "again")).await);
        deposed.discards_settled().await;
        assert_eq!(rig.contents(BELOW).await, contents);
        assert_eq!((recovered(&successor, "a").await.as_str(), files(&directory, "a")), ("one", 1));
        assert_eq!((files(&directory, "new"), files(&directory, "gone")), (0, 0));
    }
}
