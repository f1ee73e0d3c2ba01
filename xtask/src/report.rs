//! Running the steps and saying how it went.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cli::{OnFailure, Selection};
use crate::steps::{Context, STEPS, Step, Verdict};

/// How one step ended, and how long it took.
#[derive(Debug)]
struct Row {
    name: &'static str,
    outcome: Result<Verdict, String>,
    took: Duration,
}

impl Row {
    fn failure(&self) -> Option<&str> {
        self.outcome.as_ref().err().map(String::as_str)
    }
}

/// Runs the selected steps. The last line of output is `N passed, N failed` in every case.
pub(crate) fn test(selection: &Selection) -> ExitCode {
    let mut context = match Context::load() {
        Ok(context) => context,
        Err(message) => {
            println!("error: {message}\n{}", last_line(0, 1));
            return ExitCode::FAILURE;
        }
    };
    let selected = |step: &&Step| selection.only.is_empty() || selection.only.iter().any(|name| name == step.name);
    let steps: Vec<&Step> = STEPS.iter().filter(selected).collect();
    let rows = run_all(&steps, &mut context, selection.on_failure);

    println!("\n{}", table(&steps, &rows));
    if rows.iter().any(|row| row.name == "tests") {
        context.counts.conformance_lines().iter().for_each(|line| println!("{line}"));
    }
    context.failures.lines().iter().for_each(|line| println!("{line}"));
    for (row, message) in rows.iter().filter_map(|row| Some((row, row.failure()?))) {
        println!("FAILED at step `{}`: {message} (alone: `cargo xtask test --only {}`)", row.name, row.name);
    }
    println!("{}", last_line(context.counts.passed, failures(&rows, context.counts.failed)));
    match rows.iter().any(|row| row.failure().is_some()) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn run_all(steps: &[&Step], context: &mut Context, on_failure: OnFailure) -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        println!("\n==> [{}/{}] {}: {}", at + 1, steps.len(), step.name, step.what);
        let started = now();
        let failed_before = context.counts.failed;
        let mut outcome = (step.run)(context);
        if outcome.is_ok() && context.counts.failed > failed_before {
            // Never trust a green exit over a red count.
            outcome = Err("tests failed although the command succeeded".to_owned());
        }
        let row = Row { name: step.name, outcome, took: started.elapsed() };
        println!("<== {} {} ({})", row.name, words(&row), seconds(row.took));
        let stop = row.failure().is_some() && on_failure == OnFailure::Stop;
        rows.push(row);
        if stop {
            break;
        }
    }
    rows
}

fn words(row: &Row) -> String {
    match &row.outcome {
        Ok(Verdict::Passed) => "passed".to_owned(),
        Ok(Verdict::Skipped(why)) => format!("skipped: {why}"),
        Err(_) => "FAILED".to_owned(),
    }
}

fn table(steps: &[&Step], rows: &[Row]) -> String {
    let ran = rows.iter().map(|row| format!("{:<10} {:>9}  {}\n", row.name, seconds(row.took), words(row)));
    let left = steps.iter().skip(rows.len()).map(|step| format!("{:<10} {:>9}  not run\n", step.name, "-"));
    ran.chain(left).collect()
}

/// Failed tests, and each failed step in which no test failed: the last line never says `0 failed` after a failure.
fn failures(rows: &[Row], tests: u64) -> u64 {
    let failed = |row: &&Row| row.failure().is_some();
    let counted = |row: &&Row| row.name == "tests" || row.name == "doctests";
    let plain = rows.iter().filter(failed).filter(|row| !counted(row)).count();
    let any_counted = rows.iter().filter(counted).any(|row| row.failure().is_some());
    tests.max(u64::from(any_counted)) + u64::try_from(plain).unwrap_or(u64::MAX)
}

fn last_line(passed: u64, failed: u64) -> String {
    format!("{passed} passed, {failed} failed")
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer's tool measures how long its own steps take; nothing is simulated here"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::Counts;
    use crate::failures::Failures;

    const GOOD: Step = Step { name: "good", what: "", run: |_| Ok(Verdict::Passed) };
    const BAD: Step = Step { name: "bad", what: "", run: |_| Err("broken".to_owned()) };
    const MISCOUNT: Step = Step {
        name: "tests",
        what: "",
        run: |context| {
            context.counts.read("test result: FAILED. 1 passed; 2 failed;");
            Ok(Verdict::Passed)
        },
    };

    fn rows(steps: &[&Step], on_failure: OnFailure) -> (Vec<Row>, Counts) {
        let mut context =
            Context { root: ".".into(), members: Vec::new(), counts: Counts::default(), failures: Failures::default() };
        let rows = run_all(steps, &mut context, on_failure);
        (rows, context.counts)
    }

    #[test]
    fn the_first_failure_stops_the_run_unless_asked_to_go_on() {
        let (stopped, _) = rows(&[&GOOD, &BAD, &GOOD], OnFailure::Stop);
        assert_eq!(stopped.len(), 2);
        let shown = table(&[&GOOD, &BAD, &GOOD], &stopped);
        assert!(
            shown.contains("FAILED") && shown.lines().last().is_some_and(|line| line.ends_with("not run")),
            "{shown}"
        );
        let (all, _) = rows(&[&GOOD, &BAD, &GOOD], OnFailure::KeepGoing);
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_failed_step_is_never_beside_zero_failed() {
        let (failed, counts) = rows(&[&BAD], OnFailure::Stop);
        assert_eq!(failures(&failed, counts.failed), 1);
        let crashed = Step { name: "tests", ..BAD };
        let (failed, counts) = rows(&[&BAD, &crashed], OnFailure::KeepGoing);
        assert_eq!(failures(&failed, counts.failed), 2);
        let (passed, counts) = rows(&[&GOOD], OnFailure::Stop);
        assert_eq!(failures(&passed, counts.failed), 0);
    }

    #[test]
    fn failed_tests_fail_their_step_whatever_the_exit_status_says() {
        let (rows, counts) = rows(&[&MISCOUNT], OnFailure::Stop);
        assert!(rows[0].failure().is_some());
        assert_eq!(failures(&rows, counts.failed), 2);
        assert_eq!(last_line(counts.passed, 2), "1 passed, 2 failed");
    }
}
