//! The command line: its commands, and their flags.

use crate::fuzz::Fuzzing;
use crate::nearest::nearest;
use crate::steps::STEPS;

/// Every command with its line of help.
const COMMANDS: [(&str, &str); 9] = [
    ("test", "run every step below, stopping at the first that fails"),
    ("docs", "rewrite the documents that are generated from the code"),
    ("sim", "simulate whole clusters, one for each seed, and judge them"),
    ("chaos", "hinder real processes on a real backend, and judge what they did"),
    ("fuzz", "try the decoders with mutated bytes, for a time: `fuzz [--seconds N] [TARGET]`"),
    ("soak", "run everything in cycles for minutes or simulated hours, and judge whether anything grows"),
    ("servers", "find the real servers that tests start, or unpack them below the target folder"),
    ("fix", "apply clippy's own repairs, then format"),
    ("help", "this text"),
];

const FLAGS: [(&str, &str); 12] = [
    ("--only STEP[,STEP]", "test: run only these steps, in their usual order"),
    ("--keep-going", "test: run all steps even if one fails"),
    (
        "--seeds N",
        "sim: so many seeds, from 0 on or from `--from S`; `--regressions`: those that once failed; `--mutants`: what is broken on purpose",
    ),
    ("--seed S", "sim: this seed alone, as a failure says it"),
    ("--backend NAME", "sim: all on `model` or `journal`, instead of in turn"),
    ("--minutes N, --hours N", "soak: so long, of real or of simulated time; `--leak task` and others must be found"),
    ("--history FILE", "sim: with one seed: everything that happened, as lines of JSON"),
    ("--page FILE", "sim: with one seed: its timeline, as one HTML page to look at"),
    ("--seconds N", "fuzz: so many for each target; 60 unless told"),
    ("--backend NAME", "chaos: `consul` or `filesystem`"),
    ("--seconds N", "chaos: for how long; `--seed S` chooses the faults, `--workers K` says how many processes"),
    ("--page FILE", "chaos: the timeline as a page; `--history FILE`, `--keep DIR`: what it was made of"),
];

/// What one invocation asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Test(Selection),
    Docs,
    /// The words for the simulation, which knows them itself.
    Sim(Vec<String>),
    /// The words for the chaos, which knows them itself.
    Chaos(Vec<String>),
    Fuzz(Fuzzing),
    /// The words for the soak, which knows them itself.
    Soak(Vec<String>),
    Servers,
    Fix,
    Help,
}

/// Which steps run, and what a failure does to those after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Step names; empty means all of them.
    pub(crate) only: Vec<String>,
    pub(crate) on_failure: OnFailure,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    #[default]
    Stop,
    KeepGoing,
}

/// Reads the words after `cargo xtask`.
///
/// # Errors
/// A message for the user that names the word that was not understood and the closest one that would be.
pub(crate) fn parse(words: &[String]) -> Result<Command, String> {
    let (command, rest) = words.split_first().ok_or("a command is missing")?;
    let plain = |command| match rest.first() {
        None => Ok(command),
        Some(word) => Err(format!("`{word}` is not understood here: this command takes no arguments")),
    };
    match command.as_str() {
        "test" => selection(rest).map(Command::Test),
        "sim" => Ok(Command::Sim(rest.to_vec())),
        "chaos" => Ok(Command::Chaos(rest.to_vec())),
        "fuzz" => Fuzzing::parse(rest).map(Command::Fuzz),
        "soak" => Ok(Command::Soak(rest.to_vec())),
        "docs" => plain(Command::Docs),
        "servers" => plain(Command::Servers),
        "fix" => plain(Command::Fix),
        "help" | "--help" | "-h" => plain(Command::Help),
        other => Err(unknown("command", other, COMMANDS.iter().map(|(name, _)| *name))),
    }
}

fn selection(words: &[String]) -> Result<Selection, String> {
    let mut selection = Selection::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("--only", "") => {
                let names = words.next().ok_or("`--only` needs the name of a step")?;
                selection.only.extend(step_names(names)?);
            }
            ("--only", names) => selection.only.extend(step_names(names)?),
            ("--keep-going", "") => selection.on_failure = OnFailure::KeepGoing,
            _ => {
                return Err(unknown("argument", word, ["--only", "--keep-going"].into_iter()));
            }
        }
    }
    Ok(selection)
}

fn step_names(list: &str) -> Result<Vec<String>, String> {
    let known = || STEPS.iter().map(|step| step.name);
    list.split(',')
        .map(|name| match known().any(|step| step == name) {
            true => Ok(name.to_owned()),
            false => Err(unknown("step", name, known())),
        })
        .collect()
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(name) => format!("unknown {what} `{word}`; did you mean `{name}`?"),
        None => format!("unknown {what} `{word}`"),
    }
}

/// The text of `cargo xtask help`.
pub(crate) fn help() -> String {
    let mut text = String::from("usage: cargo xtask <command> [flags]\n");
    let mut table = |title: &str, rows: &mut dyn Iterator<Item = (&str, &str)>| {
        text.push_str(&format!("\n{title}:\n"));
        rows.for_each(|(name, what)| text.push_str(&format!("  {name:<20} {what}\n")));
    };
    table("commands", &mut COMMANDS.into_iter());
    table("flags", &mut FLAGS.into_iter());
    table("steps of `test`", &mut STEPS.iter().map(|step| (step.name, step.what)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_select_steps_and_what_a_failure_does() {
        let expected = |only: &[&str], on_failure| {
            Ok(Command::Test(Selection { only: only.iter().map(|name| (*name).to_owned()).collect(), on_failure }))
        };
        assert_eq!(parsed("test"), expected(&[], OnFailure::Stop));
        assert_eq!(parsed("test --keep-going"), expected(&[], OnFailure::KeepGoing));
        assert_eq!(parsed("test --only layers,clippy"), expected(&["layers", "clippy"], OnFailure::Stop));
        assert_eq!(parsed("test --only=layers"), expected(&["layers"], OnFailure::Stop));
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_nearest_known_one() {
        for (line, word, suggestion) in [
            ("tset", "tset", "`test`"),
            ("test --only clipy", "clipy", "`clippy`"),
            ("test --keepgoing", "--keepgoing", "`--keep-going`"),
        ] {
            let message = parsed(line).unwrap_err();
            assert!(message.contains(word) && message.contains(suggestion), "{message}");
        }
    }

    #[test]
    fn words_that_nothing_would_read_are_refused() {
        for line in ["", "fix now", "servers now", "docs --keep-going", "test --only", "test --only layers,"] {
            assert!(parsed(line).is_err(), "`{line}` was accepted");
        }
    }

    #[test]
    fn programs_of_their_own_get_their_words_as_they_are() {
        let words = || vec!["--seed".to_owned(), "7".to_owned()];
        assert_eq!(parsed("sim --seed 7"), Ok(Command::Sim(words())));
        assert_eq!(parsed("chaos --seed 7"), Ok(Command::Chaos(words())));
        assert_eq!(parsed("soak --seed 7"), Ok(Command::Soak(words())));
    }

    #[test]
    fn help_lists_every_command_flag_and_step() {
        let text = help();
        let names = COMMANDS.iter().map(|row| row.0).chain(FLAGS.iter().map(|row| row.0));
        for name in names.chain(STEPS.iter().map(|step| step.name)) {
            assert!(text.contains(&format!("  {name}")), "`{name}` is missing");
        }
    }
}
