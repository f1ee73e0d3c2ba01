//! The program behind `main`: what each command does, on whatever backends there are.

mod client;
mod demo;
mod directed;
mod input;
mod job_manager;
mod metrics;
mod scratch;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use ha::seam::Seam;
use ha::{HaServices, PresenceOptions};

use crate::EngineError;
use crate::cli::{Arguments, ClusterArguments, Command};
use crate::cluster::Settings;
use crate::cluster::backends::{Backends, Sharing, Wanted};
use crate::cluster::client::GaveUp;
use crate::demo::Stuck;
use scratch::Signals;

/// Why the program ends without an outcome.
#[derive(Debug)]
enum Failure {
    Arguments(String),
    Io(String, io::Error),
    Engine(EngineError),
    Ha(ha::Error),
    Stuck(Stuck),
    GaveUp(GaveUp),
    /// By a signal of that number.
    Interrupted(u8),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<ha::Error> for Failure {
    fn from(error: ha::Error) -> Self {
        Self::Ha(error)
    }
}

impl From<GaveUp> for Failure {
    fn from(gave_up: GaveUp) -> Self {
        Self::GaveUp(gave_up)
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Arguments(_) | Self::Ha(_) => 2,
            Self::Interrupted(signal) => 128 + signal,
            _ => 1,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Arguments(text) => text.clone(),
            Self::Io(what, error) => format!("{what}: {error}"),
            Self::Engine(error) => error.to_string(),
            Self::Ha(error) => error.to_string(),
            Self::Stuck(Stuck::Failed(error)) => error.to_string(),
            Self::Stuck(Stuck::Failing(why)) => format!("the job fails again and again: {why}"),
            Self::Stuck(Stuck::RunAgain) => "a job that had ended was run again".to_owned(),
            Self::Stuck(Stuck::Silent(what)) => {
                format!("nothing happened for too long while waiting for {what}")
            }
            Self::GaveUp(gave_up) => gave_up.to_string(),
            Self::Interrupted(signal) => format!("ended by signal {signal}"),
        }
    }
}

/// Does what the arguments ask for, on threads of its own.
///
/// Temporary files are gone when it returns, also after SIGTERM and SIGINT.
#[must_use]
pub fn main(arguments: &Arguments, backends: &Backends) -> ExitCode {
    let threads = if arguments.command.is_some() { 2 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let status = match runtime {
        Ok(runtime) => {
            let status = runtime.block_on(play(arguments, backends, &mut io::stdout()));
            // A read of standard input that was given up is not waited for.
            runtime.shutdown_background();
            status
        }
        Err(error) => tell(&Failure::Io("no threads".into(), error)),
    };
    ExitCode::from(status)
}

/// Does what the arguments ask for, writes what is asked for to `out` and all else to standard error, and gives the
/// exit status. Needs a runtime with several threads.
///
/// # Cancel safety
/// Dropping the future is a crash: nothing is resigned, and temporary files may stay.
pub async fn play(arguments: &Arguments, backends: &Backends, out: &mut Out<'_>) -> u8 {
    match run(arguments, backends, out).await {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(failure) => tell(&failure),
    }
}

/// Where the outcome is written.
pub type Out<'a> = dyn Write + Send + 'a;

fn tell(failure: &Failure) -> u8 {
    // Standard error may be closed; the exit status says the same.
    let _ = writeln!(io::stderr(), "stream-processor: {}", failure.text());
    failure.code()
}

/// Whether all went well.
async fn run(arguments: &Arguments, backends: &Backends, out: &mut Out<'_>) -> Result<bool, Failure> {
    let mut signals = Signals::new().map_err(|e| Failure::Io("cannot listen for signals".into(), e))?;
    match &arguments.command {
        // A cluster in one value: the stack of a small thread need not hold it.
        None => Box::pin(demo::run(&arguments.demo, backends, &mut signals, out)).await,
        Some(Command::JobManager(arguments)) => job_manager::run(arguments, backends, &mut signals, out).await,
        Some(Command::Worker(arguments)) => worker::run(arguments, backends, &mut signals, out).await,
        Some(Command::Submit(arguments)) => client::submit(arguments, backends, &mut signals, out).await,
        Some(Command::Status(arguments)) => client::status(&arguments.client, backends, &mut signals, out).await,
    }
}

/// Services on the cluster's backend for a process that stores nothing itself.
async fn observer(
    cluster: &ClusterArguments,
    backends: &Backends,
    label: &str,
    seam: &Seam,
) -> Result<HaServices, Failure> {
    if backends.sharing(&cluster.backend)? == Sharing::OneProcess {
        return Err(Failure::Arguments(format!(
            "what the backend {0:?} holds is seen by one process alone, so nothing in this process would ever find a \
             leader there. Run the demo (no command); or run everything in one process, `job-manager --backend {0}`, \
             and reach that with `submit` and `status` by --job-manager HOST:PORT; or choose a backend that several \
             processes share",
            cluster.backend
        )));
    }
    // Elections are not its business, so neither is the silence; and it keeps no state.
    let settings = Settings {
        storage: "memory://".to_owned(),
        cluster_id: cluster.cluster_id.clone(),
        silence: std::time::Duration::from_secs(10),
        presence: PresenceOptions::Off,
        configured: cluster.configured.clone(),
    };
    services(cluster, backends, &settings, label, seam).await
}

async fn services(
    cluster: &ClusterArguments,
    backends: &Backends,
    settings: &Settings,
    label: &str,
    seam: &Seam,
) -> Result<HaServices, Failure> {
    let evidence = settings.presence != PresenceOptions::Off;
    let (endpoint, label, seam) = (cluster.endpoint.clone(), label.to_owned(), seam.clone());
    let backend_settings = settings.configured.backend.clone();
    let wanted = Wanted { endpoint, settings: backend_settings, label: label.clone(), evidence, seam: seam.clone() };
    let backend = backends.open(&cluster.backend, wanted).await?;
    Ok(settings.services(&label, backend, &seam)?)
}
