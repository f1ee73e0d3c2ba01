//! Developer commands of this workspace, run as `cargo xtask <command>`.
//!
//! `cargo xtask test` is everything a change must pass, on a machine that has only the Rust toolchain and git.
//! Children inherit the environment and stay in the terminal's process group, so Ctrl-C ends them with this program.

use std::env;
use std::process::ExitCode;

mod budget;
mod cli;
mod counts;
mod documents;
mod example;
mod failures;
mod features;
mod fuzz;
mod metadata;
mod nearest;
mod process;
mod report;
mod rules;
mod servers;
mod source;
mod steps;
mod tree;

use cli::Command;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let command = match cli::parse(&words) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("error: {message}\n\nrun `cargo xtask help` for what there is");
            return ExitCode::from(2);
        }
    };
    let outcome = match command {
        Command::Help => {
            print!("{}", cli::help());
            return ExitCode::SUCCESS;
        }
        Command::Test(selection) => return report::test(&selection),
        Command::Docs => steps::Context::load().and_then(|context| documents::rewrite(&context)),
        Command::Sim(words) => run_quickly("ha-testkit --bin simulate", &words),
        Command::Chaos(words) => run_quickly("chaos --bin chaos", &words),
        Command::Fuzz(fuzzing) => fuzz::run(&fuzzing),
        Command::Soak(words) => run_quickly("soak", &words),
        Command::Servers => tree::find_root().and_then(|root| servers::install(&root)),
        Command::Fix => fix(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a program of this workspace in release mode: it has much to do.
fn run_quickly(package_and_program: &str, words: &[String]) -> Result<(), String> {
    let root = tree::find_root()?;
    let mut command = process::cargo(&root, &format!("run --release --quiet --package {package_and_program} --"));
    command.args(words);
    process::run(command)
}

/// Applies what clippy can repair by itself, then formats: repairs are not always formatted.
fn fix() -> Result<(), String> {
    let root = tree::find_root()?;
    let repair = "clippy --fix --allow-dirty --allow-staged --workspace --all-targets --all-features";
    process::run(process::cargo(&root, repair))?;
    process::run(process::cargo(&root, "fmt --all"))
}
