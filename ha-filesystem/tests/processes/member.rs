//! A process that leads again and again, and writes one checkpoint after the other while it does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::SessionOptions;
use ha_core::checkpoint::{
    CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::election::Leadership;
use ha_core::journal::JournalBackend;
use ha_core::seam::{Moment, Seam};
use ha_core::state::StateStorage;
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, PresenceOptions, ServicesOptions};
use ha_filesystem::FilesystemSettings;
use ha_testkit::async_trait;
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::trials::{self, nanoseconds};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// More than any of these tests writes: nothing is subsumed, so that everything acknowledged must be there.
const RETAINED: usize = 1_000_000;
/// Between two writes, so that the test process is not starved.
const PAUSE: Duration = Duration::from_millis(5);

/// Where a process belongs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) label: String,
    /// The directory of the journal.
    pub(crate) journal: PathBuf,
    pub(crate) states: PathBuf,
    pub(crate) root: String,
    pub(crate) silence: Duration,
    /// As if every other process were on another host.
    pub(crate) ignore_locks: bool,
    /// It is there, and campaigns when this file is.
    pub(crate) campaigns_with: Option<PathBuf>,
}

impl Member {
    pub(crate) async fn backend(&self, seam: &Seam) -> Result<Arc<JournalBackend>, Error> {
        let settings = FilesystemSettings { ignore_locks: self.ignore_locks, ..FilesystemSettings::at(&self.journal) };
        ha_filesystem::connect(settings, seam.clone()).await
    }

    pub(crate) async fn services(&self, seam: &Seam) -> HaServices {
        self.services_on(self.backend(seam).await.unwrap(), seam)
    }

    pub(crate) fn services_on(&self, backend: Arc<JournalBackend>, seam: &Seam) -> HaServices {
        let states = url::Url::from_directory_path(&self.states).unwrap().to_string();
        let storage = StateStorage::open(&states, seam.clone()).unwrap();
        let session = SessionOptions { silence: self.silence, label: self.label.clone() };
        // The journal's own evidence is to decide here, or silence; nothing else.
        let presence = PresenceOptions::Off;
        let options = ServicesOptions { root: self.root.clone(), session, presence, ..ServicesOptions::default() };
        HaServices::new(backend, storage, &options, seam.clone()).unwrap()
    }

    pub(crate) fn spawn(&self, seam: &Seam) -> Process {
        Process::spawn(seam.clone(), "member::member", self)
    }
}

#[async_trait]
impl trials::Member for Member {
    fn label(&self) -> &str {
        &self.label
    }

    async fn services(&self, seam: &Seam) -> Result<HaServices, Error> {
        Ok(Self::services(self, seam).await)
    }
}

pub(crate) async fn checkpoints(leadership: &Leadership) -> Result<Arc<dyn CompletedCheckpointStore>, Error> {
    let factory = leadership.checkpoint_recovery_factory();
    let (job, discarder) = (JobId::new("job").unwrap(), Arc::new(DiscardStateOnly));
    factory.create_recovered_completed_checkpoint_store(&job, RETAINED, RecoveryClaimMode::default(), discarder).await
}

pub(crate) fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, Bytes::from(format!("state {id}")))
}

/// Tells until when it could rely on its leadership, by what it knew just now.
fn tell_until(leadership: &Leadership, stage: &Stage) {
    stage.tell("until", nanoseconds(leadership.valid_until().moment()));
}

