//! The steps of `cargo xtask test`, cheapest first, so that a mistake shows itself early.

use std::env;
use std::path::PathBuf;

use crate::counts::Counts;
use crate::failures::Failures;
use crate::metadata::{self, Member};
use crate::process::{self, cargo};
use crate::tree::{self, Tree};
use crate::{budget, example, features, rules, servers};

/// One named part of the test run.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Context) -> Result<Verdict, String>,
}

/// How a step ended that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// Not run, and why; shown wherever the result is shown.
    Skipped(String),
}

/// What the steps share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) root: PathBuf,
    pub(crate) members: Vec<Member>,
    pub(crate) counts: Counts,
    pub(crate) failures: Failures,
}

impl Context {
    /// # Errors
    /// Started outside the repository, or its manifests cannot be read.
    pub(crate) fn load() -> Result<Self, String> {
        let root = tree::find_root()?;
        let members = metadata::members(&root)?;
        let counts = Counts::new(members.iter().filter_map(Member::backend).map(str::to_owned));
        Ok(Self { root, members, counts, failures: Failures::default() })
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Each backend's crate and name.
    pub(crate) fn backends(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().filter_map(|member| Some((member.name.as_str(), member.backend()?)))
    }
}

pub(crate) const STEPS: [Step; 11] = [
    Step { name: "format", what: "every file is formatted", run: format },
    Step { name: "layers", what: "the layers stay apart; files, links and lints are in order", run: layers },
    Step { name: "budget", what: "one backend compiles few crates and no other backend", run: budget::check },
    Step { name: "deny", what: "licences, sources and banned crates (if cargo-deny is installed)", run: deny },
    Step { name: "clippy", what: "no warning in any target", run: clippy },
    Step {
        name: "features",
        what: "each cargo feature of `ha` alone, none and all compile without a warning",
        run: features::check,
    },
    Step { name: "docs", what: "the documentation builds without a warning", run: docs },
    Step {
        name: "servers",
        what: "the real servers that tests start are here (`cargo xtask servers` unpacks them)",
        run: servers::check,
    },
    Step { name: "tests", what: "unit, conformance and integration tests", run: tests },
    Step { name: "doctests", what: "the examples in the documentation", run: doctests },
    Step { name: "example", what: "the stream processor verifies its own result", run: example::check },
];

/// What the tests are, for cargo. Whoever needs a program that they build uses these words too: others would choose other
/// features of what lies below, and compile all of it once more.
pub(crate) const TESTS: &str = "test --workspace --all-features --lib --bins --tests";

fn format(context: &mut Context) -> Result<Verdict, String> {
    run(context, "fmt --all --check")
}

fn layers(context: &mut Context) -> Result<Verdict, String> {
    let tree = Tree::read(&context.root, context.members.clone())?;
    rules::check(&tree).map(|()| Verdict::Passed)
}

fn deny(context: &mut Context) -> Result<Verdict, String> {
    let mut probe = cargo(&context.root, "deny --version");
    let installed = probe.output().is_ok_and(|output| output.status.success());
    if !installed {
        let how = "cargo-deny is not installed; `cargo install --locked cargo-deny` adds it";
        return Ok(Verdict::Skipped(how.to_owned()));
    }
    run(context, "deny check bans licenses sources")
}

fn clippy(context: &mut Context) -> Result<Verdict, String> {
    run(context, "clippy --workspace --all-targets --all-features -- -D warnings")
}

fn docs(context: &mut Context) -> Result<Verdict, String> {
    let mut command = cargo(&context.root, "doc --workspace --no-deps --all-features");
    command.env("RUSTDOCFLAGS", "-D warnings");
    process::run(command).map(|()| Verdict::Passed)
}

fn tests(context: &mut Context) -> Result<Verdict, String> {
    // One failing binary must not hide the results of the others.
    let verdict = count(context, &format!("{TESTS} --no-fail-fast"))?;
    // A suite that is not plugged in, or whose paths are not recognised, must not look like one that passed.
    match context.counts.without_cases().first() {
        None => Ok(verdict),
        Some(backend) => {
            Err(format!("no test below `conformance::{backend}::` ran: a backend's crate runs the conformance suite"))
        }
    }
}

fn doctests(context: &mut Context) -> Result<Verdict, String> {
    count(context, "test --workspace --all-features --no-fail-fast --doc")
}

fn run(context: &Context, words: &str) -> Result<Verdict, String> {
    process::run(cargo(&context.root, words)).map(|()| Verdict::Passed)
}

/// How the test harness is told how many tests run at once.
const THREADS: &str = "RUST_TEST_THREADS";

/// Twice as many as there are cores: most tests wait for time to pass, or for a server, most of the time.
fn test_threads() -> usize {
    2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn count(context: &mut Context, words: &str) -> Result<Verdict, String> {
    let mut command = cargo(&context.root, words);
    command.env(THREADS, env::var(THREADS).unwrap_or_else(|_| test_threads().to_string()));
    let watch = |line: &str| {
        context.counts.read(line);
        context.failures.read(line);
    };
    process::stream(command, watch).map(|()| Verdict::Passed)
}
