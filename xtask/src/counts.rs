//! How many tests passed and failed, read from what `cargo test` prints.

use std::collections::BTreeMap;

/// Test counts over everything that was run, and the share of the conformance cases per backend.
///
/// A case belongs to a backend if its path goes through `conformance::<backend>::`.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    conformance: BTreeMap<String, Cases>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Cases {
    passed: u64,
    failed: u64,
}

impl Counts {
    /// Nothing counted yet. Only these backends are told apart: other modules below one called `conformance` are
    /// tests of the suite itself.
    pub(crate) fn new(backends: impl Iterator<Item = String>) -> Self {
        Self { conformance: backends.map(|name| (name, Cases::default())).collect(), ..Self::default() }
    }

    /// Takes one line of output into account; lines that are neither a test nor a summary change nothing.
    pub(crate) fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test ") else {
            return;
        };
        if let Some(summary) = rest.strip_prefix("result: ") {
            // The totals come from the summaries: a test that prints to the terminal itself can break its own line.
            self.passed += number_before(summary, " passed");
            self.failed += number_before(summary, " failed");
        } else if let Some((path, verdict)) = rest.rsplit_once(" ... ") {
            self.read_case(path, verdict);
        }
    }

    fn read_case(&mut self, path: &str, verdict: &str) {
        let mut below = path.split("::").skip_while(|segment| *segment != "conformance").skip(1);
        let (Some(backend), Some(_)) = (below.next(), below.next()) else {
            return;
        };
        let Some(cases) = self.conformance.get_mut(backend) else {
            return;
        };
        match verdict.split_whitespace().next() {
            Some("ok") => cases.passed += 1,
            Some("FAILED") => cases.failed += 1,
            _ => (),
        }
    }

    /// The backends of which no case has passed.
    pub(crate) fn without_cases(&self) -> Vec<&str> {
        let unproven = self.conformance.iter().filter(|(_, cases)| cases.passed == 0);
        unproven.map(|(backend, _)| backend.as_str()).collect()
    }

    /// One line per backend.
    pub(crate) fn conformance_lines(&self) -> Vec<String> {
        let line = |(backend, cases): (&String, &Cases)| match cases.failed {
            0 => format!("conformance {backend}: {} cases passed", cases.passed),
            failed => format!("conformance {backend}: {} cases passed, {failed} failed", cases.passed),
        };
        self.conformance.iter().map(line).collect()
    }
}

/// The number that stands right before `unit`, or zero.
fn number_before(text: &str, unit: &str) -> u64 {
    let before = text.split(unit).next().filter(|before| before.len() < text.len());
    before.and_then(|before| before.rsplit(' ').next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(output: &str) -> Counts {
        let mut counts = Counts::new(["embedded", "other"].into_iter().map(str::to_owned));
        output.lines().for_each(|line| counts.read(line));
        counts
    }

    #[test]
    fn summaries_of_several_binaries_add_up() {
        let counts = counted(
            "running 3 tests\n\
             test a ... ok\n\
             test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: FAILED. 20 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!((counts.passed, counts.failed), (23, 2));
    }

    #[test]
    fn a_case_is_counted_for_the_backend_in_its_path() {
        let counts = counted(
            "test conformance::embedded::le_01_one_leader ... ok\n\
             test services::conformance::embedded::stores::cp_02 ... ok\n\
             test conformance::embedded::le_03 ... FAILED\n\
             test conformance::other::le_01 - should panic ... ok\n",
        );
        assert_eq!(
            counts.conformance_lines(),
            ["conformance embedded: 2 cases passed, 1 failed", "conformance other: 1 cases passed"]
        );
    }

    #[test]
    fn what_is_no_case_of_a_backend_is_not_counted_as_one() {
        let counts = counted(
            "test conformance::tests::a_mutant_is_caught ... ok\n\
             test conformance::embedded ... ok\n\
             test nonconformance::embedded::x ... ok\n\
             test conformance::embedded::x ... ignored, no server\n\
             printed by a test: conformance::embedded::x ... ok\n",
        );
        assert_eq!(counts.conformance["embedded"], Cases::default());
    }

    #[test]
    fn a_backend_without_a_passed_case_is_named() {
        let counts = counted("test conformance::other::x ... ok\ntest conformance::embedded::x ... FAILED\n");
        assert_eq!(counts.without_cases(), ["embedded"]);
    }

    #[test]
    fn lines_that_only_look_like_a_summary_count_nothing() {
        let counts = counted("test result: ok. many passed; few failed\ntest result:\n7 passed; 7 failed\n");
        assert_eq!((counts.passed, counts.failed), (0, 0));
    }
}
