use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ha::seam::Seam;

use super::input::{self, Job};
use super::metrics::{self, Endpoint};
use super::scratch::{Scratch, Signals};
use super::{Failure, Out};
use crate::cli::DemoArguments;
use crate::cluster::backends::{Backends, Sharing};
#[cfg(unix)]
use crate::demo::agent::{self, Agent};
use crate::demo::{Demo, Launch, Outcome};
use crate::report::{Report, Timeline, median};
use crate::verify::{self, Expected, Verdict};

/// Runs the demo; whether the output was verified.
pub(super) async fn run(
    arguments: &DemoArguments,
    backends: &Backends,
    signals: &mut Signals,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    // A backend that is not there is told before anything is done.
    let sharing = backends.sharing(&arguments.backend)?;
    let _metrics = match &arguments.metrics {
        Some(at) => Some(Endpoint::serve(at, "demo", &Seam::system()).await?),
        None => None,
    };
    let scratch = Scratch::new()?;
    let ended = signals.or(run_on(arguments, sharing, backends, scratch.path(), out)).await;
    scratch.remove().await;
    ended
}

async fn run_on(
    arguments: &DemoArguments,
    sharing: Sharing,
    backends: &Backends,
    scratch: &Path,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    if sharing == Sharing::OneProcess {
        return run_in(arguments, None, scratch, out).await;
    }
    let failed = |e| Failure::Io("this program cannot be found".into(), e);
    let mut launch = Launch {
        program: std::env::current_exe().map_err(failed)?,
        backends: backends.clone(),
        backend: arguments.backend.clone(),
        endpoint: arguments.endpoint.clone(),
        config: arguments.config.clone(),
        presence: arguments.liveness.presence,
        metrics: arguments.metrics.as_deref().map(metrics::beside),
        files: scratch.to_owned(),
    };
    if launch.backend == "filesystem" {
        launch.endpoint = directory(&arguments.endpoint, scratch)?;
    }
    #[cfg(unix)]
    let _agent = match launch.backend == "consul" && launch.endpoint.is_empty() && !agent::is_configured()? {
        true => {
            let started = Agent::start(&Seam::system()).await;
            let agent = started.map_err(|e| Failure::Io("no agent of Consul could be started".into(), e))?;
            launch.endpoint = agent.address().to_owned();
            Some(agent)
        }
        false => None,
    };
    run_in(arguments, Some(launch), scratch, out).await
}

async fn run_in(
    arguments: &DemoArguments,
    launch: Option<Launch>,
    scratch: &Path,
    out: &mut Out<'_>,
) -> Result<bool, Failure> {
    // Blocks as long as standard input does, which must not keep a signal from being heard.
    let (given, place) = (arguments.clone(), scratch.to_owned());
    let prepared = tokio::task::spawn_blocking(move || prepare(&given, &place)).await;
    let (job, expected) = prepared.map_err(|e| Failure::Io("the work was given up".into(), io::Error::other(e)))??;
    let mut timeline = Timeline::new(expected.cursor.records, Seam::system().now());
    let records = expected.cursor.records;
    // A kill in the middle of the stream needs a record before it and one after it.
    let kills = arguments.kill.min(u32::try_from(records.saturating_sub(1)).unwrap_or(u32::MAX));
    if kills < arguments.kill {
        let (now, text) = (Seam::system().now(), format!("with {records} records the leader is killed {kills} times"));
        timeline.note(now, "demo", &text);
    }
    let demo = Demo {
        plan: job.plan,
        artefact: &job.artefact,
        key: job.key,
        records,
        kills,
        scratch,
        storage: arguments.storage.clone(),
        silence: Duration::from_millis(arguments.liveness.silence_ms),
        presence: arguments.liveness.presence.options(),
        configured: arguments.configured.clone(),
        launch,
    };
    let outcome = Box::pin(demo.run(&mut timeline)).await;
    timeline.end();
    let outcome = outcome.map_err(Failure::Stuck)?;
    let verdict = verify::compare(&job.here.output, &expected)?;
    let report = report(arguments, kills, &outcome, &expected, verdict);
    tell(arguments, &report, &expected, out).map_err(|e| Failure::Io("cannot print the outcome".into(), e))?;
    Ok(report.verified)
}

