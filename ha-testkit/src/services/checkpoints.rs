//! Completed checkpoints: CP.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ha_core::checkpoint::{
    CheckpointDiscarder, CheckpointKind, CheckpointStoreOptions, CompletedCheckpoint, CompletedCheckpointStore,
    DefaultCompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode, RetentionPolicy,
};
use ha_core::election::Leadership;
use ha_core::{Error, ErrorKind, HighAvailabilityServices, JobStatus};

use super::cluster::{assert_deposed, assert_kind, job};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};

const BELOW: &str = "jobs/job/checkpoints";

pub(super) type Checkpoints = Arc<dyn CompletedCheckpointStore>;

pub(super) async fn try_recovered(
    leadership: &Leadership,
    max: usize,
    discarder: Arc<dyn CheckpointDiscarder>,
) -> Result<Checkpoints, Error> {
    let factory = leadership.checkpoint_recovery_factory();
    factory.create_recovered_completed_checkpoint_store(&job("job"), max, RecoveryClaimMode::NoClaim, discarder).await
}

pub(super) async fn recovered(leadership: &Leadership, max: usize) -> Checkpoints {
    try_recovered(leadership, max, Arc::new(DiscardStateOnly)).await.unwrap()
}

fn of_kind(id: u64, kind: CheckpointKind) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, kind, id, format!("state {id}").into())
}

pub(super) fn checkpoint(id: u64) -> CompletedCheckpoint {
    of_kind(id, CheckpointKind::Checkpoint)
}

fn savepoint(id: u64) -> CompletedCheckpoint {
    of_kind(id, CheckpointKind::Savepoint)
}

pub(super) async fn add(store: &Checkpoints, checkpoint: CompletedCheckpoint) -> Result<Option<u64>, Error> {
    Ok(store.add_checkpoint_and_subsume_oldest_one(checkpoint).await?.map(|subsumed| subsumed.id))
}

pub(super) async fn ids(store: &Checkpoints) -> Vec<u64> {
    store.get_all_checkpoints().await.unwrap().iter().map(|checkpoint| checkpoint.id).collect()
}

async fn stored(c: &Cluster) -> Vec<u64> {
    c.names(BELOW).await.iter().map(|name| name.parse().unwrap()).collect()
}

/// Writes down what it is asked to discard.
#[derive(Debug, Default)]
struct Discarded(Mutex<Vec<u64>>);

impl Discarded {
    fn ids(&self) -> Vec<u64> {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ids.sort_unstable();
        ids
    }
}

#[async_trait]
impl CheckpointDiscarder for Discarded {
    async fn discard(&self, checkpoint: &CompletedCheckpoint) -> Result<(), Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(checkpoint.id);
        Ok(())
    }
}

pub async fn cp_01_a_quota_of_nothing_is_refused(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    assert_kind(ErrorKind::Invalid, try_recovered(&leadership, 0, Arc::new(DiscardStateOnly)).await);
}

pub async fn cp_02_what_is_added_is_the_latest(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 3).await;
    for id in 1..=2 {
        assert_eq!(add(&store, checkpoint(id)).await.unwrap(), None);
        assert_eq!(*store.get_latest_checkpoint().await.unwrap().unwrap(), checkpoint(id));
        assert_eq!(store.get_latest_checkpoint_id().await.unwrap(), id);
    }
}

pub async fn cp_03_more_than_the_quota_discards_the_oldest(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let discarded = Arc::<Discarded>::default();
    let store = try_recovered(&leadership, 2, Arc::<Discarded>::clone(&discarded)).await.unwrap();
    let mut subsumed = Vec::new();
    for id in 1..=4 {
        subsumed.push(add(&store, checkpoint(id)).await.unwrap());
    }
    assert_eq!(subsumed, [None, None, Some(1), Some(2)]);
    assert_eq!((ids(&store).await, stored(&c).await), (vec![3, 4], vec![3, 4]));
    store.discards_settled().await;
    assert_eq!((discarded.ids(), c.states().await.len()), (vec![1, 2], 2));
}

pub async fn sh_03_what_exists_is_not_added_again(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let (store, beside) = (recovered(&leadership, 2).await, recovered(&leadership, 2).await);
    add(&store, checkpoint(1)).await.unwrap();
    let before = c.everything().await;
    assert_kind(ErrorKind::AlreadyExists, add(&store, checkpoint(1)).await);
    assert_kind(ErrorKind::AlreadyExists, add(&beside, checkpoint(1)).await);
    c.eventually("nothing has changed", || async { c.everything().await == before }).await;
}

pub async fn cp_04_an_empty_store_is_empty(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 1).await;
    assert_eq!(store.get_latest_checkpoint().await.unwrap(), None);
    assert_eq!(store.get_latest_checkpoint_id().await.unwrap(), 0);
    assert_eq!(store.number_of_retained_checkpoints().await.unwrap(), 0);
    assert_eq!((store.max_number_of_retained_checkpoints(), store.requires_externalized_checkpoints()), (1, true));
}

