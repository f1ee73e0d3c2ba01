//! Runs the engine by itself, without high availability: generated events, regular snapshots, then the judge.
//!
//! Usage: `stream-processor [--events 5000000] [--every 200000] [--json]`

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use stream_processor::{Engine, ExecutionPlan, SourceSpec, verify};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let output = env::temp_dir().join(format!("stream-processor-{}", std::process::id()));
    let outcome = run(&output).await;
    if output.exists()
        && let Err(cause) = fs::remove_dir_all(&output)
    {
        eprintln!("cannot remove {}: {cause}", output.display());
    }
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs and judges; whether the output was right.
async fn run(output: &Path) -> Result<bool, Box<dyn Error>> {
    let (mut events, mut every, mut json) = (5_000_000_u64, 200_000_u64, None);
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--events" => events = words.next().ok_or("--events needs a number")?.parse()?,
            "--every" => every = words.next().ok_or("--every needs a number")?.parse()?,
            "--json" => json = Some(()),
            _ => return Err(format!("{word:?} is not known; there are --events, --every and --json").into()),
        }
    }
    let plan = ExecutionPlan {
        job: "clicks".to_owned(),
        source: SourceSpec::Generator { seed: 1, events },
        parallelism: 2,
        window_ms: 10_000,
        lateness_ms: 1000,
        output: PathBuf::from(output),
    };
    #[expect(clippy::disallowed_methods, reason = "a program that measures itself, not part of any protocol")]
    let began = Instant::now();
    let engine = Engine::start(plan.clone(), None, 1).await?;
    let progress = engine.progress();
    let mut checkpoint = 0;
    let mut due = every.max(1);
    while !progress.is_exhausted() {
        progress.reached(due).await;
        checkpoint += 1;
        let snapshot = engine.trigger(checkpoint).await?;
        engine.commit(&snapshot).await?;
        due = due.saturating_add(every.max(1));
    }
    engine.finished().await?;
    let snapshot = engine.trigger(checkpoint + 1).await?;
    engine.commit(&snapshot).await?;
    let seconds = began.elapsed().as_secs_f64();
    let verdict = verify::compare(output, &verify::expected(&plan)?)?;
    let (snapshots, rate) = (checkpoint + 1, events as f64 / seconds);
    if json.is_some() {
        let verified = verdict.is_exact();
        println!(
            "{}",
            serde_json::json!({ "events": events, "events_per_s": rate, "rows": verdict.rows, "verified": verified })
        );
    } else {
        println!("{events} events, {snapshots} snapshots, {seconds:.3} s, {rate:.0} events/s");
        println!("{verdict}");
    }
    Ok(verdict.is_exact())
}
