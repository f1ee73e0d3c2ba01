use std::sync::Arc;

use ha::HighAvailabilityServices;
use ha::seam::Seam;
use tokio::runtime::Handle;

use super::directed;
use super::scratch::Signals;
use super::{Failure, Out, observer};
use crate::Fence;
use crate::cli::WorkerArguments;
use crate::cluster::backends::Backends;
use crate::cluster::network::Place;
use crate::cluster::tcp::Tcp;
use crate::cluster::worker::Worker;

/// Runs tasks until a signal comes.
pub(super) async fn run(
    arguments: &WorkerArguments,
    backends: &Backends,
    signals: &mut Signals,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    let seam = Seam::system();
    signals
        .or(async {
            let directions = arguments.directed.then(|| directed::listen(Arc::default()));
            let services = observer(&arguments.cluster, backends, &arguments.name, &seam).await?;
            let worker = worker(&arguments.name, usize::from(arguments.slots), &services, &seam)?;
            // Nobody reads it: the worker runs all the same.
            let _ = writeln!(out, "worker {} with {} slots", arguments.name, arguments.slots);
            tokio::select! {
                biased;
                () = ended(directions) => {}
                () = worker.run() => {}
            }
            Ok(true)
        })
        .await
}

/// Returns when the demo that started this process has ended; never without one.
async fn ended(directions: Option<impl Future<Output = ()>>) {
    match directions {
        Some(directions) => directions.await,
        None => std::future::pending().await,
    }
}

/// A worker over TCP that finds its leader by these services.
pub(super) fn worker(
    name: &str,
    slots: usize,
    services: &dyn HighAvailabilityServices,
    seam: &Seam,
) -> Result<Worker, ha::Error> {
    Ok(Worker {
        name: name.to_owned(),
        slots,
        watch: services.resource_manager_leader_retriever()?.watch(),
        network: Arc::new(Tcp::new(seam.clone())),
        place: Place { threads: Handle::current(), fence: Arc::new(Fence::default()) },
        seam: seam.clone(),
    })
}
