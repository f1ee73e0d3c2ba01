//! A job manager dies at each single write that one job costs, once before it and once after it: the next one brings
//! the job to its end, exactly once, and leaves nothing of it but its result.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ha::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use ha::blob::BlobKey;
use ha::embedded::Embedded;
use ha::seam::Seam;
use ha::{Error, HaServices, HighAvailabilityServices, JobId, JobStatus};
use stream_processor::cluster::client::{Client, Target};
use stream_processor::cluster::events::{Event, What};
use stream_processor::cluster::network::{InProcess, Place};
use stream_processor::cluster::protocol::Submission;
use stream_processor::cluster::worker::Worker;
use stream_processor::cluster::{Member, Settings, job_manager};
use stream_processor::{Contents, ExecutionPlan, Fence, Recipe, SourceSpec};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

const EVENTS: u64 = 3_000;
/// More writes than one job costs.
const WRITES_MAX: usize = 100;

/// Whether the last write arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Lost,
    Applied,
}

/// A store whose user is dead from its so-many-eth write on: nothing comes back.
#[derive(Debug)]
struct Deadly {
    inner: Arc<dyn Backend>,
    writes: AtomicUsize,
    at: usize,
    last: Last,
    reached: Arc<Notify>,
}

#[async_trait]
impl Backend for Deadly {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }
    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.read(key).await
    }
    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.inner.list(below).await
    }
    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.inner.changed(scope, seen).await
    }
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        if number < self.at {
            return self.inner.commit(commit).await;
        }
        if number == self.at && self.last == Last::Applied {
            let _nobody_hears = self.inner.commit(commit).await;
        }
        self.reached.notify_one();
        std::future::pending().await
    }
    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.inner.open_session(options).await
    }
    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

struct World {
    store: Embedded,
    directory: tempfile::TempDir,
    network: InProcess,
    seam: Seam,
    tasks: JoinSet<()>,
}

impl World {
    fn services(&self, label: &str, backend: Arc<dyn Backend>) -> HaServices {
        let settings = Settings {
            storage: format!("file://{}/state", self.directory.path().display()),
            cluster_id: "test".to_owned(),
            silence: Duration::from_secs(60),
            presence: ha::PresenceOptions::default(),
            configured: stream_processor::configured::Configured::default(),
        };
        settings.services(label, backend, &self.seam).unwrap()
    }

    fn member(&self, name: &str, backend: Arc<dyn Backend>) -> (Member, mpsc::Receiver<Event>) {
        let (listener, events) = mpsc::channel(1024);
        let scratch = self.directory.path().join(name);
        std::fs::create_dir_all(&scratch).unwrap();
        let member = Member {
            name: name.to_owned(),
            address: name.to_owned(),
            services: Arc::new(self.services(name, backend)),
            mailboxes: self.network.mailboxes.clone(),
            scratch,
            checkpoint_events: 1_000,
            retained: 2,
            gate: Arc::default(),
            listener,
            seam: self.seam.clone(),
        };
        (member, events)
    }

    fn start_worker(&mut self, services: &HaServices) {
        let worker = Worker {
            name: "worker".to_owned(),
            slots: 3,
            watch: services.resource_manager_leader_retriever().unwrap().watch(),
            network: Arc::new(self.network.clone()),
            place: Place { threads: Handle::current(), fence: Arc::new(Fence::default()) },
            seam: self.seam.clone(),
        };
        self.tasks.spawn(worker.run());
    }
}

fn submission(directory: &Path, seam: &Seam) -> Submission {
    let text = serde_json::to_vec(&Recipe { seed: 3, events: EVENTS }).unwrap();
    std::fs::write(directory.join("recipe"), &text).unwrap();
    let artefact = BlobKey::of(&text);
    let source = SourceSpec::Artefact { name: artefact.to_string(), holds: Contents::Recipe };
    let plan = common::plan(directory, source);
    Submission { id: seam.uuid(), job: JobId::new("clicks").unwrap(), plan, artefact }
}

/// Whether the first job manager died before all was done.
async fn dies(at: usize, last: Last) -> bool {
    let seam = Seam::system();
    let (store, directory) = (Embedded::new(seam.clone()), tempfile::tempdir().unwrap());
    let mut world = World { store, directory, network: InProcess::default(), seam, tasks: JoinSet::new() };
    let observer = world.services("observer", Arc::new(world.store.connect()));
    world.start_worker(&observer);
    let (submission, recipe) = (submission(world.directory.path(), &world.seam), world.directory.path().join("recipe"));
    let client = Client {
        target: Target::Retrieved(observer.cluster_rest_endpoint_leader_retriever().unwrap().watch()),
        network: Arc::new(world.network.clone()),
        seam: world.seam.clone(),
        patience: Duration::from_secs(120),
    };

    let reached = Arc::new(Notify::new());
    let (inner, writes) = (Arc::new(world.store.connect()), AtomicUsize::new(0));
    let deadly = Deadly { inner, writes, at, last, reached: Arc::clone(&reached) };
    let (member, mut events) = world.member("first", Arc::new(deadly));
    let first = world.tasks.spawn(job_manager::contend(member));
    let (asking, handed_in) = (client.clone(), submission.clone());
    let end = async move {
        asking.submit(&handed_in, &recipe).await.unwrap();
        asking.ended(&handed_in.job).await.unwrap()
    };
    let next = async {
        let died = tokio::select! {
            biased;
            () = reached.notified() => true,
            () = cleaned_up(&mut events) => false,
        };
        let events = died.then(|| {
            first.abort();
            let (member, events) = world.member("second", Arc::new(world.store.connect()));
            world.tasks.spawn(job_manager::contend(member));
            events
        });
        (died, events)
    };
    let what = format!("a death at write {at}, {last:?}");
    let (view, (died, _events)) = common::within_deadline(&what, async { tokio::join!(end, next) }).await;
    assert_eq!((view.state, view.events), (JobStatus::Finished, EVENTS), "{what}");
    let (results, plans) = (observer.job_result_store().unwrap(), observer.execution_plan_store().unwrap());
    common::within_deadline(&what, async {
        while !results.has_clean_job_result_entry(&submission.job).await.unwrap() {
            world.seam.sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(plans.job_ids().await.unwrap(), [], "{what}");
    // The same again is a lost answer.
    client.submit(&submission, &world.directory.path().join("recipe")).await.unwrap();
    assert_eq!(plans.job_ids().await.unwrap(), [], "{what}");
    let here = ExecutionPlan { source: SourceSpec::Generator { seed: 3, events: EVENTS }, ..submission.plan };
    let verdict = common::judge(&here);
    assert!(verdict.is_exact(), "{what}: {verdict}");
    died
}

async fn cleaned_up(events: &mut mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        if matches!(event.what, What::CleanedUp(_)) {
            return;
        }
    }
    std::future::pending().await
}

async fn all_deaths(last: Last) {
    for at in 1..=WRITES_MAX {
        if !dies(at, last).await {
            println!("{} writes, and none at which it must not die", at - 1);
            // The addresses, the plan, the result, and what lies between.
            assert!(at > 8, "only {} writes", at - 1);
            return;
        }
    }
    panic!("a job costs more than {WRITES_MAX} writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_may_die_right_before_any_write() {
    all_deaths(Last::Lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_may_die_right_after_any_write() {
    all_deaths(Last::Applied).await;
}
