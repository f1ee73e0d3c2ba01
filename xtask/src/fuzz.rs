//! `cargo xtask fuzz`: the targets in `fuzz/`, one after another, for so many seconds each.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::nearest::nearest;
use crate::process;
use crate::tree;

/// For each target, unless it is said.
const SECONDS: u64 = 60;
/// What one input may have, and may cost: what comes of it is in proportion to it. See `fuzz/README.md`.
const LIMITS: [&str; 4] = ["-max_len=4096", "-timeout=5", "-rss_limit_mb=1024", "-malloc_limit_mb=16"];

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fuzzing {
    seconds: u64,
    /// `None`: all of them.
    target: Option<String>,
}

impl Fuzzing {
    /// Reads the words after the command.
    ///
    /// # Errors
    /// A message for the user about the word that was not understood.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut read = Self { seconds: SECONDS, target: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.split_once('=').unwrap_or((word, "")) {
                ("--seconds", "") => read.seconds = number(words.next().map_or("", String::as_str))?,
                ("--seconds", number_of) => read.seconds = number(number_of)?,
                (target, "") if !target.starts_with('-') && read.target.is_none() => read.target = Some(target.into()),
                _ => return Err(format!("`{word}` is not understood here: write [--seconds N] [TARGET]")),
            }
        }
        Ok(read)
    }
}

fn number(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`--seconds` needs a whole number from 1, not `{text}`"))
}

/// Runs them; the first one that finds something ends it, and its output says how to see that again.
///
/// # Errors
/// cargo-fuzz is missing, there is no such target, or one has found something.
pub(crate) fn run(fuzzing: &Fuzzing) -> Result<(), String> {
    let root = tree::find_root()?;
    let all = targets(&root)?;
    let chosen = match &fuzzing.target {
        None => all,
        Some(name) if all.contains(name) => vec![name.clone()],
        Some(name) => {
            let hint = nearest(name, all.iter().map(String::as_str)).unwrap_or("one of fuzz/fuzz_targets");
            return Err(format!("unknown target `{name}`; did you mean `{hint}`?"));
        }
    };
    let toolchain = Toolchain::find(&root)?;
    for target in &chosen {
        println!("{target}, {} s", fuzzing.seconds);
        // What is found new goes below the target folder. `fuzz/corpus` is small and chosen; see `fuzz/README.md`.
        let found = format!("target/fuzz/{target}");
        fs::create_dir_all(root.join(&found)).map_err(|error| format!("{found}: {error}"))?;
        let mut command = toolchain.cargo_fuzz(&root);
        command
            .args(["run", "--fuzz-dir", "fuzz", "--sanitizer", toolchain.sanitizer(), target])
            .arg(root.join(&found));
        command.arg(root.join(format!("fuzz/corpus/{target}"))).arg("--").args(LIMITS);
        command.arg(format!("-dict={}", root.join("fuzz/words.dict").display()));
        command.arg(format!("-max_total_time={}", fuzzing.seconds)).arg("-print_final_stats=1");
        process::run(command)?;
    }
    Ok(())
}

/// The names of all targets, in order.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz/fuzz_targets");
    let listed = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = listed.flatten().filter_map(|entry| name(&entry.path())).collect();
    names.sort_unstable();
    Ok(names)
}

/// What compiles the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    /// With the address sanitizer, which sees every allocation.
    Nightly,
    /// The one of the workspace, told that it may use what is not stable. Without a sanitizer.
    Stable,
}

impl Toolchain {
    fn find(root: &Path) -> Result<Self, String> {
        let works = |mut command: Command| {
            let quiet = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            quiet.status().is_ok_and(|status| status.success())
        };
        match [Self::Nightly, Self::Stable].into_iter().find(|toolchain| works(toolchain.cargo_fuzz(root))) {
            Some(toolchain) => Ok(toolchain),
            None => {
                Err("cargo-fuzz is not there: `cargo install cargo-fuzz --locked`; it also needs a C++ compiler, and \
                         uses a nightly toolchain if there is one (fuzz/README.md)"
                    .into())
            }
        }
    }

    fn sanitizer(self) -> &'static str {
        match self {
            Self::Nightly => "address",
            Self::Stable => "none",
        }
    }

    fn cargo_fuzz(self, root: &Path) -> Command {
        match self {
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo", "fuzz"]).current_dir(root).stdin(Stdio::null());
                // Those of the toolchain that runs this program.
                for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
                    command.env_remove(variable);
                }
                command
            }
            Self::Stable => {
                let mut command = process::cargo(root, "fuzz");
                command.env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Fuzzing, String> {
        Fuzzing::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn all_targets_run_unless_one_is_named() {
        assert_eq!(parsed(""), Ok(Fuzzing { seconds: SECONDS, target: None }));
        assert_eq!(parsed("yaml --seconds 7"), Ok(Fuzzing { seconds: 7, target: Some("yaml".into()) }));
        assert_eq!(parsed("--seconds=7 yaml"), Ok(Fuzzing { seconds: 7, target: Some("yaml".into()) }));
        for line in ["--seconds", "--seconds 0", "--seconds x", "--second 7", "yaml url"] {
            assert!(parsed(line).is_err(), "`{line}` was accepted");
        }
    }

    #[test]
    fn the_targets_are_those_in_the_folder() {
        let root = tree::find_root().unwrap();
        assert!(targets(&root).unwrap().iter().any(|target| target == "record"));
    }
}
