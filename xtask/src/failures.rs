//! Which tests failed and what they said, read from what `cargo test` prints.
//!
//! A run prints for the better part of an hour, and often its end is all that is kept: so the failures are told again
//! there, without the backtraces.

/// So many failures are told again; the others are counted.
const TOLD: usize = 10;
/// So many lines of each.
const LINES: usize = 6;

/// The failed tests so far, with what each printed.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    tests: Vec<Failed>,
    reading: Reading,
}

#[derive(Debug)]
struct Failed {
    path: String,
    said: Vec<String>,
}

/// Where in the output of a test binary we are.
#[derive(Debug, Default, PartialEq)]
enum Reading {
    /// Not in what a failed test has printed.
    #[default]
    Elsewhere,
    Said,
    /// Behind the message: frames and what the runtime adds to them, up to the next test.
    Backtrace,
}

impl Failures {
    /// Takes one line of output into account.
    pub(crate) fn read(&mut self, line: &str) {
        let heading = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(path) = heading {
            self.tests.push(Failed { path: path.to_owned(), said: Vec::new() });
            self.reading = Reading::Said;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.reading = Reading::Elsewhere;
        } else if line.trim_start().starts_with("stack backtrace:") {
            self.reading = Reading::Backtrace;
        } else if let (Reading::Said, Some(last), false) = (&self.reading, self.tests.last_mut(), line.is_empty()) {
            last.said.push(line.to_owned());
        }
    }

    /// What is told at the end of the run: nothing if nothing failed.
    pub(crate) fn lines(&self) -> Vec<String> {
        let told = self.tests.iter().take(TOLD).flat_map(|failed| {
            // A test may print much before it fails: the end says why.
            let said = failed.said.iter().skip(failed.said.len().saturating_sub(LINES));
            std::iter::once(format!("failed: {}", failed.path)).chain(said.map(|line| format!("    {line}")))
        });
        let rest = self.tests.len().saturating_sub(TOLD);
        told.chain((rest > 0).then(|| format!("failed: {rest} more"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(output: &str) -> Vec<String> {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        failures.lines()
    }

    #[test]
    fn a_failed_test_is_told_again_with_the_end_of_what_it_said_and_without_its_backtrace() {
        let output = "test one ... FAILED\n\nfailures:\n\n---- one stdout ----\n1\n2\n3\n4\n\nthread 'one' panicked at x.rs:1:2:\n\
            left is not right\nstack backtrace:\n   0: some::frame\nnote: run with\n\n---- two stdout ----\nError: no\n\n\
            failures:\n    one\n    two\n\ntest result: FAILED. 0 passed; 2 failed;\nlater output\n";
        let expected = [
            "failed: one",
            "    1",
            "    2",
            "    3",
            "    4",
            "    thread 'one' panicked at x.rs:1:2:",
            "    left is not right",
            "failed: two",
            "    Error: no",
        ];
        assert_eq!(told(output), expected);
        assert_eq!(told(&output.replace("\n1\n", "\n0\n1\n"))[1], "    1", "the end, not the beginning");
    }

    #[test]
    fn many_failures_are_counted_and_none_tells_nothing() {
        let many: String = (0..TOLD + 3).map(|at| format!("---- t{at} stdout ----\nno\n")).collect();
        let lines = told(&many);
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (2 * TOLD + 1, Some("failed: 3 more")));
        assert!(told("test a ... ok\n\ntest result: ok. 1 passed; 0 failed;\n").is_empty());
    }
}
