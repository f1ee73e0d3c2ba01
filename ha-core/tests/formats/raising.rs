use super::*;
use common::{Fault, assert_deposed, poll_and_drop};
use ha_core::backend::Expect;
use ha_core::resolve::Committer;
use ha_core::writer::{Authority, Writer};
use std::sync::atomic::Ordering::SeqCst;

#[tokio::test]
async fn the_format_is_raised_once_and_never_lowered() {
    let cluster = Cluster::new();
    let process = cluster.process(Formats::new(1, 3).unwrap());
    let leadership = cluster.lead(&process).await;
    assert_eq!(process.services.cluster_format().await.unwrap(), 1);
    leadership.raise_format(1).await.unwrap();
    assert!(cluster.contents().await.iter().all(|(key, ..)| key != RECORD), "there was nothing to do");
    leadership.raise_format(3).await.unwrap();
    assert_eq!((leadership.cluster_format(), process.services.cluster_format().await.unwrap()), (3, 3));
    let before = cluster.contents().await;
    leadership.raise_format(3).await.unwrap();
    for to in [0, 1, 2, 4] {
        assert_eq!(leadership.raise_format(to).await.unwrap_err().kind(), ErrorKind::Invalid, "{to}");
    }
    assert_eq!(cluster.contents().await, before);
    let record = before.iter().find(|entry| entry.0 == RECORD).unwrap();
    assert!(record.1.starts_with(br#"{"format":1,"kind":"cluster_format""#), "every version reads the record itself");
}

#[tokio::test]
async fn a_deposed_leader_raises_nothing() {
    let cluster = Cluster::new();
    let leadership = cluster.leader(new()).await;
    for session in cluster.store.sessions() {
        cluster.store.revoke(&session.id).unwrap();
    }
    let before = cluster.contents().await;
    assert_deposed(leadership.raise_format(2).await);
    assert_deposed(leadership.raise_format(1).await);
    assert_eq!(cluster.contents().await, before);
}

#[tokio::test]
async fn a_raise_whose_answer_is_lost_or_not_waited_for_can_be_repeated() {
    for dropped in [false, true] {
        let cluster = Cluster::new();
        let process = cluster.process(new());
        let leadership = cluster.lead(&process).await;
        process.backend.next_commit(if dropped { Fault::Hang } else { Fault::After });
        if dropped {
            assert!(poll_and_drop(leadership.raise_format(2)).is_none());
            assert_eq!(leadership.cluster_format(), 1, "not acknowledged: the older format is written on");
        }
        let id = counter(&leadership).await.get_and_increment().await;
        if dropped {
            id.unwrap();
            assert_eq!(cluster.formats().await, BTreeSet::from([1]));
        }
        leadership.raise_format(2).await.unwrap();
        assert_eq!(leadership.cluster_format(), 2);
        let before = cluster.contents().await;
        leadership.raise_format(2).await.unwrap();
        assert_eq!(cluster.contents().await, before);
        counter(&leadership).await.get_and_increment().await.unwrap();
        assert!(cluster.formats().await.contains(&2));
    }
}

#[tokio::test]
async fn a_raise_that_fails_changes_nothing() {
    let cluster = Cluster::new();
    let process = cluster.process(new());
    let leadership = cluster.lead(&process).await;
    process.backend.next_commit(Fault::Before);
    let before = cluster.contents().await;
    assert_eq!(leadership.raise_format(2).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((cluster.contents().await, leadership.cluster_format()), (before, 1));
    leadership.raise_format(2).await.unwrap();
}

#[tokio::test]
async fn a_record_that_a_foreign_hand_changed_is_not_overwritten() {
    let cluster = Cluster::new();
    let leadership = cluster.leader(Formats::new(1, 3).unwrap()).await;
    for (record, kind) in [("garbage", ErrorKind::Corrupt), ("9", ErrorKind::NewerFormat), ("3", ErrorKind::Conflict)] {
        match record.parse() {
            Ok(format) => cluster.record(format),
            Err(_) => cluster.tamper(Some(record)),
        }
        let before = cluster.contents().await;
        let refused = leadership.raise_format(2).await.unwrap_err().kind();
        assert_eq!((refused, cluster.contents().await), (kind, before), "{record}");
    }
}

#[tokio::test]
async fn an_administration_tool_that_is_too_old_writes_nothing() {
    let cluster = Cluster::new();
    let leader = cluster.leader(new()).await;
    leader.raise_format(2).await.unwrap();
    leader.leadership.resign().await.unwrap();
    let tool = |formats| {
        let root = ha_core::backend::Prefix::new("flink/default").unwrap();
        let backend = Arc::new(ha_core::wrap::Chroot::new(Arc::new(cluster.store.connect()), root));
        Writer::new(Committer::with_formats(backend, cluster.seam.clone(), formats), Authority::UnfencedAdministration)
    };
    let put = async |formats| {
        let writer = tool(formats);
        let key = Key::new("application/note").unwrap();
        let draft = writer.draft()?.put(key, Expect::Absent, &ha_core::formats::ClusterFormat { format: 7 })?;
        writer.commit(draft).await
    };
    let before = cluster.contents().await;
    assert_too_old(&put(old()).await.unwrap_err());
    assert_eq!(cluster.contents().await, before);
    put(new()).await.unwrap();
    // Nor does it remove anything.
    let remove = async |formats| {
        let writer = tool(formats);
        let key = Key::new("application/note").unwrap();
        let found = writer.backend().read(&key).await?.expect("it is there");
        let draft = writer.draft()?.remove(key, found.revision);
        writer.commit(draft).await
    };
    let before = cluster.contents().await;
    assert_too_old(&remove(old()).await.unwrap_err());
    assert_eq!(cluster.contents().await, before);
    remove(new()).await.unwrap();
}

#[tokio::test]
async fn two_versions_that_start_at_once_on_an_empty_store_agree_on_the_first_format() {
    // Fails if whoever comes first settles on what the other does not know.
    for _ in 0..20 {
        let cluster = Cluster::new();
        let (one, two) = (cluster.process(old()), cluster.process(new()));
        let win = async |process: &Process| {
            let leadership = cluster.lead(process).await;
            counter(&leadership).await.get_and_increment().await.unwrap();
            let format = leadership.cluster_format();
            leadership.resign().await.unwrap();
            format
        };
        assert_eq!(futures_util::future::join(win(&one), win(&two)).await, (1, 1));
        assert_eq!(cluster.formats().await, BTreeSet::from([1]));
        assert_eq!(one.backend.commits.load(SeqCst) + two.backend.commits.load(SeqCst), 2);
    }
}
