//! Members with threads of their own, as processes would have them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ha::embedded::{Embedded, Handle};
use ha::seam::{Moment, Seam};
use ha::{HaServices, HighAvailabilityServices};
use tokio::runtime::Runtime;

use super::world::World;
use crate::Fence;
use crate::cluster::events::Listener;
use crate::cluster::network::{InProcess, Network, Place};
use crate::cluster::{Failure, Member, Settings, job_manager, worker};
use crate::gate::Gate;

/// What all members live on.
#[derive(Debug)]
pub(super) struct Machine {
    /// The store that leaders are elected on.
    store: Embedded,
    settings: Settings,
    network: InProcess,
    /// Where job managers put copies of artefacts.
    scratch: PathBuf,
    checkpoint_events: u64,
    gate: Arc<Gate>,
    listener: Listener,
    seam: Seam,
    managers: BTreeMap<String, JobManager>,
    workers: Vec<Worker>,
}

impl Machine {
    /// Starts as many workers, each with a place for one task.
    pub(super) fn start(
        settings: Settings,
        scratch: &Path,
        checkpoint_events: u64,
        workers: u32,
        listener: Listener,
    ) -> Result<Self, Failure> {
        let seam = Seam::system();
        let mut machine = Self {
            store: Embedded::new(seam.clone()),
            settings,
            network: InProcess::default(),
            scratch: scratch.to_owned(),
            checkpoint_events,
            gate: Arc::default(),
            listener,
            seam,
            managers: BTreeMap::new(),
            workers: Vec::new(),
        };
        for number in 0..workers {
            let worker = Worker::start(number, &machine)?;
            machine.workers.push(worker);
        }
        Ok(machine)
    }

    /// Services of its own for one member, on a backend handle of its own.
    fn services(&self, label: &str, seam: &Seam) -> Result<(HaServices, Arc<Handle>), ha::Error> {
        let backend = Arc::new(self.store.connect());
        Ok((self.settings.services(label, Arc::<Handle>::clone(&backend), seam)?, backend))
    }
}

#[async_trait]
impl World for Machine {
    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    fn start_manager(&mut self, name: &str) -> Result<(), Failure> {
        let manager = JobManager::start(name, self)?;
        self.managers.insert(name.to_owned(), manager);
        Ok(())
    }

    fn has(&self, manager: &str) -> bool {
        self.managers.contains_key(manager)
    }

    fn kill(&mut self, manager: &str) -> Option<Moment> {
        let manager = self.managers.remove(manager)?;
        let at = self.seam.now();
        manager.kill();
        Some(at)
    }

    async fn client(&self) -> Result<(HaServices, Arc<dyn Network>), Failure> {
        let (services, _) = self.services("client", &self.seam)?;
        Ok((services, Arc::new(self.network.clone())))
    }

    async fn end(&mut self) -> Option<String> {
        self.managers.clear();
        self.workers.clear();
        // What they have stored goes with the store.
        None
    }
}

/// A job manager. Dropping it ends its threads.
#[derive(Debug)]
struct JobManager {
    runtime: Option<Runtime>,
    backend: Arc<Handle>,
}

impl JobManager {
    /// Starts a job manager, which contends from now on.
    fn start(name: &str, machine: &Machine) -> Result<Self, Failure> {
        let runtime = runtime(name, 2)?;
        let seam = Seam::system();
        let (services, backend) = machine.services(name, &seam)?;
        let scratch = machine.scratch.join(name);
        std::fs::create_dir_all(&scratch)?;
        let member = Member {
            name: name.to_owned(),
            address: name.to_owned(),
            services: Arc::new(services),
            mailboxes: machine.network.mailboxes.clone(),
            scratch,
            checkpoint_events: machine.checkpoint_events,
            retained: machine.settings.configured.retained(),
            gate: Arc::clone(&machine.gate),
            listener: machine.listener.clone(),
            seam,
        };
        runtime.spawn(job_manager::contend(member));
        Ok(Self { runtime: Some(runtime), backend })
    }

    /// Ends it where it stands, as SIGKILL would: nothing is resigned, flushed or told. What of it
    /// has not reached the store never will.
    fn kill(mut self) {
        self.backend.crash();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for JobManager {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A worker with a thread of its own for one task. Dropping it ends them.
#[derive(Debug)]
struct Worker {
    runtime: Option<Runtime>,
}

impl Worker {
    /// Starts a worker of that number, which serves one leader after the other.
    fn start(number: u32, machine: &Machine) -> Result<Self, Failure> {
        let name = format!("worker-{number}");
        let runtime = runtime(&name, 1)?;
        let seam = Seam::system();
        let (services, _) = machine.services(&name, &seam)?;
        let _entered = runtime.enter();
        let worker = worker::Worker {
            name,
            slots: 1,
            watch: services.resource_manager_leader_retriever()?.watch(),
            network: Arc::new(machine.network.clone()),
            place: Place { threads: runtime.handle().clone(), fence: Arc::new(Fence::default()) },
            seam,
        };
        runtime.spawn(async move {
            // Kept as long as the worker follows anybody.
            let _services = services;
            worker.run().await;
        });
        Ok(Self { runtime: Some(runtime) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Threads of a member's own.
fn runtime(name: &str, threads: usize) -> Result<Runtime, std::io::Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}
