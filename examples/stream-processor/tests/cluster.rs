//! What job managers, workers and clients say to each other, and what is stored in which order, in one process.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ha::blob::BlobKey;
use ha::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha::embedded::Embedded;
use ha::job_result::JobResult;
use ha::plan::{ExecutionPlan as StoredPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha::seam::Seam;
use ha::{HaServices, HighAvailabilityServices, JobId, JobStatus};
use stream_processor::cluster::client::{Client, GaveUp, Target};
use stream_processor::cluster::events::{Event, What};
use stream_processor::cluster::network::{InProcess, Network, Place};
use stream_processor::cluster::post::Mailboxes;
use stream_processor::cluster::protocol::{Answer, ClusterStatus, Offer, Refusal, Request, Submission};
use stream_processor::cluster::tcp::{Server, Tcp};
use stream_processor::cluster::worker::Worker;
use stream_processor::cluster::{Member, Settings, job_manager};
use stream_processor::wire::{Frames, send};
use stream_processor::{Contents, ExecutionPlan, Fence, Recipe, SourceSpec};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// A store, and whatever runs on it until the end of the test.
struct World {
    store: Embedded,
    directory: tempfile::TempDir,
    network: InProcess,
    seam: Seam,
    tasks: JoinSet<()>,
    /// Services that others follow leaders by.
    kept: RefCell<Vec<HaServices>>,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        let (store, directory) = (Embedded::new(seam.clone()), tempfile::tempdir().unwrap());
        Self { store, directory, network: InProcess::default(), seam, tasks: JoinSet::new(), kept: RefCell::default() }
    }

    fn services(&self, label: &str) -> HaServices {
        let settings = Settings {
            storage: format!("file://{}/state", self.directory.path().display()),
            cluster_id: "test".to_owned(),
            silence: Duration::from_secs(10),
            presence: ha::PresenceOptions::default(),
            configured: stream_processor::configured::Configured::default(),
        };
        settings.services(label, Arc::new(self.store.connect()), &self.seam).unwrap()
    }

    fn member(&self, name: &str, mailboxes: Mailboxes) -> (Member, mpsc::Receiver<Event>) {
        let (listener, events) = mpsc::channel(1024);
        let scratch = self.directory.path().join(name);
        std::fs::create_dir_all(&scratch).unwrap();
        let member = Member {
            name: name.to_owned(),
            address: name.to_owned(),
            services: Arc::new(self.services(name)),
            mailboxes,
            scratch,
            checkpoint_events: 5_000,
            retained: 2,
            gate: Arc::default(),
            listener,
            seam: self.seam.clone(),
        };
        (member, events)
    }

    fn start(&mut self, name: &str) -> (AbortHandle, mpsc::Receiver<Event>) {
        let (member, events) = self.member(name, self.network.mailboxes.clone());
        (self.tasks.spawn(job_manager::contend(member)), events)
    }

    fn start_workers(&mut self, number: usize) {
        let services = self.services("worker");
        let worker = Worker {
            name: "worker".to_owned(),
            slots: number,
            watch: services.resource_manager_leader_retriever().unwrap().watch(),
            network: Arc::new(self.network.clone()),
            place: Place { threads: Handle::current(), fence: Arc::new(Fence::default()) },
            seam: self.seam.clone(),
        };
        self.tasks.spawn(async move {
            let _services = services;
            worker.run().await;
        });
    }

    fn client(&self) -> Client {
        Client {
            target: Target::Retrieved(self.watch()),
            network: Arc::new(self.network.clone()),
            seam: self.seam.clone(),
            patience: Duration::from_secs(120),
        }
    }

    fn watch(&self) -> ha::retrieval::LeaderWatch {
        let services = self.services("client");
        let watch = services.cluster_rest_endpoint_leader_retriever().unwrap().watch();
        self.kept.borrow_mut().push(services);
        watch
    }

    /// A job over generated events, and its artefact.
    fn submission(&self, job: &str, events: u64) -> (Submission, PathBuf) {
        let path = self.directory.path().join(format!("{job}.recipe"));
        let text = serde_json::to_vec(&Recipe { seed: 3, events }).unwrap();
        std::fs::write(&path, &text).unwrap();
        let artefact = BlobKey::of(&text);
        let source = SourceSpec::Artefact { name: artefact.to_string(), holds: Contents::Recipe };
        let output = self.directory.path().join("output").join(job);
        let plan = ExecutionPlan {
            source,
            output,
            ..common::plan(self.directory.path(), SourceSpec::Generator { seed: 3, events })
        };
        (Submission { id: self.seam.uuid(), job: JobId::new(job).unwrap(), plan, artefact }, path)
    }
}

