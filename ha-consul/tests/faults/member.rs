//! A process that leads again and again, and writes one checkpoint after the other while it does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_consul::{Consul, ConsulSettings, Token};
use ha_core::backend::SessionOptions;
use ha_core::checkpoint::{
    CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::election::Leadership;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::{async_trait, trials};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long Consul hears nothing before it gives a process up.
pub(crate) const SILENCE: Duration = Duration::from_millis(1500);
/// More than any of these tests writes: nothing is subsumed, so that everything acknowledged must be there.
const RETAINED: usize = 1_000_000;
/// Between two writes, so that the test process is not starved.
const PAUSE: Duration = Duration::from_millis(5);
const CONNECTED_WITHIN: Duration = Duration::from_secs(60);

/// Where a process belongs, and how it reaches its servers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) label: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) root: String,
    pub(crate) storage: String,
    pub(crate) token: Option<String>,
    pub(crate) silence: Duration,
    /// Whether gossip may end its session.
    pub(crate) serf_health: bool,
}

impl Member {
    pub(crate) fn settings(&self) -> ConsulSettings {
        let mut settings = ConsulSettings::at("");
        settings.addresses = self.addresses.clone();
        settings.token = self.token.clone().map_or(Token::None, Token::Secret);
        settings.connect_timeout = Duration::from_millis(500);
        settings.request_timeout = self.silence * 2 / 3;
        settings.blocking_wait = self.silence * 4;
        settings.liveness.session_ttl = Some(self.silence);
        settings.liveness.serf_health = self.serf_health;
        settings
    }

    pub(crate) async fn services(&self, seam: &Seam) -> HaServices {
        // A process that gets no time at its start misses an answer that came.
        let give_up = seam.now() + CONNECTED_WITHIN;
        let consul = loop {
            match Consul::connect(self.settings(), seam.clone()).await {
                Ok(consul) => break consul,
                Err(error) => assert!(seam.now() < give_up, "{error}"),
            }
            seam.sleep(PAUSE).await;
        };
        let storage = StateStorage::open(&self.storage, seam.clone()).unwrap();
        let session = SessionOptions { silence: self.silence, label: self.label.clone() };
        let options = ServicesOptions { root: self.root.clone(), session, ..ServicesOptions::default() };
        HaServices::new(Arc::new(consul), storage, &options, seam.clone()).unwrap()
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

/// Leads, and tells of each checkpoint that was acknowledged and each that was not, until its leadership is over.
async fn lead(leadership: &Leadership, label: &str, stage: &Stage) -> Result<(), Error> {
    let store = checkpoints(leadership).await?;
    leadership.publish(label).await?;
    stage.tell("leading", leadership.token().to_string());
    let first = store.get_latest_checkpoint_id().await? + 1;
    let mut over = 0;
    for id in first.. {
        match store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await {
            Ok(_) => stage.tell("acknowledged", id),
            Err(error) => {
                stage.tell("refused", json!({ "id": id, "kind": format!("{:?}", error.kind()) }));
                // Once more after its end: that is what must not land.
                over += usize::from(!leadership.is_valid());
                if over > 1 || matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) {
                    return Err(error);
                }
            }
        }
        stage.seam().sleep(PAUSE).await;
    }
    Ok(())
}

async fn play(member: Member, stage: Stage) {
    let services = member.services(stage.seam()).await;
    stage.tell("there", ());
    loop {
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
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

pub(crate) fn spawn(seam: &Seam, member: &Member) -> Process {
    Process::spawn(seam.clone(), "member::member", member)
}

pub(crate) fn acknowledged(events: &[Event]) -> BTreeSet<u64> {
    events.iter().filter(|event| event.name == "acknowledged").map(|event| event.value.as_u64().unwrap()).collect()
}

/// How often it was elected so far.
pub(crate) fn terms(events: &[Event]) -> Vec<u64> {
    let terms = events.iter().filter(|event| event.name == "leading");
    let mut terms: Vec<u64> = terms.map(|event| event.value.as_str().unwrap().parse().unwrap()).collect();
    terms.dedup();
    terms
}

/// Waits until it has written that many more since it was elected last.
pub(crate) async fn writes(process: &Process, more: usize) {
    let before = acknowledged(&process.events()).len();
    let what = "checkpoints are acknowledged";
    process.until(what, |events| (acknowledged(events).len() >= before + more).then_some(())).await;
}
