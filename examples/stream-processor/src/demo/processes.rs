//! Members in processes of their own, which reach each other over TCP and share a backend.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ha::HaServices;
use ha::seam::{Moment, Seam, Task};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::world::World;
use crate::cli::Presence;
use crate::cluster::backends::{Backends, Wanted};
use crate::cluster::events::{Event, Line, Listener, What};
use crate::cluster::network::Network;
use crate::cluster::tcp::Tcp;
use crate::cluster::{Failure, Settings};
use crate::gate::Gate;

/// How long all processes together may take to end when they are asked to.
const END_MAX: Duration = Duration::from_secs(15);

/// Which processes are started, and on what.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program: this one.
    pub program: PathBuf,
    /// Opens the backend for the demo itself.
    pub backends: Backends,
    /// The backend, by name.
    pub backend: String,
    /// Where it is reached.
    pub endpoint: String,
    /// The configuration file, which the members read too.
    pub config: Option<PathBuf>,
    /// Whether a crash is acted on at once.
    pub presence: Presence,
    /// Where each job manager serves metrics, if it does: at a port that is free.
    pub metrics: Option<String>,
    /// A folder for their temporary files, which those that are killed leave there.
    pub files: PathBuf,
}

/// Job managers and workers, each a process. Dropping it kills them.
#[derive(Debug)]
pub(super) struct Processes {
    launch: Launch,
    settings: Settings,
    checkpoint_events: u64,
    gate: Arc<Gate>,
    listener: Listener,
    seam: Seam,
    managers: BTreeMap<String, Process>,
    workers: Vec<Process>,
}

/// A child of ours.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Its end is meant.
    ending: Arc<AtomicBool>,
    /// Tells it how far sources may read. Its standard input ends with this task.
    directions: Task,
    _listening: Task,
}

impl Processes {
    /// Starts as many workers, each with a place for one task.
    pub(super) fn start(
        launch: Launch,
        settings: Settings,
        checkpoint_events: u64,
        workers: u32,
        listener: Listener,
        seam: Seam,
    ) -> Result<Self, Failure> {
        let (gate, managers) = (Arc::default(), BTreeMap::new());
        let mut own = Self { launch, settings, checkpoint_events, gate, listener, seam, managers, workers: Vec::new() };
        for number in 0..workers {
            let name = format!("worker-{number}");
            let words = ["--name", &name, "--slots", "1"].map(str::to_owned);
            let worker = own.spawn(&name, "worker", words)?;
            own.workers.push(worker);
        }
        Ok(own)
    }

    fn spawn(&self, name: &str, command: &str, more: impl IntoIterator<Item = String>) -> Result<Process, Failure> {
        let Launch { program, backend, endpoint, .. } = &self.launch;
        let cluster = ["--backend", backend, "--endpoint", endpoint, "--cluster-id", &self.settings.cluster_id];
        let mut child = Command::new(program);
        child.arg(command).args(cluster).arg("--directed").args(more);
        child.args(self.launch.config.iter().flat_map(|file| [OsStr::new("--config"), file.as_os_str()]));
        child.env("TMPDIR", &self.launch.files);
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // A group of its own: what ends the demo from a terminal does not end its members before it.
        #[cfg(unix)]
        child.process_group(0);
        let mut child = child.spawn()?;
        let missing = || Failure::Io(std::io::Error::other("a child without a pipe"));
        let (input, output) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let ending = Arc::<AtomicBool>::default();
        let directions = self.seam.spawn(direct(input, Arc::clone(&self.gate)));
        let (listener, gate) = (self.listener.clone(), Arc::clone(&self.gate));
        let heard = hear(name.to_owned(), output, gate, listener, Arc::clone(&ending), self.seam.clone());
        Ok(Process { child, ending, directions, _listening: self.seam.spawn(heard) })
    }

