//! Leaders that are over and do not know it: and their kin.

use std::sync::Arc;

use ha_core::backend::{Expect, Name};
use ha_core::blob::{BlobKey, BlobStore};
use ha_core::checkpoint::CheckpointIdCounter;
use ha_core::election::Leadership;
use ha_core::job_result::{JobResult, JobResultStore};
use ha_core::record::Body;
use ha_core::state::chunks_of;
use ha_core::{Error, ErrorKind, HighAvailabilityServices, JobStatus, application_prefix};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::checkpoints::{Checkpoints, add, checkpoint, recovered};
use super::cluster::{assert_deposed, job};
use super::plans::{Plans, content, plan, started};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};

#[derive(Debug, Serialize, Deserialize)]
struct Note(String);

impl Body for Note {
    const KIND: &'static str = "note";
}

/// What a leader does its work with.
#[derive(Debug, Clone)]
struct Work {
    leadership: Arc<Leadership>,
    plans: Plans,
    counter: Arc<dyn CheckpointIdCounter>,
    checkpoints: Checkpoints,
    results: Arc<dyn JobResultStore>,
    blobs: Arc<dyn BlobStore>,
}

/// Every call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Publish,
    PutPlan,
    NewPlan,
    Requirements,
    RemovePlan,
    Increment,
    SetCount,
    EndCounter,
    AddCheckpoint,
    EndCheckpoints,
    CreateResult,
    CleanResult,
    PutBlob,
    DeleteBlob,
    DeleteBlobs,
    Guarded,
}

const ALL: [Change; 16] = [
    Change::Publish,
    Change::PutPlan,
    Change::NewPlan,
    Change::Requirements,
    Change::RemovePlan,
    Change::Increment,
    Change::SetCount,
    Change::AddCheckpoint,
    Change::Guarded,
    Change::EndCounter,
    Change::EndCheckpoints,
    Change::CreateResult,
    Change::CleanResult,
    Change::PutBlob,
    Change::DeleteBlob,
    Change::DeleteBlobs,
];

/// What the blob of a leader at work holds.
const BLOB: &str = "a library";

impl Work {
    /// Everything set up under that leadership, with something stored of each kind.
    async fn begun(leadership: Leadership) -> Self {
        let (plans, _) = started(&leadership).await;
        let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job("job"));
        counter.start().await.unwrap();
        let checkpoints = recovered(&leadership, 1).await;
        let (results, blobs) = (leadership.job_result_store(), leadership.blob_store());
        let work = Self { leadership: Arc::new(leadership), plans, counter, checkpoints, results, blobs };
        work.leadership.publish("here:1").await.unwrap();
        if content(&work.plans, "job").await.is_none() {
            work.plans.put_execution_plan(&plan("job", "graph")).await.unwrap();
        }
        let id = work.counter.get_and_increment().await.unwrap();
        add(&work.checkpoints, checkpoint(id)).await.unwrap();
        work.checkpoints.discards_settled().await;
        if !work.results.has_job_result_entry(&job("over")).await.unwrap() {
            work.results.create_dirty_result(&JobResult::new(job("over"), JobStatus::Failed)).await.unwrap();
        }
        if work.blobs.get(&job("job"), &BlobKey::of(BLOB.as_bytes())).await.is_err() {
            work.blobs.put(&job("job"), chunks_of(BLOB.into())).await.unwrap();
        }
        work
    }

    async fn make(&self, change: Change) -> Result<(), Error> {
        match change {
            Change::Publish => self.leadership.publish("late:1").await,
            Change::PutPlan => self.plans.put_execution_plan(&plan("job", "late")).await,
            Change::NewPlan => self.plans.put_execution_plan(&plan("late", "late")).await,
            Change::Requirements => self.plans.put_job_resource_requirements(&job("job"), json!("late")).await,
            Change::RemovePlan => self.plans.global_cleanup(&job("job")).await,
            Change::Increment => self.counter.get_and_increment().await.map(drop),
            Change::SetCount => self.counter.set_count(1000).await,
            Change::EndCounter => self.counter.shutdown(JobStatus::Finished).await,
            Change::AddCheckpoint => add(&self.checkpoints, checkpoint(900)).await.map(drop),
            Change::EndCheckpoints => self.checkpoints.shutdown(JobStatus::Finished).await,
            Change::CreateResult => {
                self.results.create_dirty_result(&JobResult::new(job("late"), JobStatus::Finished)).await
            }
            Change::CleanResult => self.results.mark_result_as_clean(&job("over")).await,
            Change::PutBlob => self.blobs.put(&job("job"), chunks_of("late".into())).await.map(drop),
            Change::DeleteBlob => self.blobs.delete(&job("job"), &BlobKey::of(BLOB.as_bytes())).await,
            Change::DeleteBlobs => self.blobs.delete_all(&job("job")).await,
            Change::Guarded => {
                let key = application_prefix().key(&Name::new("note")?);
                self.leadership.guarded(|draft| draft.put(key, Expect::Absent, &Note("late".into()))).await.map(drop)
            }
        }
    }
}