fn prepare(arguments: &DemoArguments, scratch: &Path) -> Result<(Job, Expected), Failure> {
    let output = output(arguments, scratch)?;
    let job = input::job("clicks", &arguments.source, output, scratch)?;
    let expected = verify::expected(&job.here)?;
    Ok((job, expected))
}

/// The directory that the members share, by a name that means the same to all of them.
fn directory(given: &str, scratch: &Path) -> Result<String, Failure> {
    let directory = if given.is_empty() { scratch.join("ha") } else { PathBuf::from(given) };
    let failed = |e| Failure::Io(format!("cannot make {}", directory.display()), e);
    std::fs::create_dir_all(&directory).map_err(failed)?;
    Ok(directory.canonicalize().map_err(failed)?.display().to_string())
}

fn output(arguments: &DemoArguments, scratch: &Path) -> Result<PathBuf, Failure> {
    let Some(directory) = &arguments.output else { return Ok(scratch.join("output")) };
    let name = directory.display();
    std::fs::create_dir_all(directory).map_err(|e| Failure::Io(format!("cannot make {name}"), e))?;
    let mut entries = directory.read_dir().map_err(|e| Failure::Io(format!("cannot read {name}"), e))?;
    if entries.next().is_some() {
        return Err(Failure::Arguments(format!("{name} is not empty: give an empty directory for the output")));
    }
    directory.canonicalize().map_err(|e| Failure::Io(format!("cannot open {name}"), e))
}

fn report(arguments: &DemoArguments, kills: u32, outcome: &Outcome, expected: &Expected, verdict: Verdict) -> Report {
    let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    let failovers = &outcome.failovers;
    let seconds = outcome.took.as_secs_f64().max(f64::MIN_POSITIVE);
    Report {
        backend: arguments.backend.clone(),
        events: expected.cursor.accepted,
        events_per_second: (expected.cursor.accepted as f64 / seconds).round(),
        checkpoints: outcome.checkpoints,
        kills,
        failovers: failovers.len(),
        failover_ms: failovers.iter().map(|failover| ms(failover.failover)).collect(),
        failover_ms_median: median(failovers.iter().map(|failover| ms(failover.failover)).collect()),
        recovery_ms: failovers.iter().map(|failover| ms(failover.recovery)).collect(),
        recovery_ms_median: median(failovers.iter().map(|failover| ms(failover.recovery)).collect()),
        restored_checkpoint_ids: failovers.iter().map(|failover| failover.restored_checkpoint).collect(),
        lost: verdict.lost,
        duplicated: verdict.duplicated + verdict.wrong,
        verified: verdict.is_exact() && failovers.len() == kills as usize,
    }
}

/// Prints the outcome: what was no event, then the report, and with `--json` the object last.
fn tell(arguments: &DemoArguments, report: &Report, expected: &Expected, out: &mut Out<'_>) -> io::Result<()> {
    let cursor = &expected.cursor;
    if cursor.blank > 0 || cursor.rejects.total() > 0 || expected.late > 0 {
        writeln!(
            out,
            "{} records: {} events, {} blank, {} that are no events",
            cursor.records,
            cursor.accepted,
            cursor.blank,
            cursor.rejects.total()
        )?;
        for (reason, rejected) in cursor.rejects.iter() {
            let first: Vec<String> = rejected.first.iter().map(u64::to_string).collect();
            writeln!(out, "  {:>8} x {reason}, the first at byte {}", rejected.count, first.join(", "))?;
        }
        if expected.late > 0 {
            writeln!(out, "  {:>8} events came after their window was closed", expected.late)?;
        }
    }
    writeln!(out, "{}", report.text())?;
    if arguments.json {
        serde_json::to_writer(&mut *out, report)?;
        writeln!(out)?;
    }
    out.flush()
}
