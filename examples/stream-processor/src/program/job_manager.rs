use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ha::seam::{Moment, Seam};
use ha::{HaServices, HighAvailabilityServices};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::directed;
use super::metrics::Endpoint;
use super::scratch::{Scratch, Signals};
use super::worker::worker;
use super::{Failure, Out, services};
use crate::cli::JobManagerArguments;
use crate::cluster::backends::{Backends, Sharing};
use crate::cluster::events::Event;
use crate::cluster::post::Mailboxes;
use crate::cluster::tcp::Server;
use crate::cluster::{Member, Settings, job_manager};
use crate::gate::Gate;

/// Events that wait to be told before the job manager has to wait.
const EVENTS: usize = 1024;
/// Tasks that a process runs in which everything else runs too.
const SLOTS_OF_ONE_PROCESS: u16 = 2;

/// Contends, leads and serves until a signal comes.
pub(super) async fn run(
    arguments: &JobManagerArguments,
    backends: &Backends,
    signals: &mut Signals,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    let scratch = Scratch::new()?;
    let ended = serve(arguments, backends, signals, &scratch, out).await;
    scratch.remove().await;
    ended
}

async fn serve(
    arguments: &JobManagerArguments,
    backends: &Backends,
    signals: &mut Signals,
    scratch: &Scratch,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    let seam = Seam::system();
    let gate = Arc::<Gate>::default();
    let directions = arguments.directed.then(|| directed::listen(Arc::clone(&gate)));
    let sharing = backends.sharing(&arguments.cluster.backend)?;
    let (listener, address) = listen(arguments).await?;
    let address = address.to_string();
    let _metrics = match &arguments.metrics {
        Some(at) => Some(Endpoint::serve(at, &format!("job manager {address}"), &seam).await?),
        None => None,
    };
    let settings = Settings {
        storage: storage(arguments, sharing)?,
        cluster_id: arguments.cluster.cluster_id.clone(),
        silence: Duration::from_millis(arguments.liveness.silence_ms),
        presence: arguments.liveness.presence.options(),
        configured: arguments.cluster.configured.clone(),
    };
    let services = signals
        .or(async { services(&arguments.cluster, backends, &settings, &address, &seam).await })
        .await
        .map(Arc::new)?;
    let slots = match sharing {
        Sharing::OneProcess => arguments.local_slots.unwrap_or(SLOTS_OF_ONE_PROCESS),
        Sharing::Processes => arguments.local_slots.unwrap_or(0),
    };
    let (listener_of_events, events) = mpsc::channel(EVENTS);
    let member = Member {
        name: format!("job manager {address}"),
        address: address.clone(),
        services: Arc::<HaServices>::clone(&services),
        mailboxes: Mailboxes::default(),
        scratch: scratch.path().to_owned(),
        checkpoint_events: arguments.checkpoint_events,
        retained: settings.configured.retained(),
        gate: Arc::clone(&gate),
        listener: listener_of_events,
        seam: seam.clone(),
    };
    let leader = services.cluster_rest_endpoint_leader_retriever()?.watch();
    let server = Server::new(listener, address.clone(), member.mailboxes.clone(), leader, seam.clone());
    let own = worker(&format!("within {address}"), usize::from(slots), &*services, &seam)?;
    let cluster = async {
        tokio::select! {
            biased;
            () = job_manager::contend(member) => {}
            () = server.run() => {}
            () = async { own.run().await; std::future::pending().await } => {}
        }
    };
    let ended = signals
        .or(async {
            match directions {
                None => {
                    // Nobody reads it: the job manager runs all the same.
                    let _ = writeln!(out, "job manager at {address}");
                    tokio::select! {
                        biased;
                        () = cluster => {}
                        () = tell(events, seam.now()) => {}
                    }
                }
                Some(ended) => tokio::select! {
                    biased;
                    () = ended => {}
                    () = async { gate.moved(0).await; cluster.await } => {}
                    () = directed::tell(events, &gate, out) => {}
                },
            }
            Ok(true)
        })
        .await;
    // In good order: others lead at once instead of after a silence.
    if let Some(Err(error)) = seam.timeout(Duration::from_secs(5), services.close()).await {
        tracing::warn!(%error, "leadership could not be given up");
    }
    match ended {
        Err(Failure::Interrupted(_)) => Ok(true),
        other => other,
    }
}

/// Where state is kept. What several processes recover from must be somewhere that all of them see.
fn storage(arguments: &JobManagerArguments, sharing: Sharing) -> Result<String, Failure> {
    let refuse = |what: &str| {
        Err(Failure::Arguments(format!(
            "{what}: give --storage, or high-availability.storageDir in the file, a place that every job manager sees, such \
             as file:///shared/state"
        )))
    };
    let configured = arguments.cluster.configured.storage.as_ref().map(|storage| &storage.url);
    match (arguments.storage.as_ref().or(configured), sharing) {
        (None, Sharing::OneProcess) => Ok("memory://".to_owned()),
        (None, Sharing::Processes) => refuse("plans and checkpoints need a place"),
        (Some(storage), Sharing::Processes) if storage.starts_with("memory:") => {
            refuse("what is kept in the memory of one process is not found by the next leader")
        }
        (Some(storage), _) => Ok(storage.clone()),
    }
}

/// Tells what happens, as lines on standard error.
async fn tell(mut events: mpsc::Receiver<Event>, began: Moment) {
    while let Some(event) = events.recv().await {
        if let Some(text) = event.text() {
            let line = format!("{:>9.3} s  {}  {text}", event.at.since(began).as_secs_f64(), event.by);
            // A closed standard error stops nothing.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// At the address of the command line; else, on its default host, at the first port of the file's that is free.
async fn listen(arguments: &JobManagerArguments) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |at: &str, e| Failure::Io(format!("cannot listen at {at}"), e);
    let Some(ports) = &arguments.cluster.configured.ports else {
        return Server::listen(&arguments.listen).await.map_err(|e| failed(&arguments.listen, e));
    };
    let host = arguments.listen.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
    let mut last = None;
    for port in ports.iter().cloned().flatten() {
        let at = format!("{host}:{port}");
        match Server::listen(&at).await {
            Err(e) if matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
                last = Some(failed(&at, e));
            }
            listening => return listening.map_err(|e| failed(&at, e)),
        }
    }
    let none = || failed("any port", io::Error::new(io::ErrorKind::InvalidInput, "the configuration names none"));
    Err(last.unwrap_or_else(none))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::cli::{Arguments, Command};

    #[tokio::test]
    async fn the_first_port_of_the_files_that_is_free_is_listened_at() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let taken = (taken.local_addr().unwrap().port(), taken);
        let words = ["stream-processor", "job-manager"];
        let Some(Command::JobManager(mut arguments)) = Arguments::read(words).unwrap().command else {
            panic!("another command")
        };
        arguments.cluster.configured.ports = Some(vec![taken.0..=taken.0]);
        let refused = format!("{:?}", listen(&arguments).await.unwrap_err());
        assert!(refused.contains(&taken.0.to_string()), "{refused}");
        arguments.cluster.configured.ports = Some(vec![taken.0..=taken.0, 0..=0]);
        let (_listener, address) = listen(&arguments).await.unwrap();
        assert_ne!(address.port(), taken.0);
    }
}
