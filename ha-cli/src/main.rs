//! `hactl`: what an operator sees of a cluster, and may do to it. `docs/hactl.md` shows each command.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests: panicking is how they fail"))]

mod args;
mod commands;
mod failure;
mod open;
mod output;
mod time;
mod warnings;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use ha::seam::Seam;

use args::Arguments;
use failure::Failure;
use warnings::Warnings;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return of_usage(&error),
    };
    Warnings::show();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::other(format!("no runtime: {error}")).report(),
    };
    let ended = runtime.block_on(run(arguments));
    // What still runs only waits for a store; nobody waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let interrupted = ha::termination().map_err(|error| Failure::other(format!("signals cannot be heard: {error}")))?;
    let seam = Seam::system();
    let asked_for = commands::run(&arguments, &seam);
    tokio::select! {
        biased;
        ended = asked_for => ended,
        _ = interrupted => {
            commands::interrupted(&arguments, &seam).await;
            Err(Failure::interrupted())
        }
    }
}

/// Help and versions go to standard output and are no failure; all else is one of usage.
fn of_usage(error: &clap::Error) -> ExitCode {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => failure::FINE,
        _ => failure::USAGE,
    };
    // Whoever closed the pipe does not want to read it.
    let _ = error.print();
    ExitCode::from(code)
}
