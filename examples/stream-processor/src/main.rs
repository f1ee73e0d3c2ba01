//! Runs the engine by itself, without high availability: generated events, regular snapshots, then the judge.
//!
//! Usage: `stream-processor [events] [events between snapshots]`

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
    if let Err(cause) = fs::remove_dir_all(&output) {
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
    let mut words = env::args().skip(1);
    let events: u64 = words.next().map_or(Ok(5_000_000), |word| word.parse())?;
    let every: u64 = words.next().map_or(Ok(200_000), |word| word.parse())?;
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
    println!("{events} events, {} snapshots, {seconds:.3} s, {:.0} events/s", checkpoint + 1, events as f64 / seconds);
    let verdict = verify::compare(output, &verify::expected(&plan)?)?;
    println!("{verdict}");
    Ok(verdict.is_exact())
}