async fn until(events: &mut mpsc::Receiver<Event>, claim: &str, fits: impl Fn(&What) -> bool) -> What {
    common::within_deadline(claim, async {
        loop {
            let event = events.recv().await.expect("the job manager lives");
            if fits(&event.what) {
                return event.what;
            }
        }
    })
    .await
}

fn refused(answer: Result<(), GaveUp>) -> Refusal {
    match answer {
        Err(GaveUp::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

/// Stores a plan as the intake does, past everything else that it does.
async fn store_plan(plans: &dyn ExecutionPlanStore, submission: &Submission) {
    plans.start(Arc::new(Deaf)).await.unwrap();
    let plan = serde_json::to_vec(submission).unwrap();
    plans.put_execution_plan(&StoredPlan::new(submission.job.clone(), plan.into())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_taken_once_whatever_answers_are_lost() {
    let mut world = World::new();
    let (_manager, mut events) = world.start("first");
    let client = world.client();
    let (submission, artefact) = world.submission("clicks", 20_000);
    client.submit(&submission, &artefact).await.unwrap();
    // No worker yet: it waits. The same again is a lost answer; another of the name is another job.
    client.submit(&submission, &artefact).await.unwrap();
    let (other, _) = world.submission("clicks", 20_000);
    assert_eq!(refused(client.submit(&other, &artefact).await), Refusal::Running);
    world.start_workers(3);
    let view = common::within_deadline("the end", client.ended(&submission.job)).await.unwrap();
    assert_eq!((view.state, view.events), (JobStatus::Finished, 20_000));
    until(&mut events, "the clean-up", |what| matches!(what, What::CleanedUp(_))).await;
    client.submit(&submission, &artefact).await.unwrap();
    assert_eq!(refused(client.submit(&other, &artefact).await), Refusal::Ended(JobStatus::Finished));
    let here = ExecutionPlan { source: SourceSpec::Generator { seed: 3, events: 20_000 }, ..submission.plan };
    assert!(common::judge(&here).is_exact());
    let unknown = client.ended(&JobId::new("unknown").unwrap()).await;
    assert!(matches!(unknown, Err(GaveUp::NoSuchJob(_))), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artefact_that_is_not_what_was_promised_is_refused_and_leaves_nothing() {
    let mut world = World::new();
    let (_manager, _events) = world.start("first");
    let client = world.client();
    let (submission, artefact) = world.submission("clicks", 10);
    std::fs::write(&artefact, "something else").unwrap();
    assert!(matches!(refused(client.submit(&submission, &artefact).await), Refusal::Invalid(_)));
    let status = client.status().await.unwrap();
    assert_eq!(status.jobs, []);
    let mut foreign = submission.clone();
    foreign.plan.source = SourceSpec::File { path: "/etc/passwd".into() };
    assert!(matches!(refused(client.submit(&foreign, &artefact).await), Refusal::Invalid(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_lost_before_its_clean_up_leaves_no_job_to_run() {
    // Fails if the plan alone decides what is run, or the result is marked before all else is gone.
    let mut world = World::new();
    let (submission, _) = world.submission("clicks", 10);
    {
        // The end of a leadership, up to the moment at which it is lost.
        let services = world.services("lost");
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        store_plan(&*leadership.execution_plan_store(), &submission).await;
        let result = JobResult::new(submission.job.clone(), JobStatus::Finished);
        leadership.job_result_store().create_dirty_result(&result).await.unwrap();
        services.close().await.unwrap();
    }
    world.start_workers(3);
    let (first, mut events) = world.start("first");
    let what = until(&mut events, "the news of it", |what| matches!(what, What::EndedEarlier(_))).await;
    assert!(matches!(what, What::EndedEarlier(result) if result.job == submission.job));
    until(&mut events, "the clean-up", |what| matches!(what, What::CleanedUp(_))).await;
    let settled = until(&mut events, "the rest", |what| matches!(what, What::Settled { .. })).await;
    assert!(matches!(settled, What::Settled { jobs: 0 }), "{settled:?}");
    let services = world.services("observer");
    assert!(services.job_result_store().unwrap().has_clean_job_result_entry(&submission.job).await.unwrap());
    assert_eq!(services.execution_plan_store().unwrap().job_ids().await.unwrap(), []);
    // Dropped, it resigns; the next one finds nothing to clean up, and still knows the job.
    first.abort();
    let (_second, mut events) = world.start("second");
    until(&mut events, "another leader", |what| matches!(what, What::Settled { jobs: 0 })).await;
    let status = world.client().status().await.unwrap();
    assert_eq!(status.jobs.iter().map(|view| view.state).collect::<Vec<_>>(), [JobStatus::Finished]);
}

/// Every file below the folder loses its content.
fn damage(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { damage(&path) } else { std::fs::write(path, "damaged").unwrap() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_has_ended_is_known_also_if_nobody_can_clean_up_after_it() {
    // Fails if a leader shows only the jobs that were cleaned up after: a client that waits is told that there is no
    // such job, although its result is stored.
    let mut world = World::new();
    let (submission, artefact) = world.submission("clicks", 10);
    {
        let services = world.services("lost");
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let factory = leadership.checkpoint_recovery_factory();
        let (claim, discarder) = (RecoveryClaimMode::Claim, Arc::new(DiscardStateOnly));
        let checkpoints =
            factory.create_recovered_completed_checkpoint_store(&submission.job, 2, claim, discarder).await.unwrap();
        let checkpoint = CompletedCheckpoint::new(1, CheckpointKind::Checkpoint, 0, vec![7; 100_000].into());
        checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
        damage(&world.directory.path().join("state"));
        let result = JobResult::new(submission.job.clone(), JobStatus::Finished)
            .with_accumulator("submission", submission.id.to_string().into());
        leadership.job_result_store().create_dirty_result(&result).await.unwrap();
        services.close().await.unwrap();
    }
    let (_first, mut events) = world.start("first");
    until(&mut events, "why it cannot be cleaned up after", |what| matches!(what, What::Failed(_))).await;
    let view = common::within_deadline("the end", world.client().ended(&submission.job)).await.unwrap();
    assert_eq!(view.state, JobStatus::Finished);
    // The same again is a lost answer, and not a second run.
    world.client().submit(&submission, &artefact).await.unwrap();
    let services = world.services("observer");
    assert!(services.job_result_store().unwrap().has_dirty_job_result_entry(&submission.job).await.unwrap());
    assert_eq!(services.execution_plan_store().unwrap().job_ids().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_no_restart_mends_ends_as_failed_and_others_go_on() {
    let mut world = World::new();
    let (_manager, mut events) = world.start("first");
    world.start_workers(3);
    let client = world.client();
    let (mut submission, artefact) = world.submission("broken", 10);
    // A file where the output's directory should be.
    submission.plan.output = artefact.clone();
    client.submit(&submission, &artefact).await.unwrap();
    let view = common::within_deadline("the end", client.ended(&submission.job)).await.unwrap();
    assert_eq!(view.state, JobStatus::Failed);
    assert!(view.error.is_some(), "{view:?}");
    until(&mut events, "the clean-up", |what| matches!(what, What::CleanedUp(_))).await;
    let (submission, artefact) = world.submission("fine", 1_000);
    client.submit(&submission, &artefact).await.unwrap();
    let view = common::within_deadline("the end", client.ended(&submission.job)).await.unwrap();
    assert_eq!(view.state, JobStatus::Finished, "{view:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_artefact_is_gone_ends_as_failed() {
    let mut world = World::new();
    let (submission, _) = world.submission("clicks", 10);
    let services = world.services("lost");
    let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    store_plan(&*leadership.execution_plan_store(), &submission).await;
    services.close().await.unwrap();
    let (_manager, mut events) = world.start("first");
    let view = common::within_deadline("the end", world.client().ended(&submission.job)).await.unwrap();
    assert_eq!(view.state, JobStatus::Failed, "{view:?}");
    until(&mut events, "the clean-up", |what| matches!(what, What::CleanedUp(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_stored_without_the_leader_knowing_is_run_when_it_is_handed_in_again() {
    // Fails if a leader takes a stored plan for one that it masters: what an unknown outcome leaves.
    let mut world = World::new();
    let (member, mut events) = world.member("first", world.network.mailboxes.clone());
    let services = Arc::clone(&member.services);
    world.tasks.spawn(job_manager::contend(member));
    until(&mut events, "the leader", |what| matches!(what, What::Settled { .. })).await;
    let (submission, artefact) = world.submission("clicks", 1_000);
    let content = ha::state::chunks_of(std::fs::read(&artefact).unwrap().into());
    services.blob_store().unwrap().put(&submission.job, content).await.unwrap();
    store_plan(&*services.execution_plan_store().unwrap(), &submission).await;
    world.start_workers(3);
    world.client().submit(&submission, &artefact).await.unwrap();
    let view = common::within_deadline("the end", world.client().ended(&submission.job)).await.unwrap();
    assert_eq!(view.state, JobStatus::Finished);
}

/// A job manager's door, and what is said at it.
async fn door(world: &mut World, mailboxes: Mailboxes) -> String {
    let (listener, address) = Server::listen("127.0.0.1:0").await.unwrap();
    let server = Server::new(listener, address.to_string(), mailboxes, world.watch(), world.seam.clone());
    world.tasks.spawn(server.run());
    address.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_one_that_does_not_lead_is_sent_to_the_leader() {
    let mut world = World::new();
    let network = Tcp::new(world.seam.clone());
    let standby = door(&mut world, Mailboxes::default()).await;
    assert_eq!(network.ask(&standby, Request::Status).await, Ok(Answer::NotLeader(None)));
    let mailboxes = Mailboxes::default();
    let leader = door(&mut world, mailboxes.clone()).await;
    let (mut member, mut events) = world.member("leader", mailboxes);
    member.address.clone_from(&leader);
    world.tasks.spawn(job_manager::contend(member));
    until(&mut events, "the leader", |what| matches!(what, What::Settled { .. })).await;
    let target = Target::Address(standby);
    let (network, seam) = (Arc::new(network), world.seam.clone());
    let client = Client { target, network, seam, patience: Duration::from_secs(120) };
    let status: ClusterStatus = client.status().await.unwrap();
    assert_eq!(status.leader, leader);
    // A worker that means another leadership is refused.
    let offer = Offer { worker: "late".to_owned(), session_id: world.seam.uuid(), token: status.token };
    let place = Place { threads: Handle::current(), fence: Arc::new(Fence::default()) };
    let answer = common::within_deadline("a refusal", client.network.serve(&leader, offer, &place)).await;
    assert!(answer.unwrap_err().to_string().contains("another leadership"));
    assert_eq!(client.status().await.unwrap().free_slots, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_survives_any_bytes() {
    let mut world = World::new();
    let address = door(&mut world, Mailboxes::default()).await;
    let mut dice = common::Dice::new(9);
    for length in 0..100 {
        let bytes = match length {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            1 => vec![0xff; 64],
            _ => dice.bytes(length * 7),
        };
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // It may be closed after the first of them.
        let _ = stream.write_all(&bytes).await;
    }
    // JSON of the wrong kind is answered with what is wrong.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    send(&mut stream, &serde_json::json!({"submit": {"id": 1}}), 1 << 20).await.unwrap();
    let answer = Frames::new(&mut stream, 1 << 20).next::<Answer>().await.unwrap();
    assert!(matches!(answer, Some(Answer::Refused(Refusal::Invalid(_)))), "{answer:?}");
    let network = Tcp::new(world.seam.clone());
    assert_eq!(network.ask(&address, Request::Status).await, Ok(Answer::NotLeader(None)));
}
