//! Job managers, workers and clients as real processes, on a store that they share: whoever is killed, the output is
//! written exactly once, and a job that has ended stays so.
#![cfg(unix)]

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use ha::backend::Backend;
use ha::embedded::Embedded;
use ha::seam::Seam;
use ha::{HighAvailabilityServices, JobId, JobStatus};
use ha_testkit::process::{Process, Stage, role};
use ha_testkit::remote::{Remote, Server};
use serde::{Deserialize, Serialize};
use stream_processor::cli::Arguments;
use stream_processor::cluster::Settings;
use stream_processor::cluster::backends::{Backends, Sharing, Wanted};
use stream_processor::cluster::client::{Client, Target};
use stream_processor::cluster::protocol::{Answer, ClusterStatus, JobView, Request};
use stream_processor::cluster::tcp::Tcp;
use stream_processor::program;
use stream_processor::wire::{Frames, send};
use tokio::net::TcpStream;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Serialize, Deserialize)]
struct Line {
    arguments: Vec<String>,
}

/// What the program writes, told line by line.
struct Told {
    stage: Stage,
    line: Vec<u8>,
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            match byte {
                b'\n' => self.stage.tell("said", String::from_utf8_lossy(&std::mem::take(&mut self.line))),
                byte => self.line.push(*byte),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn backends() -> Backends {
    let mut backends = Backends::compiled_in();
    backends.add("served", Sharing::Processes, |wanted: Wanted| async move {
        let address = wanted.endpoint.parse().expect("the test gives an address");
        Ok(Arc::new(Remote::connect(address, &wanted.label, wanted.seam).await?) as Arc<dyn Backend>)
    });
    backends
}

/// The program, in a process of its own and with one more backend.
#[test]
fn the_program() {
    role("the_program", async |line: Line, stage: Stage| {
        let words = ["stream-processor".to_owned()].into_iter().chain(line.arguments);
        let arguments = Arguments::parse_from(words);
        let mut out = Told { stage: stage.clone(), line: Vec::new() };
        let status = program::play(&arguments, &backends(), &mut out).await;
        stage.tell("ended", status);
    });
}

/// A store, a place for state, and the processes of a cluster.
struct Cluster {
    server: Server,
    directory: tempfile::TempDir,
    seam: Seam,
}

impl Cluster {
    fn new() -> Self {
        let seam = Seam::system();
        let server = Server::start(Embedded::new(seam.clone()), seam.clone()).expect("a free port");
        Self { server, directory: tempfile::tempdir().expect("a place for files"), seam }
    }

    fn run(&self, command: &str, more: &[&str]) -> Process {
        let endpoint = self.server.address().to_string();
        let mut arguments = vec![command, "--backend", "served", "--endpoint", &endpoint];
        arguments.extend(more);
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Process::spawn(self.seam.clone(), "the_program", &Line { arguments })
    }

    /// A job manager that can be reached, and where.
    async fn job_manager(&self) -> (Process, String) {
        let storage = format!("file://{}/state", self.directory.path().display());
        let more = ["--storage", &storage, "--silence-ms", "3000", "--checkpoint-events", "10000"];
        let process = self.run("job-manager", &more);
        let said = process.told("said").await.value;
        let address = said.as_str().and_then(|line| line.rsplit(' ').next()).expect("it says its address").to_owned();
        (process, address)
    }

    fn worker(&self, name: &str) -> Process {
        self.run("worker", &["--name", name, "--slots", "1"])
    }

    fn output(&self) -> String {
        self.directory.path().join("output").display().to_string()
    }

    fn submit(&self, events: &str, more: &[&str]) -> Process {
        let output = self.output();
        let mut arguments = vec!["--job", "clicks", "--output", &output, "--events", events, "--timeout", "200"];
        arguments.extend(more);
        self.run("submit", &arguments)
    }

    async fn services(&self) -> ha::HaServices {
        let remote = Remote::connect(self.server.address(), "test", self.seam.clone()).await.expect("it is served");
        let settings = Settings {
            storage: "memory://".to_owned(),
            cluster_id: "stream-processor".to_owned(),
            silence: Duration::from_secs(10),
            presence: ha::PresenceOptions::default(),
            configured: stream_processor::configured::Configured::default(),
        };
        settings.services("test", Arc::new(remote), &self.seam).expect("settings that fit")
    }

    /// Waits until the cluster is as wanted.
    async fn until(&self, client: &Client, what: &str, fits: impl Fn(&ClusterStatus) -> bool) -> ClusterStatus {
        let give_up = self.seam.now() + PATIENCE;
        let mut last = None;
        while self.seam.now() < give_up {
            match client.status().await {
                Ok(status) if fits(&status) => return status,
                Ok(status) => last = Some(status),
                Err(error) => eprintln!("{error}"),
            }
            self.seam.sleep(Duration::from_millis(20)).await;
        }
        panic!("waited in vain for {what}: {last:#?}");
    }

    /// Waits until one of them has written that to standard error.
    async fn until_told(&self, processes: &[&Process], words: &str) {
        let give_up = self.seam.now() + PATIENCE;
        let told = || processes.iter().map(|process| process.errors()).collect::<String>();
        while !told().contains(words) {
            assert!(self.seam.now() < give_up, "waited in vain for {words:?}: {}", told());
            self.seam.sleep(Duration::from_millis(20)).await;
        }
    }
}

fn clicks(status: &ClusterStatus) -> Option<&JobView> {
    status.jobs.iter().find(|view| view.job.as_str() == "clicks")
}

fn checkpoint(status: &ClusterStatus) -> u64 {
    clicks(status).and_then(|view| view.checkpoint).unwrap_or(0)
}

/// Kills the job manager that leads, and leaves the others.
fn kill_leader(managers: &mut Vec<(Process, String)>, status: &ClusterStatus) {
    let at = managers.iter().position(|(_, address)| *address == status.leader).expect("the leader is one of ours");
    managers.remove(at).0.kill();
}

async fn ended(process: &mut Process) -> (u64, Vec<String>) {
    process.exited().await;
    let status = process.told("ended").await.value.as_u64().expect("a status");
    let said = process.events().into_iter().filter(|event| event.name == "said");
    (status, said.filter_map(|event| event.value.as_str().map(str::to_owned)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_survives_its_leader_and_a_worker_exactly_once_and_is_never_run_again() {
    let cluster = Cluster::new();
    let mut managers = vec![cluster.job_manager().await, cluster.job_manager().await];
    let mut workers = vec![cluster.worker("one"), cluster.worker("two")];
    let services = cluster.services().await;
    let client = Client {
        target: Target::Retrieved(services.cluster_rest_endpoint_leader_retriever().unwrap().watch()),
        network: Arc::new(Tcp::new(cluster.seam.clone())),
        seam: cluster.seam.clone(),
        patience: Duration::from_secs(120),
    };
    // Far more than can flow between two looks at the status.
    let mut submit = cluster.submit("1200000", &["--wait", "--verify", "--json"]);
    let before = cluster.until(&client, "the second checkpoint", |status| checkpoint(status) >= 2).await;

    // Running: another one of this name is refused, at whatever job manager.
    let standby = managers.iter().find(|(_, address)| *address != before.leader).expect("two").1.clone();
    let (status, _) = ended(&mut cluster.submit("10", &["--job-manager", &standby])).await;
    assert_eq!(status, 1, "a job of this name runs");

    kill_leader(&mut managers, &before);
    managers.push(cluster.job_manager().await);
    let after = cluster
        .until(&client, "a checkpoint of another leader", |status| {
            status.leader != before.leader && checkpoint(status) > checkpoint(&before)
        })
        .await;
    assert!(after.token > before.token);

    workers.remove(0).kill();
    workers.push(cluster.worker("three"));
    cluster
        .until(&client, "a checkpoint without the worker", |status| {
            clicks(status).is_some_and(|view| view.restarts > 0) && checkpoint(status) > checkpoint(&after)
        })
        .await;

    let finished = |status: &ClusterStatus| clicks(status).is_some_and(|view| view.state == JobStatus::Finished);
    let last = cluster.until(&client, "the end", finished).await;
    let (status, said) = ended(&mut submit).await;
    assert_eq!((status, said.len()), (0, 1), "one result: {said:?}");
    let result: serde_json::Value = serde_json::from_str(&said[0]).unwrap();
    assert_eq!((&result["verified"], &result["result"]["state"]), (&true.into(), &"FINISHED".into()), "{result}");

    // Another leader, which knows the job from the store alone.
    kill_leader(&mut managers, &last);
    let again = cluster.until(&client, "the third leader", |status| status.token > last.token).await;
    assert!(finished(&again), "{again:#?}");
    assert_eq!(checkpoint(&again), checkpoint(&last), "it was run again: {again:#?}");
    let job = JobId::new("clicks").unwrap();
    let results = services.job_result_store().unwrap();
    assert!(results.has_clean_job_result_entry(&job).await.unwrap());
    // It answers before it has told so.
    let leaders: Vec<&Process> = managers.iter().map(|(process, _)| process).collect();
    cluster.until_told(&leaders, "recovered what is stored: 0 jobs to run").await;
    let mut duplicate = cluster.submit("10", &[]);
    assert_eq!(ended(&mut duplicate).await, (1, vec![]));
    cluster.until_told(&[&duplicate], "has ended (FINISHED)").await;
    services.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_manager_that_is_asked_to_end_hands_over_at_once_and_succeeds() {
    let cluster = Cluster::new();
    let (mut first, address) = cluster.job_manager().await;
    let mut status = cluster.run("status", &["--json"]);
    let (code, said) = ended(&mut status).await;
    assert_eq!(code, 0);
    assert!(said[0].contains(&address), "{said:?}");
    first.terminate();
    assert_eq!(ended(&mut first).await.0, 0);
    let (_second, address) = cluster.job_manager().await;
    let (code, said) = ended(&mut cluster.run("status", &[])).await;
    assert_eq!(code, 0);
    assert!(said[0].contains(&address), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_manager_that_was_paused_does_not_answer_for_its_successor() {
    // Fails if what was asked meanwhile is answered from what it knew before: that there is no such job.
    let cluster = Cluster::new();
    let (mut first, address) = cluster.job_manager().await;
    let seam = cluster.seam.clone();
    let client = |address: &str| Client {
        target: Target::Address(address.to_owned()),
        network: Arc::new(Tcp::new(seam.clone())),
        seam: seam.clone(),
        patience: Duration::from_secs(120),
    };
    cluster.until(&client(&address), "the first leader", |status| status.leader == address).await;
    first.stop().await;
    let (_second, next) = cluster.job_manager().await;
    cluster.until(&client(&next), "its successor", |status| status.leader == next).await;
    assert_eq!(ended(&mut cluster.submit("10", &["--job-manager", &next])).await.0, 0);
    let mut asking = TcpStream::connect(&address).await.unwrap();
    send(&mut asking, &Request::Job(JobId::new("clicks").unwrap()), 1 << 20).await.unwrap();
    first.cont();
    let mut frames = Frames::new(&mut asking, 1 << 20);
    let answer = cluster.seam.timeout(PATIENCE, frames.next::<Answer>()).await.expect("an answer in time");
    assert!(matches!(answer, Ok(Some(Answer::NotLeader(_)))), "{answer:?}");
}
