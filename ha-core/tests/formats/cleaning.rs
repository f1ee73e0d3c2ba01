//! Two versions, and what takes things away.

use super::*;
use ha_core::ComponentId;
use ha_core::backend::Name;
use ha_core::cleanup::{OrphanCollector, OrphanOptions};
use ha_core::state::chunks_of;

async fn keys(cluster: &Cluster) -> BTreeSet<String> {
    cluster.contents().await.into_iter().map(|(key, ..)| key).collect()
}

#[tokio::test]
async fn what_a_present_leader_publishes_in_a_newer_format_is_not_cleaned_up() {
    // Fails if it is read in the formats of this version's default, and so taken for what nobody has published.
    let cluster = Cluster::new();
    let leader = cluster.leader(new()).await;
    leader.raise_format(2).await.unwrap();
    leader.publish("host:1").await.unwrap();
    let before = keys(&cluster).await;
    assert!(before.contains("flink/default/leader/dispatcher/connection_info"));
    leader.process.services.cleanup_all_data().await.unwrap();
    assert_eq!(keys(&cluster).await, before);
}

#[tokio::test]
async fn a_leader_that_became_too_old_collects_nothing() {
    // Fails if only commits look at the cluster's format: states are deleted without one. What leads to them may be
    // of a kind that this version does not know.
    let cluster = Cluster::new();
    let shard_of = async |formats| {
        let process = cluster.process(formats);
        let shard = Name::new("shard").unwrap();
        let election = process.services.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
        let leadership = cluster.within("the shard is won", election.campaign()).await.unwrap();
        (process, leadership)
    };
    let (first, leadership) = shard_of(old()).await;
    let blob = leadership.blob_store().put(&job("a"), chunks_of("content".into())).await.unwrap();
    leadership.resign().await.unwrap();
    first.services.close().await.unwrap();
    let (overlooked, shard) = shard_of(old()).await;
    // As a newer version might: the pointer stands where the older one does not look for it.
    cluster.store.tamper(&Key::new(format!("flink/default/blobs/a/{blob}")).unwrap(), None);
    let leader = cluster.leader(new()).await;
    leader.raise_format(2).await.unwrap();
    let collector = OrphanCollector::of(&shard, OrphanOptions::default());
    assert_too_old(&collector.find().await.unwrap_err());
    assert_too_old(&collector.collect().await.unwrap_err());
    assert_too_old(&shard.blob_store().put(&job("b"), chunks_of("more".into())).await.unwrap_err());
    drop((leader, overlooked));
    let (_process, shard) = shard_of(new()).await;
    let collected = OrphanCollector::of(&shard, OrphanOptions::default()).collect().await.unwrap();
    assert!(collected.deleted.iter().any(|orphan| orphan.bytes == 7), "a newer version may: {collected:?}");
}

#[tokio::test]
async fn a_pointer_in_a_newer_format_is_left_to_a_newer_version() {
    // Fails if it is taken for damage, and its state made an orphan.
    let cluster = Cluster::new();
    let leader = cluster.leader(old()).await;
    plans(&leader).await.put_execution_plan(&plan("a")).await.unwrap();
    counter(&leader).await.get_and_increment().await.unwrap();
    plans(&leader).await.put_execution_plan(&plan("job")).await.unwrap();
    let key = "flink/default/execution-plans/job";
    let found = cluster.contents().await.into_iter().find(|entry| entry.0 == key).unwrap();
    let newer = String::from_utf8(found.1.to_vec()).unwrap().replacen("{\"format\":1", "{\"format\":2", 1);
    cluster.store.tamper(&Key::new(key).unwrap(), Some(newer.clone().into()));
    let services = &leader.process.services;
    for ended in [services.global_cleanup(&job("job")).await, services.cleanup_all_data().await] {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerFormat);
        assert!(error.to_string().contains(key.trim_start_matches("flink/default/")), "{error}");
    }
    let left = cluster.contents().await.into_iter().find(|entry| entry.0 == key);
    assert_eq!(left.expect("it stands").1, newer, "and everything else is gone");
    assert!(!keys(&cluster).await.iter().any(|key| key.contains("/jobs/") || key.ends_with("/a")));
    leader.leadership.resign().await.unwrap();
    let leader = cluster.leader(new()).await;
    leader.process.services.global_cleanup(&job("job")).await.unwrap();
    assert!(!keys(&cluster).await.contains(key));
}

#[tokio::test]
async fn after_a_raise_whose_answer_was_lost_a_further_raise_goes_through() {
    // Fails if our own record is taken for a foreign hand's.
    let cluster = Cluster::new();
    let process = cluster.process(Formats::new(1, 3).unwrap());
    let leadership = cluster.lead(&process).await;
    process.backend.next_commit(common::Fault::Hang);
    // Applied, and the answer never comes.
    assert!(common::poll_and_drop(leadership.raise_format(2)).is_none());
    assert_eq!(leadership.cluster_format(), 1, "it does not know");
    leadership.raise_format(3).await.unwrap();
    assert_eq!((leadership.cluster_format(), process.services.cluster_format().await.unwrap()), (3, 3));
}
