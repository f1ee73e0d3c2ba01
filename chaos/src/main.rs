//! Chaos on real servers and processes: `cargo xtask chaos` runs it. See the crate's README.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    chaos::worker::play_if_asked();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match chaos::command(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}
