//! The demo: a cluster, a job, and somebody who kills leaders.
//!
//! The members of the cluster are threads of this process over the embedded backend, and processes of their own over
//! one that processes share. Everything else is the same for both.

#[cfg(unix)]
pub mod agent;
mod processes;
mod threads;
mod world;

use std::path::Path;
use std::time::Duration;

use ha::blob::BlobKey;
use ha::seam::{Moment, Seam};
use ha::state::StateStorage;
use ha::{HighAvailabilityServices, JobId, JobStatus, PresenceOptions};
use tokio::sync::mpsc;

use crate::ExecutionPlan;
use crate::cluster::client::{Client, Target};
use crate::cluster::events::{Event, What};
use crate::cluster::protocol::Submission;
use crate::cluster::{Failure, Settings};
use crate::configured::Configured;
use crate::report::{Failover, Timeline};
pub use processes::Launch;
use processes::Processes;
use threads::Machine;
use world::World;

/// Events that wait to be told before the cluster has to wait.
const EVENTS: usize = 1024;
/// How long nothing may happen before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many failures in a row, without a checkpoint between them, are taken for one that no retry mends.
const FAILURES_MAX: u32 = 10;
/// About so many checkpoints are taken over the whole stream.
const CHECKPOINTS: u64 = 40;

/// What the demo is to do.
#[derive(Debug)]
pub struct Demo<'a> {
    /// What the job is, over the artefact.
    pub plan: ExecutionPlan,
    /// The job's file, which is handed in with it.
    pub artefact: &'a Path,
    /// What that is called by its content.
    pub key: BlobKey,
    /// How many records its source has.
    pub records: u64,
    /// How many times the leader is killed; at most one time less than there are records.
    pub kills: u32,
    /// A directory for all that the cluster stores.
    pub scratch: &'a Path,
    /// Where plans, checkpoints and artefacts are stored; in that directory if it is not given.
    pub storage: Option<String>,
    /// How long members may say nothing to the store.
    pub silence: Duration,
    /// Whether a crash is acted on at once, over a backend that hears silence alone.
    pub presence: PresenceOptions,
    /// What a configuration file says.
    pub configured: Configured,
    /// What members are started as: processes on that backend, or threads on one in memory.
    pub launch: Option<Launch>,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Checkpoints that were acknowledged.
    pub checkpoints: u64,
    /// One for each kill.
    pub failovers: Vec<Failover>,
    /// From the first leader's publication to the end of the job.
    pub took: Duration,
}

/// Why the demo could not be brought to its end.
#[derive(Debug)]
pub enum Stuck {
    /// A member could not be started.
    Failed(Failure),
    /// Nothing happened for two minutes while this was awaited.
    Silent(&'static str),
    /// The job fails again and again, for this reason at last.
    Failing(String),
    /// The job had ended, and another leader ran it again.
    RunAgain,
}

impl From<Failure> for Stuck {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Demo<'_> {
    /// Runs the demo to the end of the job.
    ///
    /// # Errors
    /// [`Stuck`]: the cluster could not be started, or does not go on.
    pub async fn run(self, timeline: &mut Timeline) -> Result<Outcome, Stuck> {
        let seam = Seam::system();
        let (listener, events) = mpsc::channel(EVENTS);
        let job = JobId::new(&self.plan.job).map_err(Failure::Ha)?;
        let own =
            || url::Url::from_directory_path(self.scratch.join("state")).map_or_else(|()| String::new(), String::from);
        let below = self.configured.cluster.as_ref().map_or_else(String::new, |cluster| format!("{cluster}/"));
        let settings = Settings {
            storage: self.storage.clone().unwrap_or_else(own),
            // Others may use the backend too.
            cluster_id: format!("{below}demo-{}", seam.uuid()),
            configured: self.configured.clone(),
            silence: self.silence,
            presence: self.presence,
        };
        // What is wrong with it is told by us, and not by members that do not start.
        let options = self.configured.storage_options();
        StateStorage::open_with(&settings.storage, &options, seam.clone()).map_err(Failure::Ha)?;
        let (checkpoint_events, workers) = ((self.records / CHECKPOINTS).max(1), self.plan.parallelism);
        let world: Box<dyn World> = match self.launch.clone() {
            None => Box::new(Machine::start(settings, self.scratch, checkpoint_events, workers, listener)?),
            Some(launch) => {
                Box::new(Processes::start(launch, settings, checkpoint_events, workers, listener, seam.clone())?)
            }
        };
        let mut director = Director {
            seam,
            world,
            events,
            started: 0,
            leader: None,
            standing_by: false,
            checkpointed: false,
            failures: 0,
            timeline,
        };
        director.hold(&self, 1);
        director.start_manager()?;
        director.start_manager()?;
        let outcome = director.direct(&job, &self).await?;
        if let Some(stays) = director.world.end().await {
            director.timeline.note(director.seam.now(), "demo", &stays);
        }
        Ok(outcome)
    }
}

/// Starts and kills job managers, and notes what happens.
struct Director<'a> {
    seam: Seam,
    world: Box<dyn World>,
    events: mpsc::Receiver<Event>,
    started: u32,
    /// Who leads, and since when its address is published.
    leader: Option<(String, Moment)>,
    /// Whether a standby has settled.
    standing_by: bool,
    /// Whether a checkpoint was taken since the leader recovered.
    checkpointed: bool,
    /// Failures since the last checkpoint.
    failures: u32,
    timeline: &'a mut Timeline,
}

