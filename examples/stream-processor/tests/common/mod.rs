//! What the tests share: seeded choices, inputs, and the outside world of an engine.
#![allow(dead_code, reason = "every test binary uses its own part of it")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stream_processor::verify::{self, Verdict};
use stream_processor::{ExecutionPlan, SourceSpec};

/// Choices that replay from a seed.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll(256) as u8).collect()
    }
}

/// The answer, or a failure if there is none for far longer than any machine needs.
#[expect(clippy::disallowed_methods, reason = "a deadline that ends a hanging test; the engine itself has no clock")]
pub(crate) async fn within_deadline<T>(claim: &str, answer: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(240), answer).await {
        Ok(answer) => answer,
        Err(_elapsed) => panic!("hangs: {claim}"),
    }
}

pub(crate) fn plan(directory: &Path, source: SourceSpec) -> ExecutionPlan {
    ExecutionPlan {
        job: "test".to_owned(),
        source,
        parallelism: 3,
        window_ms: 1000,
        lateness_ms: 300,
        output: directory.join("output"),
    }
}

/// A plan over a file with these bytes.
pub(crate) fn plan_over(directory: &Path, input: &[u8]) -> ExecutionPlan {
    let path = directory.join("input");
    fs::write(&path, input).expect("the test directory is writable");
    plan(directory, SourceSpec::File { path })
}

/// Words, blank lines, accents, both kinds of line ends, and none at the very end.
pub(crate) fn text_input(dice: &mut Dice, lines: u64) -> Vec<u8> {
    let words = ["straße", "naïve", "日本語", "plain", "🦀crab", "Ωmega"];
    let mut text = String::new();
    for _ in 0..lines {
        let end = if dice.roll(3) == 0 { "\r\n" } else { "\n" };
        match dice.roll(20) {
            0 => text.push_str(end),
            _ => {
                let word = words[dice.roll(words.len() as u64) as usize];
                write!(text, "{word}{} and more{end}", dice.roll(9)).expect("memory");
            }
        }
    }
    text.push_str("the last line has no end");
    text.into_bytes()
}

/// Clicks, some of them late, some escaped, some broken in every way.
pub(crate) fn json_input(dice: &mut Dice, lines: u64) -> Vec<u8> {
    let mut input = Vec::new();
    for line in 0..lines {
        let (page, value) = (dice.roll(40), dice.roll(2001) as i64 - 1000);
        let lag_max_ms = if dice.roll(30) == 0 { 5000 } else { 200 };
        let time_ms = 50_000 + line * 2 - dice.roll(lag_max_ms);
        let text = match dice.roll(60) {
            0 => r#"{"value": 3}"#.to_owned(),
            1 => "{ not json".to_owned(),
            2 => format!(r#"{{"key": "p{page}", "ts": -{time_ms}}}"#),
            3 => format!(r#"{{"key": "p{page}", "value": {}}}"#, u64::MAX),
            4 => format!(r#"{{"key": "\u00e9\n{page}"}}"#),
            5 => format!(r#"{{"key": "\u00e9{page}", "ts": {time_ms}, "value": {value}}}"#),
            6 => format!(r#"{{"page": "p{page}", "ts": {time_ms}.75, "other": [1, {{}}]}}"#),
            _ => format!(r#"{{"key": "p{page}", "ts": {time_ms}, "value": {value}}}"#),
        };
        input.extend_from_slice(text.as_bytes());
        if dice.roll(400) == 0 {
            input.extend(vec![b'x'; 70_000 + dice.roll(200_000) as usize]);
        }
        if dice.roll(200) == 0 {
            input.extend_from_slice(&[0xff, 0xfe]);
        }
        input.push(b'\n');
    }
    input
}

pub(crate) fn judge(plan: &ExecutionPlan) -> Verdict {
    let expected = verify::expected(plan).expect("the input can be read");
    let verdict = verify::compare(&plan.output, &expected).expect("the output can be read");
    let rows: usize = expected.rows.values().map(std::collections::BTreeMap::len).sum();
    assert!(!verdict.is_exact() || verdict.rows == rows as u64, "the judge contradicts itself: {verdict}");
    verdict
}

/// File names in a directory, in order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("the directory exists")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("our names are ASCII"))
        .collect();
    names.sort();
    names
}

pub(crate) fn pending(plan: &ExecutionPlan) -> PathBuf {
    plan.output.join("pending")
}