/// A leader at work.
async fn at_work(c: &Cluster, label: &str) -> (Process, Work) {
    let (process, leadership) = c.leader(label).await;
    (process, Work::begun(leadership).await)
}

/// What is stored once the deletions of `process` have settled: it must be what it was.
async fn unchanged(c: &Cluster, what: &str, before: &super::cluster::Everything) {
    let (entries, _) = c.everything().await;
    assert_eq!(entries, before.0, "{what}: the successor's entries");
    let same = || async { c.states().await.len() == before.1.len() };
    c.eventually(&format!("{what}: what was written in vain is deleted again"), same).await;
    assert_eq!(c.everything().await.1, before.1, "{what}: the successor's states");
}

/// The successor ends, and nothing of the job is left, so that another round can begin.
async fn cleared(c: &Cluster, successor: &Process, new: Work) {
    new.plans.global_cleanup(&job("job")).await.unwrap();
    new.counter.shutdown(JobStatus::Finished).await.unwrap();
    new.checkpoints.shutdown(JobStatus::Finished).await.unwrap();
    new.results.mark_result_as_clean(&job("over")).await.unwrap();
    new.blobs.delete_all(&job("job")).await.unwrap();
    for orphan in c.states().await {
        // State of a request that is still on its way stays; nobody can tell that it is in vain.
        c.spoil(&orphan, None).await;
    }
    c.in_time("the successor ends", successor.services.close()).await.unwrap();
}

pub async fn x_01_a_frozen_leader_changes_nothing_after_a_take_over(c: Cluster) {
    for change in ALL {
        let (process, old) = at_work(&c, "old").await;
        process.line.make_unaware();
        c.depose().await;
        let (successor, new) = at_work(&c, "new").await;
        let before = c.everything().await;
        assert!(old.leadership.is_valid(), "it believes that it leads");
        assert_deposed(&format!("{change:?}"), old.make(change).await);
        unchanged(&c, &format!("{change:?}"), &before).await;
        assert!(!old.leadership.is_valid(), "the refusal has told it");
        drop((process, old));
        cleared(&c, &successor, new).await;
    }
}

pub async fn x_02_frozen_between_check_and_write_it_changes_nothing(c: Cluster) {
    for change in ALL {
        let (process, old) = at_work(&c, "old").await;
        process.line.make_unaware();
        process.line.hold();
        let frozen = {
            let old = old.clone();
            c.go(async move { old.make(change).await })
        };
        c.eventually(&format!("{change:?} has passed all checks"), || async { process.line.held() > 0 }).await;
        c.depose().await;
        let (successor, new) = at_work(&c, "new").await;
        // What it wrote of state before the commit is there, and is deleted after the refusal.
        let before = c.everything().await.0;
        process.line.let_go();
        assert_deposed(&format!("{change:?}"), c.in_time("the frozen call ends", frozen).await);
        assert_eq!(c.everything().await.0, before, "{change:?}: the successor's entries");
        assert_eq!(content(&new.plans, "job").await.as_deref(), Some("graph"));
        c.until_states(3).await;
        drop((process, old));
        cleared(&c, &successor, new).await;
    }
}

pub async fn x_03_what_is_delivered_late_changes_nothing(c: Cluster) {
    for change in ALL {
        let (process, old) = at_work(&c, "old").await;
        process.line.make_unaware();
        process.plan.next(Call::Commit, Fault::DeliveredLate);
        process.plan.always(Call::Commit, Fault::Hang);
        let sent = {
            let old = old.clone();
            c.go(async move { old.make(change).await })
        };
        c.eventually(&format!("{change:?} is on its way"), || async { process.plan.held_back() > 0 }).await;
        drop(sent);
        c.depose().await;
        let (successor, new) = at_work(&c, "new").await;
        let before = c.everything().await;
        let delivered = c.in_time("the late request arrives", process.plan.deliver_late()).await;
        assert!(!delivered.is_empty());
        assert_eq!(c.everything().await, before, "{change:?} has arrived late: {delivered:?}");
        drop((process, old));
        cleared(&c, &successor, new).await;
    }
}

