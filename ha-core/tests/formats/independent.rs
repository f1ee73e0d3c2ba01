use super::*;
use ha_core::ComponentId;
use ha_core::application_prefix;
use ha_core::backend::{Expect, Name};
use ha_core::election::LossReason;
use ha_core::record::Body;
use ha_core::writer::Committed;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering::SeqCst;

#[derive(Serialize, Deserialize)]
struct Note(u64);

impl Body for Note {
    const KIND: &'static str = "note";
}

fn key(number: u64) -> Key {
    application_prefix().key(&Name::new(format!("note-{number}")).unwrap())
}

async fn note(leadership: &Leadership, number: u64) -> Result<Committed, Error> {
    leadership.guarded(|draft| draft.put(key(number), Expect::Absent, &Note(number))).await
}

impl Cluster {
    /// Wins an independent latch.
    async fn lead_shard(&self, process: &Process) -> Leadership {
        let shard = Name::new("shard").unwrap();
        let election = process.services.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
        self.within("the shard is won", election.campaign()).await.unwrap()
    }

    async fn raise(&self) -> Leader {
        let leadership = self.leader(new()).await;
        leadership.raise_format(2).await.unwrap();
        leadership
    }
}

#[tokio::test]
async fn a_leader_of_an_independent_latch_that_is_too_old_after_a_raise_writes_nothing_more() {
    // Fails if only the one latch is fenced: the operator overlooked a process that leads a shard.
    let cluster = Cluster::new();
    let process = cluster.process(old());
    let shard = cluster.lead_shard(&process).await;
    shard.publish("host:1").await.unwrap();
    note(&shard, 1).await.unwrap();
    let main = cluster.raise().await;
    let before = cluster.contents().await;
    assert_too_old(&note(&shard, 2).await.unwrap_err());
    assert_eq!(cluster.contents().await.len(), before.len(), "no note was left");
    assert_eq!(shard.lost().await, LossReason::Outdated);
    assert!(!shard.is_valid());
    assert_eq!(note(&shard, 3).await.unwrap_err().kind(), ErrorKind::NotLeader);
    drop(shard);
    // The shard is free for those who are new enough.
    let process = cluster.process(new());
    let shard = cluster.lead_shard(&process).await;
    note(&shard, 4).await.unwrap();
    drop(main);
}

#[tokio::test]
async fn a_leader_of_an_independent_latch_that_is_new_enough_goes_on_over_a_raise() {
    let cluster = Cluster::new();
    let process = cluster.process(new());
    let shard = cluster.lead_shard(&process).await;
    note(&shard, 1).await.unwrap();
    let main = cluster.raise().await;
    assert_eq!(shard.cluster_format(), 1, "it does not know yet");
    let draft = shard.writer().draft().unwrap();
    assert!(matches!(note(&shard, 2).await.unwrap(), Committed::Applied(_)), "the caller sees nothing of it");
    assert_eq!(shard.cluster_format(), 2);
    note(&shard, 3).await.unwrap();
    // A draft from before goes through as well; all that it holds is of one format.
    let draft = draft.put(key(4), Expect::Absent, &Note(4)).unwrap().put(key(5), Expect::Absent, &Note(5)).unwrap();
    assert_eq!(draft.format(), 1);
    assert!(matches!(shard.writer().commit(draft).await.unwrap(), Committed::Applied(_)));
    let contents = cluster.contents().await;
    let format = |number| {
        let entry = contents.iter().find(|entry| entry.0.ends_with(&format!("note-{number}"))).unwrap();
        serde_json::from_slice::<serde_json::Value>(&entry.1).unwrap()["format"].as_u64().unwrap()
    };
    assert_eq!([1, 2, 3, 4, 5].map(format), [1, 1, 2, 1, 1]);
    // A conflict of its own is still one.
    assert!(matches!(note(&shard, 3).await.unwrap(), Committed::Conflict { found: Some(_), .. }));
    drop(main);
}

#[tokio::test]
async fn the_leader_of_an_independent_latch_cannot_raise_the_format() {
    let cluster = Cluster::new();
    let process = cluster.process(new());
    let shard = cluster.lead_shard(&process).await;
    let before = cluster.contents().await;
    assert_eq!(shard.raise_format(2).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(cluster.contents().await, before);
}

#[tokio::test]
async fn a_commit_stays_one_request_under_any_latch() {
    // Fails if the format is asked for at each commit.
    let cluster = Cluster::new();
    drop(cluster.raise().await);
    let process = cluster.process(new());
    let backend = &process.backend;
    let requests = || (backend.commits.load(SeqCst), backend.reads.load(SeqCst), backend.lists.load(SeqCst));
    let leadership = cluster.lead(&process).await;
    let counter = counter(&leadership).await;
    counter.get_and_increment().await.unwrap();
    let before = requests();
    for _ in 0..10 {
        counter.get_and_increment().await.unwrap();
    }
    let after = requests();
    assert_eq!(after, (before.0 + 10, before.1, before.2));
    let shard = cluster.lead_shard(&process).await;
    note(&shard, 100).await.unwrap();
    let before = requests();
    for number in 0..10 {
        note(&shard, number).await.unwrap();
    }
    assert_eq!(requests(), (before.0 + 10, before.1, before.2));
}

#[tokio::test]
async fn a_full_commit_under_an_independent_latch_leaves_room_for_what_is_checked() {
    let cluster = Cluster::new();
    let process = cluster.process(new());
    let shard = cluster.lead_shard(&process).await;
    let writer = shard.writer();
    let mut draft = writer.draft().unwrap();
    for number in 0..writer.operations_max() as u64 {
        draft = draft.put(key(number), Expect::Absent, &Note(number)).unwrap();
    }
    assert!(matches!(writer.commit(draft).await.unwrap(), Committed::Applied(_)));
}
