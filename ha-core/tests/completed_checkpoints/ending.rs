use super::*;

/// CP-06, CP-15, CP-19, CP-26: the retention table at the end of a job.
#[tokio::test]
async fn a_terminal_shutdown_removes_all_pointers_and_the_data_that_the_policy_names() {
    let cases = [(JobStatus::Finished, vec![1, 2, 3]), (JobStatus::Canceled, vec![1, 2]), (JobStatus::Failed, vec![1])];
    for (status, discarded) in cases {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = open(&rig, &leader, 10).await;
        opened.add(checkpoint(1)).await.unwrap();
        opened.add(checkpoint(2).with_retention(RetentionPolicy::RetainOnFailure)).await.unwrap();
        opened.add(checkpoint(3).with_retention(RetentionPolicy::RetainOnCancellation)).await.unwrap();
        opened.add(savepoint(4)).await.unwrap();
        let states = handles(&rig).await;
        let commits = leader.backend.commits.load(Ordering::SeqCst);
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(leader.backend.commits.load(Ordering::SeqCst), commits + 1, "all in one commit");
        assert_eq!(rig.keys(BELOW).await, [""; 0]);
        assert_eq!(opened.store.outstanding_discards(), 0, "the data is gone when the shutdown returns");
        assert_eq!(opened.discarded().await, discarded, "{status}");
        for (at, state) in states.iter().enumerate() {
            let gone = discarded.contains(&(at as u64 + 1));
            assert_eq!(exists(&rig.storage, state).await, !gone, "{status} {}", at + 1);
        }
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(open(&rig, &leader, 10).await.ids().await, [0; 0]);
    }
}

/// CP-16, CP-20, FLINK-4201.
#[tokio::test]
async fn a_shutdown_that_is_not_terminal_deletes_nothing() {
    for status in [JobStatus::Suspended, JobStatus::Running] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = open(&rig, &leader, 2).await;
        opened.add(checkpoint(1)).await.unwrap();
        let contents = rig.contents(BELOW).await;
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(rig.contents(BELOW).await, contents);
        assert_eq!(open(&rig, &leader, 2).await.ids().await, [1]);
    }
}

/// CP-17.
#[tokio::test]
async fn nothing_works_after_a_shutdown_of_any_status() {
    for status in [JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed, JobStatus::Suspended] {
        let rig = Rig::new();
        let opened = open(&rig, &rig.lead().await, 2).await;
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(opened.add(checkpoint(1)).await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(opened.store.get_all_checkpoints().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(opened.store.get_latest_checkpoint_id().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(rig.keys(BELOW).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_failed_shutdown_can_be_repeated_and_lets_nothing_else_through() {
    for fault in [Fault::Before, Fault::Lost, Fault::After] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = try_open(&rig, leader.hasty(), 2).await.unwrap();
        opened.add(checkpoint(1)).await.unwrap();
        let state = handles(&rig).await.remove(0);
        leader.backend.next_commit(fault);
        let error = opened.store.shutdown(JobStatus::Finished).await.unwrap_err();
        assert_eq!(error.may_have_applied(), fault != Fault::Before);
        assert!(exists(&rig.storage, &state).await, "in doubt nothing is deleted");
        assert_eq!(opened.add(checkpoint(2)).await.unwrap_err().kind(), ErrorKind::Closed);
        opened.store.shutdown(JobStatus::Finished).await.unwrap();
        assert_eq!(rig.keys(BELOW).await, [""; 0]);
        // After a removal in doubt the data is an orphan rather than a risk.
        assert_eq!(exists(&rig.storage, &state).await, fault == Fault::After);
    }
}

#[tokio::test]
async fn a_terminal_shutdown_does_not_delete_what_it_cannot_read() {
    let rig = Rig::new();
    let opened = open(&rig, &rig.lead().await, 3).await;
    opened.add(checkpoint(1)).await.unwrap();
    rig.tamper(&names(&[2])[0], Some("foreign"));
    let contents = rig.contents(BELOW).await;
    assert_eq!(opened.store.shutdown(JobStatus::Finished).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(rig.contents(BELOW).await, contents);
    rig.tamper(&names(&[2])[0], None);
    opened.store.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!((rig.keys(BELOW).await.len(), opened.discarded().await), (0, vec![1]));
}