pub async fn x_04_tokens_grow_over_all_processes(c: Cluster) {
    let mut last = 0;
    let lasting = c.process("lasting").await;
    for round in 0..6 {
        // Kept to the end of the round: with its services a process gives up what it leads.
        let passing = if round % 2 == 0 { None } else { Some(c.process("passing").await) };
        let leadership = passing.as_ref().unwrap_or(&lasting).lead().await;
        let token = leadership.token().epoch();
        assert!(token > last, "round {round}: {token} after {last}");
        last = token;
        match round % 3 {
            0 => leadership.resign().await.unwrap(),
            1 => drop(leadership),
            _ => {
                c.depose().await;
                c.in_time("the loss is known", leadership.lost()).await;
            }
        }
    }
}

pub async fn x_06_a_silent_leader_stops_before_another_can_begin(c: Cluster) {
    let (process, leadership) = c.leader("old").await;
    let standby = c.process("standby").await;
    let election = standby.election();
    let grant = leadership.grant().clone();
    let campaign = c.go(async move {
        let won = election.campaign().await.expect("a leadership");
        // Looked at in the same instant in which the other begins.
        (grant.is_valid(), won)
    });
    c.store().freeze(&process.session_id()).await;
    let (old_was_valid, won) = c.in_time("the standby leads", campaign).await;
    assert!(!old_was_valid, "two leaders at one instant");
    assert_deposed("publish", leadership.publish("late:1").await);
    assert!(won.token() > leadership.token());
}

pub async fn x_27_a_checkpoint_added_while_leadership_goes_is_there_or_not(c: Cluster) {
    for round in 0..8_u64 {
        let (process, leadership) = c.leader("old").await;
        let store = recovered(&leadership, 1).await;
        let former = super::checkpoints::ids(&store).await;
        let id = 10 * (round + 1);
        let adding = {
            let store = Arc::clone(&store);
            c.go(async move { add(&store, checkpoint(id)).await })
        };
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let (_new, leads) = c.take_over("new").await;
        let added = c.in_time("the add ends", adding).await;
        let found = super::checkpoints::ids(&recovered(&leads, 1).await).await;
        match added {
            Ok(_) => assert_eq!(found, [id], "acknowledged, and recovered"),
            Err(error) if error.kind() == ErrorKind::Indeterminate => assert!(found == [id] || found == former),
            Err(error) => {
                assert_deposed::<()>("the add", Err(error));
                assert_eq!(found, former, "refused, and not there");
            }
        }
        store.discards_settled().await;
        // Whatever the old leader deletes: what the new one recovered can be recovered again.
        assert_eq!(super::checkpoints::ids(&recovered(&leads, 1).await).await, found);
        drop(process);
    }
}

pub async fn x_05_no_two_lead_at_one_instant(c: Cluster) {
    let silence = c.store().silence();
    let grants = Arc::new(std::sync::Mutex::new(Vec::<ha_core::election::Grant>::new()));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut going = Vec::new();
    for number in 0..3 {
        let process = c.process(&format!("contender-{number}")).await;
        let (grants, mut stopped, seam) = (Arc::clone(&grants), stopped.clone(), c.seam().clone());
        going.push(c.go(async move {
            while !*stopped.borrow() {
                let election = process.election();
                let campaign = async { election.campaign().await.expect("a leadership") };
                let leadership = tokio::select! {
                    biased;
                    _ = stopped.changed() => return,
                    leadership = campaign => leadership,
                };
                {
                    let mut grants = grants.lock().expect("no holder panics");
                    // Who let go and comes back at once may be handed the term that nobody has taken since.
                    grants.retain(|grant| grant != leadership.grant());
                    let valid: Vec<_> = grants.iter().filter(|grant| grant.is_valid()).map(|g| g.epoch()).collect();
                    assert!(!leadership.is_valid() || valid.is_empty(), "{valid:?} beside {}", leadership.token());
                    grants.push(leadership.grant().clone());
                }
                if seam.random_u64() % 2 == 0 {
                    leadership.resign().await.expect("a resignation");
                } else {
                    process.plan.always(Call::Read, Fault::FailBefore);
                    let _ = seam.timeout(silence / 4, leadership.lost()).await;
                    process.plan.clear();
                }
            }
        }));
    }
    let enough = || async { grants.lock().expect("no holder panics").len() >= 40 };
    c.eventually("forty terms", enough).await;
    stop.send_replace(true);
    for one in going {
        c.in_time("a contender ends", one).await;
    }
    let grants = grants.lock().expect("no holder panics");
    let epochs: std::collections::BTreeSet<u64> = grants.iter().map(|grant| grant.epoch()).collect();
    assert_eq!(epochs.len(), grants.len(), "no term was handed out twice");
}
