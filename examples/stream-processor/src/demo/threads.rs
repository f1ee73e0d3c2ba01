//! Members with threads of their own, as processes would have them.

use std::path::PathBuf;
use std::sync::Arc;

use ha::embedded::{Embedded, Handle};
use ha::seam::Seam;
use ha::{HaServices, HighAvailabilityServices};
use tokio::runtime::Runtime;

use crate::Fence;
use crate::cluster::events::Listener;
use crate::cluster::network::{InProcess, Place};
use crate::cluster::{Failure, Member, Settings, job_manager, worker};
use crate::gate::Gate;

/// What all members live on.
#[derive(Debug)]
pub(super) struct Machine {
    /// The store that leaders are elected on.
    pub(super) store: Embedded,
    pub(super) settings: Settings,
    pub(super) network: InProcess,
    /// Where job managers put copies of artefacts.
    pub(super) scratch: PathBuf,
    pub(super) checkpoint_events: u64,
    pub(super) gate: Arc<Gate>,
    pub(super) listener: Listener,
}

impl Machine {
    /// Services of its own for one member, on a backend handle of its own.
    pub(super) fn services(&self, label: &str, seam: &Seam) -> Result<(HaServices, Arc<Handle>), ha::Error> {
        let backend = Arc::new(self.store.connect());
        Ok((self.settings.services(label, Arc::<Handle>::clone(&backend), seam)?, backend))
    }
}

/// A job manager. Dropping it ends its threads.
#[derive(Debug)]
pub(super) struct JobManager {
    name: String,
    runtime: Option<Runtime>,
    backend: Arc<Handle>,
}

impl JobManager {
    /// Starts a job manager, which contends from now on.
    pub(super) fn start(name: &str, machine: &Machine) -> Result<Self, Failure> {
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
            gate: Arc::clone(&machine.gate),
            listener: machine.listener.clone(),
            seam,
        };
        runtime.spawn(job_manager::contend(member));
        Ok(Self { name: name.to_owned(), runtime: Some(runtime), backend })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Ends it where it stands, as SIGKILL would: nothing is resigned, flushed or told. What of it
    /// has not reached the store never will.
    pub(super) fn kill(mut self) {
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
pub(super) struct Worker {
    runtime: Option<Runtime>,
}

impl Worker {
    /// Starts a worker of that number, which serves one leader after the other.
    pub(super) fn start(number: u32, machine: &Machine) -> Result<Self, Failure> {
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