/// Leads, and tells of each checkpoint that was acknowledged and each that was not, until its leadership is over.
async fn lead(leadership: &Leadership, label: &str, stage: &Stage) -> Result<(), Error> {
    let store = checkpoints(leadership).await?;
    leadership.publish(label).await?;
    tell_until(leadership, stage);
    stage.tell("leading", leadership.token().epoch());
    let first = store.get_latest_checkpoint_id().await? + 1;
    let mut over = 0;
    for id in first.. {
        let asked = nanoseconds(stage.seam().now());
        match store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await {
            Ok(_) => stage.tell("acknowledged", json!({ "id": id, "asked": asked })),
            Err(error) => {
                let (kind, text) = (format!("{:?}", error.kind()), error.to_string());
                stage.tell("refused", json!({ "id": id, "asked": asked, "kind": kind, "text": text }));
                // Once more after its end: that is what must not land.
                over += usize::from(!leadership.is_valid());
                if over > 1 || matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) {
                    return Err(error);
                }
            }
        }
        tell_until(leadership, stage);
        stage.seam().sleep(PAUSE).await;
    }
    Ok(())
}

pub(crate) async fn play(member: Member, stage: Stage) {
    let services = member.services(stage.seam()).await;
    stage.tell("there", ());
    while member.campaigns_with.as_ref().is_some_and(|file| !file.exists()) {
        stage.seam().sleep(PAUSE).await;
    }
    loop {
        let leadership = match services.dispatcher_leader_election().unwrap().campaign().await {
            Ok(leadership) => leadership,
            Err(error) => {
                stage.tell("trouble", error.to_string());
                stage.seam().sleep(PAUSE * 20).await;
                continue;
            }
        };
        stage.tell("elected", leadership.token().epoch());
        tell_until(&leadership, &stage);
        // Told at once, also while a write waits for its answer.
        let lost = async { stage.tell("lost", leadership.lost().await.to_string()) };
        let work = async {
            // Trouble at its beginning ends no leadership.
            while leadership.is_valid() {
                if let Err(error) = lead(&leadership, &member.label, &stage).await {
                    stage.tell("trouble", error.to_string());
                    stage.seam().sleep(PAUSE).await;
                }
            }
        };
        futures_util::join!(lost, work);
    }
}

#[test]
fn member() {
    role("member::member", play);
}

/// The checkpoints that were acknowledged, and whether they were asked for at or after that moment.
pub(crate) fn acknowledged_since(events: &[Event], since: u64) -> BTreeSet<u64> {
    let acknowledged = events.iter().filter(|event| event.name == "acknowledged");
    let since = acknowledged.filter(|event| event.value["asked"].as_u64().unwrap() >= since);
    since.map(|event| event.value["id"].as_u64().unwrap()).collect()
}

pub(crate) fn acknowledged(events: &[Event]) -> BTreeSet<u64> {
    acknowledged_since(events, 0)
}

/// The numbers that a process told under that name.
pub(crate) fn numbers(events: &[Event], name: &str) -> Vec<u64> {
    let told = events.iter().filter(|event| event.name == name);
    told.filter_map(|event| event.value.as_u64()).collect()
}

/// The latest moment up to which it relied on its leadership, as far as it told.
pub(crate) fn relied_until(events: &[Event]) -> u64 {
    // What is over counts as past for ever, and is no promise.
    numbers(events, "until").into_iter().max().unwrap()
}

/// Waits until it has written that many more.
pub(crate) async fn writes(process: &Process, more: usize) {
    let before = acknowledged(&process.events()).len();
    let what = "checkpoints are acknowledged";
    process.until(what, |events| (acknowledged(events).len() >= before + more).then_some(())).await;
}

/// Waits until it leads under a greater token than that, and answers when it told so first, and the token.
pub(crate) async fn leads_after(process: &Process, token: u64) -> (Moment, u64) {
    let find = |events: &[Event]| {
        let mut elected = events.iter().filter(|event| event.name == "elected");
        let later = elected.find(|event| event.value.as_u64().unwrap() > token)?;
        Some((later.at, later.value.as_u64().unwrap()))
    };
    process.until("it leads", find).await
}

/// When the process told that for the first time at or after the moment; waits for it.
pub(crate) async fn told_after(process: &Process, name: &str, after: Moment) -> Event {
    let find = |events: &[Event]| events.iter().find(|event| event.name == name && event.at >= after).cloned();
    process.until(name, find).await
}