impl Director<'_> {
    fn start_manager(&mut self) -> Result<(), Failure> {
        self.started += 1;
        self.world.start_manager(&format!("job-manager-{}", self.started))?;
        self.standing_by = false;
        Ok(())
    }

    async fn direct(&mut self, job: &JobId, demo: &Demo<'_>) -> Result<Outcome, Stuck> {
        let mut outcome = Outcome::default();
        while self.leader.is_none() {
            self.until("a leader", &mut outcome, |_| true).await?;
        }
        let began = self.leader.as_ref().map_or(self.seam.now(), |(_, at)| *at);
        self.submit(job, demo).await?;
        for kill in 1..=demo.kills {
            self.kill(kill, demo, &mut outcome).await?;
        }
        // A leader that is lost between storing the result and telling so leaves the telling to the next one.
        let over = |event: &Event| matches!(event.what, What::Ended(_) | What::EndedEarlier(_));
        let ended = self.until("the end of the job", &mut outcome, over).await?;
        outcome.took = ended.at.since(began);
        if let What::Ended(result) | What::EndedEarlier(result) = ended.what
            && result.status != JobStatus::Finished
        {
            return Err(Stuck::Failing(result.error.unwrap_or_else(|| result.status.to_string())));
        }
        self.kill_once_more(job, &mut outcome).await?;
        Ok(outcome)
    }

    /// The job has ended, and its result is stored: whoever leads next must leave it alone.
    async fn kill_once_more(&mut self, job: &JobId, outcome: &mut Outcome) -> Result<(), Stuck> {
        while !self.standing_by {
            self.until("a standby", outcome, |_| true).await?;
        }
        self.kill_leader("killed after the end of the job")?;
        while self.leader.is_none() {
            self.until("another leader", outcome, |_| true).await?;
        }
        let settled = |event: &Event| matches!(event.what, What::Settled { .. });
        let settled = self.until("what the last leader recovers", outcome, settled).await?;
        if !matches!(settled.what, What::Settled { jobs: 0 }) {
            return Err(Stuck::RunAgain);
        }
        self.timeline.note(settled.at, &settled.by, &format!("job {job} has a result and is not run again"));
        Ok(())
    }

    /// Holds the source where the next leader is to be killed.
    fn hold(&self, demo: &Demo<'_>, kill: u32) {
        let (kill, kills) = (u64::from(kill), u64::from(demo.kills));
        let position = if kill > kills { u64::MAX } else { part(demo.records, kill, kills + 1) };
        self.world.gate().set(position);
    }

    /// Kills the leader. The moment just before.
    fn kill_leader(&mut self, note: &str) -> Result<Moment, Stuck> {
        let Some((name, _)) = self.leader.take() else { return Err(Stuck::Silent("a leader to kill")) };
        self.timeline.note(self.seam.now(), &name, note);
        self.world.kill(&name).ok_or(Stuck::Silent("a leader to kill"))
    }

    async fn submit(&mut self, job: &JobId, demo: &Demo<'_>) -> Result<(), Stuck> {
        let (services, network) = self.world.client().await?;
        let client = Client {
            target: Target::Retrieved(services.cluster_rest_endpoint_leader_retriever().map_err(Failure::Ha)?.watch()),
            network,
            seam: self.seam.clone(),
            patience: PATIENCE,
        };
        let (id, plan) = (self.seam.uuid(), demo.plan.clone());
        let submission = Submission { id, job: job.clone(), plan, artefact: demo.key };
        client.submit(&submission, demo.artefact).await.map_err(|why| Stuck::Failing(why.to_string()))?;
        services.close().await.map_err(Failure::Ha)?;
        Ok(())
    }

    /// Waits until the stream stands at the place of this kill, a checkpoint was taken and a standby has
    /// settled; kills the leader, and measures until another one has recovered.
    async fn kill(&mut self, kill: u32, demo: &Demo<'_>, outcome: &mut Outcome) -> Result<(), Stuck> {
        while !(self.checkpointed && self.standing_by) {
            self.until("a checkpoint and a standby", outcome, |_| true).await?;
        }
        let gate = self.world.gate();
        self.meanwhile("the place of the next kill", outcome, async {
            let _ = gate.arrived(gate.position()).await;
        })
        .await?;
        let killed = self.kill_leader("killed in the middle of the stream")?;
        // Only now: a short stream must not come to its end before the kill.
        self.hold(demo, kill + 1);
        while self.leader.is_none() {
            self.until("another leader", outcome, |_| true).await?;
        }
        let led = self.leader.as_ref().map_or(killed, |(_, at)| *at);
        let recovered = |event: &Event| matches!(event.what, What::Recovered { .. });
        let recovered = self.until("recovery", outcome, recovered).await?;
        let What::Recovered { checkpoint, .. } = recovered.what else { return Err(Stuck::Silent("recovery")) };
        outcome.failovers.push(Failover {
            failover: led.since(killed),
            recovery: recovered.at.since(led),
            restored_checkpoint: checkpoint,
        });
        self.start_manager()?;
        Ok(())
    }

    /// Takes events in until the future is done.
    async fn meanwhile(
        &mut self,
        what: &'static str,
        outcome: &mut Outcome,
        done: impl Future<Output = ()>,
    ) -> Result<(), Stuck> {
        tokio::pin!(done);
        loop {
            let patience = self.seam.clone();
            tokio::select! {
                biased;
                () = &mut done => return Ok(()),
                event = self.events.recv() => match event {
                    Some(event) => self.take_in(&event, outcome)?,
                    None => return Err(Stuck::Silent(what)),
                },
                () = patience.sleep(PATIENCE) => return Err(Stuck::Silent(what)),
            }
        }
    }

    /// Takes events in until one fits.
    async fn until(
        &mut self,
        what: &'static str,
        outcome: &mut Outcome,
        fits: impl Fn(&Event) -> bool,
    ) -> Result<Event, Stuck> {
        loop {
            let next = self.seam.timeout(PATIENCE, self.events.recv()).await;
            let Some(Some(event)) = next else { return Err(Stuck::Silent(what)) };
            self.take_in(&event, outcome)?;
            if fits(&event) {
                return Ok(event);
            }
        }
    }

    fn take_in(&mut self, event: &Event, outcome: &mut Outcome) -> Result<(), Stuck> {
        // A killed manager's last words may still arrive.
        let alive = self.world.has(&event.by);
        match &event.what {
            What::Leading(_) if alive => self.leader = Some((event.by.clone(), event.at)),
            What::Lost(_) if self.leader.as_ref().is_some_and(|(name, _)| *name == event.by) => self.leader = None,
            What::StandingBy if alive => self.standing_by = true,
            What::Recovered { .. } => self.checkpointed = false,
            What::Checkpointed { .. } => {
                outcome.checkpoints += 1;
                self.checkpointed |= alive;
                self.failures = 0;
            }
            What::Died(how) => return Err(Stuck::Failing(format!("{} has ended by itself: {how}", event.by))),
            What::Failed(why) => {
                self.failures += 1;
                // Each failure is an event, so patience alone would never end.
                if self.failures >= FAILURES_MAX {
                    return Err(Stuck::Failing(why.clone()));
                }
            }
            _ => {}
        }
        if alive {
            self.timeline.take_in(event);
        }
        Ok(())
    }
}

/// `total * number / of`, without overflow.
fn part(total: u64, number: u64, of: u64) -> u64 {
    u64::try_from(u128::from(total) * u128::from(number) / u128::from(of.max(1))).unwrap_or(u64::MAX)
}
