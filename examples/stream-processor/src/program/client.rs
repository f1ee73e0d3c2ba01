use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ha::seam::Seam;
use ha::{HaServices, HighAvailabilityServices, JobId, JobStatus};
use serde::Serialize;

use super::input::{self, Job};
use super::scratch::{Scratch, Signals};
use super::{Failure, Out, observer};
use crate::cli::{ClientArguments, SubmitArguments};
use crate::cluster::backends::Backends;
use crate::cluster::client::{Client, Target};
use crate::cluster::protocol::{JobView, Submission};
use crate::cluster::tcp::Tcp;
use crate::verify;

/// What `submit` prints at the end.
#[derive(Debug, Serialize)]
struct Submitted {
    job: JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<JobView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
}

/// Hands a job in; whether it ended well, if that was waited for.
pub(super) async fn submit(
    arguments: &SubmitArguments,
    backends: &Backends,
    signals: &mut Signals,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    let scratch = Scratch::new()?;
    let ended = signals.or(submit_in(arguments, backends, scratch.path(), out)).await;
    scratch.remove().await;
    ended
}

async fn submit_in(
    arguments: &SubmitArguments,
    backends: &Backends,
    scratch: &Path,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    let seam = Seam::system();
    let id = JobId::new(&arguments.job)?;
    // Before standard input is read: what cannot work is told at once.
    let (client, _services) = client(&arguments.client, backends, &seam).await?;
    let output = output(&arguments.output)?;
    let (name, source, scratch) = (arguments.job.clone(), arguments.source.clone(), scratch.to_owned());
    let job = blocking(move || input::job(&name, &source, output, &scratch)).await?;
    let submission = Submission { id: seam.uuid(), job: id.clone(), plan: job.plan.clone(), artefact: job.key };
    client.submit(&submission, &job.artefact).await?;
    let mut submitted = Submitted { job: id.clone(), result: None, verified: None };
    let mut well = true;
    if arguments.wait {
        let view = client.ended(&id).await?;
        well = view.state == JobStatus::Finished;
        submitted.result = Some(view);
        if arguments.verify && well {
            well = blocking(move || verified(&job)).await?;
            submitted.verified = Some(well);
        }
    }
    tell(out, arguments.client.json, &submitted, || text(&submitted))?;
    Ok(well)
}

/// Shows the leader and its jobs.
pub(super) async fn status(
    arguments: &ClientArguments,
    backends: &Backends,
    signals: &mut Signals,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    let seam = Seam::system();
    signals
        .or(async {
            let (client, _services) = client(arguments, backends, &seam).await?;
            let status = client.status().await?;
            tell(out, arguments.json, &status, || {
                let mut lines = vec![
                    format!("leader      {}, fencing token {}", status.leader, status.token),
                    format!("free slots  {}", status.free_slots),
                    format!("jobs        {}", status.jobs.len()),
                ];
                lines.extend(status.jobs.iter().map(|job| format!("  {}", job.text())));
                lines.join("\n")
            })?;
            Ok(true)
        })
        .await
}

/// A client, and the services that it finds the leader by, which must live as long.
async fn client(
    arguments: &ClientArguments,
    backends: &Backends,
    seam: &Seam,
) -> Result<(Client, Option<HaServices>), Failure> {
    let (target, services) = match &arguments.job_manager {
        Some(address) => (Target::Address(address.clone()), None),
        None => {
            let services = observer(&arguments.cluster, backends, "client", seam).await?;
            (Target::Retrieved(services.cluster_rest_endpoint_leader_retriever()?.watch()), Some(services))
        }
    };
    let (network, patience) = (Arc::new(Tcp::new(seam.clone())), Duration::from_secs(arguments.timeout));
    Ok((Client { target, network, seam: seam.clone(), patience }, services))
}

/// The directory by a name that means the same in every process.
fn output(directory: &Path) -> Result<PathBuf, Failure> {
    let failed = |e| Failure::Io(format!("cannot make {}", directory.display()), e);
    std::fs::create_dir_all(directory).map_err(failed)?;
    directory.canonicalize().map_err(failed)
}

fn verified(job: &Job) -> Result<bool, Failure> {
    let expected = verify::expected(&job.here)?;
    Ok(verify::compare(&job.here.output, &expected)?.is_exact())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::Io("the work was given up".to_owned(), io::Error::other(error))),
    }
}

fn text(submitted: &Submitted) -> String {
    let Some(result) = &submitted.result else { return format!("job {} is accepted and stored", submitted.job) };
    match submitted.verified {
        None => result.text(),
        Some(true) => format!("{}\nverified", result.text()),
        Some(false) => {
            format!("{}\nNOT VERIFIED: the output differs from the independent computation", result.text())
        }
    }
}

fn tell(out: &mut Out<'_>, json: bool, outcome: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let failed = |e| Failure::Io("cannot print the outcome".into(), e);
    let line = if json { serde_json::to_string(outcome).map_err(|e| failed(e.into()))? } else { text() };
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(failed)
}
