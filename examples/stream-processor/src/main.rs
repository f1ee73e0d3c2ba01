//! The program: see `stream-processor --help`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ha::Store;
use ha::seam::Seam;
use stream_processor::cli::Arguments;
use stream_processor::demo::{Demo, Outcome, Stuck};
use stream_processor::report::{Report, Timeline};
use stream_processor::source::spool;
use stream_processor::verify::{self, Expected, Verdict};
use stream_processor::{EngineError, ExecutionPlan, SourceSpec};

/// Clicks are spread over ten milliseconds each; lines without a time count as a millisecond.
const WINDOW_MS: u64 = 10_000;
const LATENESS_MS: u64 = 2_000;

/// Why the program ends without an outcome.
#[derive(Debug)]
enum Failure {
    Arguments(String),
    Io(String, io::Error),
    Engine(EngineError),
    Ha(ha::Error),
    Stuck(Stuck),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            let (code, text) = match failure {
                Failure::Arguments(text) => (2, text),
                Failure::Io(what, error) => (1, format!("{what}: {error}")),
                Failure::Engine(error) => (1, error.to_string()),
                Failure::Ha(error) => (2, error.to_string()),
                Failure::Stuck(Stuck::Failed(error)) => (1, error.to_string()),
                Failure::Stuck(Stuck::Failing(why)) => (1, format!("the job fails again and again: {why}")),
                Failure::Stuck(Stuck::Silent(what)) => {
                    (1, format!("nothing happened for too long while waiting for {what}"))
                }
            };
            // Standard error may be closed; the exit status says the same.
            let _ = writeln!(io::stderr(), "stream-processor: {text}");
            ExitCode::from(code)
        }
    }
}

/// Runs the demo; whether the output was verified.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    // A backend that is not there is told before anything is done.
    Store::open(&arguments.backend, &Seam::system()).map_err(Failure::Ha)?;
    let scratch = tempfile::tempdir().map_err(|e| Failure::Io("no temporary directory".into(), e))?;
    let plan = ExecutionPlan {
        job: "clicks".into(),
        source: source(arguments, scratch.path())?,
        parallelism: u32::from(arguments.parallelism),
        window_ms: WINDOW_MS,
        lateness_ms: LATENESS_MS,
        output: output(arguments, scratch.path())?,
    };
    let expected = verify::expected(&plan)?;
    let storage = scratch.path().join("state");
    let mut timeline = Timeline::new(expected.cursor.records, Seam::system().now());
    let records = expected.cursor.records;
    // A kill in the middle of the stream needs a record before it and one after it.
    let kills = arguments.kill.min(u32::try_from(records.saturating_sub(1)).unwrap_or(u32::MAX));
    if kills < arguments.kill {
        let (now, text) = (Seam::system().now(), format!("with {records} records the leader is killed {kills} times"));
        timeline.note(now, "demo", &text);
    }
    let demo = Demo { plan: plan.clone(), records, kills, storage: &storage };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Failure::Io("no threads".into(), e))?;
    let outcome = runtime.block_on(demo.run(&mut timeline));
    timeline.end();
    let outcome = outcome.map_err(Failure::Stuck)?;
    let verdict = verify::compare(&plan.output, &expected)?;
    let report = report(arguments, kills, &outcome, &expected, verdict);
    tell(arguments, &report, &expected).map_err(|e| Failure::Io("cannot print the outcome".into(), e))?;
    Ok(report.verified)
}

/// Where the events come from; standard input is copied to a file first, so that it can be replayed.
fn source(arguments: &Arguments, scratch: &Path) -> Result<SourceSpec, Failure> {
    match &arguments.input {
        None => Ok(SourceSpec::Generator { seed: arguments.seed, events: arguments.events }),
        Some(path) if path.as_os_str() == "-" => {
            let path = scratch.join("input");
            spool(io::stdin().lock(), &path)?;
            Ok(SourceSpec::File { path })
        }
        Some(path) => {
            let path = path.canonicalize().map_err(|e| Failure::Io(format!("cannot open {}", path.display()), e))?;
            // Opening a pipe may wait for ever, and what comes out of it cannot be read again after a fail-over.
            if !path.is_file() {
                let name = path.display();
                return Err(Failure::Arguments(format!(
                    "{name} is no regular file: hand it in with --input - instead"
                )));
            }
            Ok(SourceSpec::File { path })
        }
    }
}

fn output(arguments: &Arguments, scratch: &Path) -> Result<PathBuf, Failure> {
    let Some(directory) = &arguments.output else { return Ok(scratch.join("output")) };
    let name = directory.display();
    std::fs::create_dir_all(directory).map_err(|e| Failure::Io(format!("cannot make {name}"), e))?;
    let mut entries = directory.read_dir().map_err(|e| Failure::Io(format!("cannot read {name}"), e))?;
    if entries.next().is_some() {
        return Err(Failure::Arguments(format!("{name} is not empty: give an empty directory for the output")));
    }
    directory.canonicalize().map_err(|e| Failure::Io(format!("cannot open {name}"), e))
}

fn report(arguments: &Arguments, kills: u32, outcome: &Outcome, expected: &Expected, verdict: Verdict) -> Report {
    let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    let failovers = &outcome.failovers;
    let seconds = outcome.took.as_secs_f64().max(f64::MIN_POSITIVE);
    Report {
        backend: arguments.backend.clone(),
        events: expected.cursor.accepted,
        events_per_second: (expected.cursor.accepted as f64 / seconds).round(),
        checkpoints: outcome.checkpoints,
        failovers: failovers.len(),
        failover_ms: failovers.iter().map(|failover| ms(failover.failover)).collect(),
        recovery_ms: failovers.iter().map(|failover| ms(failover.recovery)).collect(),
        restored_checkpoint_ids: failovers.iter().map(|failover| failover.restored_checkpoint).collect(),
        lost: verdict.lost,
        duplicated: verdict.duplicated + verdict.wrong,
        verified: verdict.is_exact() && failovers.len() == kills as usize,
    }
}

/// Prints the outcome: what was no event, then the report, and with `--json` the object last.
fn tell(arguments: &Arguments, report: &Report, expected: &Expected) -> io::Result<()> {
    let mut out = io::stdout().lock();
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
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    }
    out.flush()
}