pub async fn cp_05_all_come_in_the_order_of_their_ids(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 5).await;
    for id in [3, 1, 10, 2] {
        add(&store, checkpoint(id)).await.unwrap();
    }
    assert_eq!(ids(&store).await, [1, 2, 3, 10]);
}

pub async fn cp_06_the_end_of_the_job_removes_and_discards_all(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let discarded = Arc::<Discarded>::default();
    let store = try_recovered(&leadership, 3, Arc::<Discarded>::clone(&discarded)).await.unwrap();
    for id in 1..=3 {
        add(&store, checkpoint(id)).await.unwrap();
    }
    store.shutdown(JobStatus::Finished).await.unwrap();
    store.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!((stored(&c).await, c.states().await.len(), discarded.ids()), (vec![], 0, vec![1, 2, 3]));
    assert!(ids(&recovered(&leadership, 3).await).await.is_empty());
}

pub async fn cp_07_the_newest_that_is_no_savepoint_stays(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let discarded = Arc::<Discarded>::default();
    let store = try_recovered(&leadership, 1, Arc::<Discarded>::clone(&discarded)).await.unwrap();
    for id in 1..=2 {
        add(&store, checkpoint(id)).await.unwrap();
    }
    for id in 3..=5 {
        add(&store, savepoint(id)).await.unwrap();
    }
    assert_eq!((ids(&store).await, stored(&c).await), (vec![2, 5], vec![2, 5]));
    store.discards_settled().await;
    assert_eq!(discarded.ids(), [1], "the data of a savepoint is its owner's");
}

pub async fn cp_08_an_older_savepoint_gives_way(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 1).await;
    add(&store, savepoint(1)).await.unwrap();
    assert_eq!(add(&store, checkpoint(2)).await.unwrap(), Some(1));
    assert_eq!(ids(&store).await, [2]);
}

pub async fn cp_09_the_savepoint_a_job_stops_with_replaces_all(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 1).await;
    for stored in [checkpoint(1), savepoint(2), of_kind(3, CheckpointKind::SynchronousSavepoint)] {
        add(&store, stored).await.unwrap();
    }
    assert_eq!((ids(&store).await, stored(&c).await), (vec![3], vec![3]));
}

pub async fn cp_10_below_the_quota_nothing_gives_way(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 3).await;
    for one in [checkpoint(1), savepoint(2), checkpoint(3)] {
        assert_eq!(add(&store, one).await.unwrap(), None);
    }
    assert_eq!(ids(&store).await, [1, 2, 3]);
}

pub async fn cp_11_another_leader_recovers_all_in_order(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 4).await;
    for id in [9, 11, 10, 2] {
        add(&store, checkpoint(id)).await.unwrap();
    }
    let (_two, leads) = c.take_over("two").await;
    let store = recovered(&leads, 4).await;
    let all = store.get_all_checkpoints().await.unwrap();
    assert_eq!(all.iter().map(|one| (**one).clone()).collect::<Vec<_>>(), [2, 9, 10, 11].map(checkpoint));
    assert_eq!(store.get_latest_checkpoint_id().await.unwrap(), 11, "as numbers, not as text");
}

pub async fn cp_12_a_broken_checkpoint_is_not_skipped(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 3).await;
    for id in 1..=3 {
        add(&store, checkpoint(id)).await.unwrap();
    }
    let state = c.states().await.remove(0);
    c.spoil(&state, None).await;
    let before = c.everything().await;
    let (_two, leads) = c.take_over("two").await;
    let error = assert_kind(ErrorKind::StateMissing, try_recovered(&leads, 3, Arc::new(DiscardStateOnly)).await);
    assert!(error.to_string().contains("checkpoint"), "names the entry: {error}");
    let now = c.everything().await;
    assert_eq!((now.1, stored(&c).await), (before.1, vec![1, 2, 3]), "nothing was skipped, nothing deleted");
}

pub async fn cp_14_a_failed_add_removes_nothing(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 1).await;
    add(&store, checkpoint(1)).await.unwrap();
    let states = c.states().await;
    one.plan.next(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, add(&store, checkpoint(2)).await);
    assert_eq!((ids(&store).await, stored(&c).await), (vec![1], vec![1]));
    c.eventually("only the new state is deleted", || async { c.states().await == states }).await;
    assert_eq!(add(&store, checkpoint(2)).await.unwrap(), Some(1));
}

pub async fn cp_15_what_the_policy_retains_keeps_its_data(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let discarded = Arc::<Discarded>::default();
    let store = try_recovered(&leadership, 3, Arc::<Discarded>::clone(&discarded)).await.unwrap();
    add(&store, checkpoint(1)).await.unwrap();
    add(&store, checkpoint(2).with_retention(RetentionPolicy::RetainOnCancellation)).await.unwrap();
    add(&store, savepoint(3)).await.unwrap();
    store.shutdown(JobStatus::Canceled).await.unwrap();
    assert_eq!((stored(&c).await, discarded.ids(), c.states().await.len()), (vec![], vec![1], 2));
}

