//! A cluster in a place that the program can be pointed at, and the program.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ha::backend::{Backend, Commit, Expect, Key, Outcome, Prefix, SessionOptions};
use ha::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha::election::Leadership;
use ha::job_result::JobResult;
use ha::plan::{ExecutionPlan, ExecutionPlanListener};
use ha::seam::Seam;
use ha::state::{StateStorage, chunks_of};
use ha::wrap::Chroot;
use ha::{BackendSettings, HaServices, HighAvailabilityServices, JobId, JobStatus, ServicesOptions, Store};
use ha_testkit::Missing;
use ha_testkit::servers::consul::{Agent, Options};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything is waited for that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Runs a test; where there is no Consul, it is shown as skipped here, and fails where `CI` is set.
pub(crate) fn run(test: impl Future<Output = Result<(), Missing>>) {
    if let Err(Missing(what)) = ha_testkit::run::block_on(test) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        ha_testkit::run::tell(format_args!("SKIPPED: {what}"));
    }
}

/// Which backend a test runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    Directory,
    Consul,
}

pub(crate) struct World {
    pub(crate) seam: Seam,
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    store: Store,
    pub(crate) agent: Option<Agent>,
}

#[derive(Debug)]
struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

impl World {
    pub(crate) async fn new(on: On) -> Result<Self, Missing> {
        let seam = Seam::system();
        let folder = TempDir::new().unwrap();
        let (states, directory) = (folder.path().join("states"), folder.path().join("store"));
        std::fs::create_dir(&states).unwrap();
        std::fs::create_dir(&directory).unwrap();
        let (name, settings, begin, agent) = match on {
            On::Directory => {
                let directory = directory.to_str().unwrap();
                let settings = BackendSettings::new().with("directory", directory);
                ("filesystem", settings, format!("filesystem://{directory}"), None)
            }
            On::Consul => {
                let agent = Agent::start(seam.clone(), Options::developer()).await?;
                let settings = BackendSettings::new().with("address", agent.address());
                ("consul", settings, format!("consul://{}/flink", agent.address()), Some(agent))
            }
        };
        let store = Store::open_with(name, settings, &seam).unwrap();
        let url = format!("{begin}?cluster-id=prod&storageDir=file://{}", states.to_str().unwrap());
        Ok(Self { seam, folder, url, store, agent })
    }

    pub(crate) fn states(&self) -> PathBuf {
        self.folder.path().join("states")
    }

    fn options(&self, label: &str) -> ServicesOptions {
        let session = SessionOptions { label: label.to_owned(), ..SessionOptions::default() };
        ServicesOptions { cluster_id: "prod".into(), session, ..ServicesOptions::default() }
    }

    pub(crate) async fn services(&self, label: &str) -> HaServices {
        let backend = self.store.connect().await.unwrap();
        let storage = format!("file://{}", self.states().to_str().unwrap());
        let storage = StateStorage::open(&storage, self.seam.clone()).unwrap();
        HaServices::new(backend, storage, &self.options(label), self.seam.clone()).unwrap()
    }

    /// The cluster's part of the store.
    pub(crate) async fn inside(&self) -> Chroot {
        Chroot::new(self.store.connect().await.unwrap(), Prefix::new("flink/prod").unwrap())
    }

    /// Puts bytes where a record should be.
    pub(crate) async fn put_raw(&self, key: &str, value: &str) {
        let inside = self.inside().await;
        let key = Key::new(key).unwrap();
        let found = inside.read(&key).await.unwrap();
        let expect = found.map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
        let put = Commit::new(self.seam.write_id()).put(key, expect, value.to_owned().into());
        assert!(matches!(inside.commit(&put).await.unwrap(), Outcome::Applied { .. }));
    }

    pub(crate) fn hactl(&self, arguments: &[&str]) -> Ran {
        run_with(&[&["--url", &self.url], arguments].concat())
    }

    /// All state files of the cluster whose path has that text in it.
    pub(crate) fn state_files(&self, holding: &str) -> Vec<PathBuf> {
        fn walk(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(&self.states(), &mut found);
        found.retain(|path| path.to_str().unwrap().contains(holding));
        found.sort();
        found
    }
}

pub(crate) async fn leads(services: &HaServices) -> Leadership {
    services.dispatcher_leader_election().unwrap().campaign().await.unwrap()
}

pub(crate) fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

/// Stores a plan, checkpoints 1 to `checkpoints`, a counter and a blob of the job.
pub(crate) async fn store_job(leads: &Leadership, job: &JobId, checkpoints: u64) {
    let plans = leads.execution_plan_store();
    plans.start(Arc::new(Deaf)).await.unwrap();
    plans.put_execution_plan(&ExecutionPlan::new(job.clone(), "a plan".into())).await.unwrap();
    let factory = leads.checkpoint_recovery_factory();
    let counter = factory.create_checkpoint_id_counter(job);
    counter.start().await.unwrap();
    let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    let store = factory.create_recovered_completed_checkpoint_store(job, 100, mode, discarder).await.unwrap();
    for _ in 0..checkpoints {
        let id = counter.get_and_increment().await.unwrap();
        let state = format!("state {id} of {job}").into();
        let checkpoint = CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 1_700_000_000_000, state);
        store.add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
    }
    leads.blob_store().put(job, chunks_of(format!("a blob of {job}").into())).await.unwrap();
}

pub(crate) async fn finish_job(leads: &Leadership, job: &JobId) {
    let result = JobResult::new(job.clone(), JobStatus::Finished).with_network_run_time_ms(1234);
    leads.job_result_store().create_dirty_result(&result).await.unwrap();
}

/// What became of a run of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one line: {self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It ended so, and if it complained, then on one line that people can read.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for bad in ["panicked", "RUST_BACKTRACE", "caused by:", "Error {", "Some("] {
            assert!(!self.err.contains(bad) && !self.out.contains(bad), "{bad}: {self:?}");
        }
        self
    }

    /// It said one thing on standard error, and this is in it.
    #[track_caller]
    pub(crate) fn said(self, text: &str) -> Self {
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("hactl: ") && self.err.contains(text), "{text:?}: {self:?}");
        self
    }
}

/// The program, without what this process has in its environment, and without a terminal.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hactl"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("HA_") || name.starts_with("CONSUL_")) {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run_with(arguments: &[&str]) -> Ran {
    let output = program(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