    /// Asks all to end, which resign before that, and waits until they have.
    async fn end_members(&mut self) {
        let mut members: Vec<Process> = std::mem::take(&mut self.managers).into_values().collect();
        members.append(&mut self.workers);
        let mut children = Vec::new();
        for Process { child, ending, directions, _listening } in members {
            ending.store(true, Ordering::Release);
            drop(directions);
            children.push((child, _listening));
        }
        let ended = async {
            for (child, _) in &mut children {
                // It is gone in any case when it is dropped.
                let _ = child.wait().await;
            }
        };
        if self.seam.timeout(END_MAX, ended).await.is_none() {
            tracing::warn!("a member did not end in time, and is killed");
        }
    }
}

#[async_trait]
impl World for Processes {
    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    fn start_manager(&mut self, name: &str) -> Result<(), Failure> {
        let words = [
            ("--storage", self.settings.storage.clone()),
            ("--checkpoint-events", self.checkpoint_events.to_string()),
            ("--silence-ms", self.settings.silence.as_millis().to_string()),
            ("--presence", self.launch.presence.text().to_owned()),
        ];
        let metrics = self.launch.metrics.clone().map(|at| ("--metrics", at));
        let words = words.into_iter().chain(metrics).flat_map(|(word, value)| [word.to_owned(), value]);
        let process = self.spawn(name, "job-manager", words)?;
        self.managers.insert(name.to_owned(), process);
        Ok(())
    }

    fn has(&self, manager: &str) -> bool {
        self.managers.contains_key(manager)
    }

    fn kill(&mut self, manager: &str) -> Option<Moment> {
        let mut process = self.managers.remove(manager)?;
        process.ending.store(true, Ordering::Release);
        let at = self.seam.now();
        // SIGKILL. A child that has ended already was told by its listener, or will be by the next wait.
        let _ = process.child.start_kill();
        let (seam, patience) = (self.seam.clone(), END_MAX);
        // What it told before is still heard; then it is reaped.
        let reaping = async move {
            let _ = seam.timeout(patience, process.child.wait()).await;
        };
        self.seam.spawn(reaping).detach();
        Some(at)
    }

    async fn client(&self) -> Result<(HaServices, Arc<dyn Network>), Failure> {
        let label = "demo".to_owned();
        // It contends for nothing.
        let evidence = false;
        let settings = self.settings.configured.backend.clone();
        let (endpoint, seam) = (self.launch.endpoint.clone(), self.seam.clone());
        let wanted = Wanted { endpoint, settings, label, evidence, seam };
        let backend = self.launch.backends.open(&self.launch.backend, wanted).await?;
        let services = self.settings.services("demo", backend, &self.seam)?;
        Ok((services, Arc::new(Tcp::new(self.seam.clone()))))
    }

    async fn end(&mut self) -> Option<String> {
        self.end_members().await;
        let Settings { cluster_id, configured, .. } = &self.settings;
        let root = configured.options.root.trim_matches('/');
        Some(format!("the job's result and the epochs of leaders stay on the backend, below {root}/{cluster_id}"))
    }
}

/// Tells a process how far sources may read, each time that changes.
async fn direct(mut input: ChildStdin, gate: Arc<Gate>) {
    let mut position = gate.position();
    loop {
        let line = format!("{position}\n");
        if input.write_all(line.as_bytes()).await.is_err() || input.flush().await.is_err() {
            // The process has ended.
            return;
        }
        position = gate.moved(position).await;
    }
}

/// Hears what a process tells, until it ends.
async fn hear(
    name: String,
    output: ChildStdout,
    gate: Arc<Gate>,
    listener: Listener,
    ending: Arc<AtomicBool>,
    seam: Seam,
) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Line::Happened { at_ns, what }) => {
                let event = Event { by: name.clone(), at: Line::moment(at_ns), what };
                // Nobody listens any more: the demo ends.
                let _ = listener.send(event).await;
            }
            Ok(Line::Held(position)) => gate.note(position),
            // Something for people.
            Err(_) => {}
        }
    }
    if !ending.load(Ordering::Acquire) {
        let what = What::Died("what it wrote to standard error says why".to_owned());
        let _ = listener.send(Event { by: name, at: seam.now(), what }).await;
    }
}