pub async fn cp_16_suspension_keeps_everything(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 2).await;
    add(&store, checkpoint(1)).await.unwrap();
    let before = c.everything().await;
    store.shutdown(JobStatus::Suspended).await.unwrap();
    assert_eq!(c.everything().await, before);
    let (_two, leads) = c.take_over("two").await;
    assert_eq!(ids(&recovered(&leads, 2).await).await, [1]);
}

pub async fn cp_17_nothing_is_added_after_shutdown(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    for status in [JobStatus::Finished, JobStatus::Suspended, JobStatus::Failed, JobStatus::Canceled] {
        let store = recovered(&leadership, 2).await;
        store.shutdown(status).await.unwrap();
        assert_kind(ErrorKind::Closed, add(&store, checkpoint(1)).await);
        c.until_states(0).await;
    }
}

pub async fn cp_18_more_than_the_quota_is_recovered_and_trimmed_by_the_next_add(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 4).await;
    for id in 1..=4 {
        add(&store, checkpoint(id)).await.unwrap();
    }
    let (_two, leads) = c.take_over("two").await;
    let store = recovered(&leads, 2).await;
    assert_eq!(ids(&store).await, [1, 2, 3, 4]);
    assert_eq!(add(&store, checkpoint(5)).await.unwrap(), Some(3));
    store.discards_settled().await;
    assert_eq!((stored(&c).await, c.states().await.len()), (vec![4, 5], 2));
}

pub async fn cp_22_an_old_leader_discards_nothing_that_the_new_one_recovered(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let old = recovered(&leadership, 2).await;
    for id in 1..=2 {
        add(&old, checkpoint(id)).await.unwrap();
    }
    one.line.make_unaware();
    let (_two, leads) = c.take_over("two").await;
    let new = recovered(&leads, 2).await;
    let before = c.everything().await;
    assert_deposed("an add that subsumes", add(&old, checkpoint(3)).await);
    assert_deposed("the end of the job", old.shutdown(JobStatus::Finished).await);
    old.discards_settled().await;
    c.until_states(2).await;
    assert_eq!(c.everything().await, before);
    assert_eq!(add(&new, checkpoint(3)).await.unwrap(), Some(1));
}

pub async fn cp_24_the_name_is_the_id_in_nineteen_digits(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let store = recovered(&leadership, 3).await;
    for id in [1, 10, ha_core::checkpoint::CHECKPOINT_ID_MAX - 1] {
        add(&store, checkpoint(id)).await.unwrap();
        assert!(c.entry(&format!("{BELOW}/{id:019}")).await.is_some());
    }
}

pub async fn cp_27_a_store_without_leadership_reads_and_adds_nothing(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    add(&recovered(&leadership, 2).await, checkpoint(1)).await.unwrap();
    let other = c.process("other").await;
    let factory = other.services.checkpoint_recovery_factory().unwrap();
    let mode = RecoveryClaimMode::NoClaim;
    let store: Checkpoints = factory
        .create_recovered_completed_checkpoint_store(&job("job"), 2, mode, Arc::new(DiscardStateOnly))
        .await
        .unwrap();
    assert_eq!(ids(&store).await, [1]);
    let before = c.everything().await;
    assert_deposed("an add", add(&store, checkpoint(2)).await);
    assert_deposed("the end", store.shutdown(JobStatus::Finished).await);
    assert_eq!(c.everything().await, before);
}

async fn hasty(process: &Process, leadership: &Leadership, retained_max: usize) -> Checkpoints {
    let (claim_mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
    let options = CheckpointStoreOptions { retained_max, claim_mode, discarder };
    let (writer, storage) = (process.hasty(leadership), leadership.storage().clone());
    Arc::new(DefaultCompletedCheckpointStore::recover(&job("job"), writer, storage, options).await.unwrap())
}

pub async fn cp_30_after_an_unknown_add_nothing_is_deleted(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let store = hasty(&one, &leadership, 1).await;
    add(&store, checkpoint(1)).await.unwrap();
    one.plan.always(Call::Commit, Fault::LostBefore);
    assert_kind(ErrorKind::Indeterminate, add(&store, checkpoint(2)).await);
    one.plan.clear();
    assert_eq!((c.states().await.len(), stored(&c).await), (2, vec![1]), "lost: the old one stands, both states stay");
    one.plan.always(Call::Commit, Fault::FailAfter);
    assert_kind(ErrorKind::Indeterminate, add(&store, checkpoint(3)).await);
    one.plan.clear();
    assert_eq!((c.states().await.len(), stored(&c).await), (3, vec![3]), "applied: nothing was deleted on a doubt");
    assert_eq!(ids(&store).await, [3], "the next call finds out");
    let (_two, leads) = c.take_over("two").await;
    assert_eq!(ids(&recovered(&leads, 1).await).await, [3]);
}

pub async fn cp_31_a_failed_recovery_can_be_repeated(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    add(&recovered(&leadership, 1).await, checkpoint(1)).await.unwrap();
    one.plan.always(Call::List, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, try_recovered(&leadership, 1, Arc::new(DiscardStateOnly)).await);
    one.plan.clear();
    assert_eq!(ids(&recovered(&leadership, 1).await).await, [1]);
}
