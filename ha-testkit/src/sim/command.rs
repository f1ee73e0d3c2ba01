//! The command line of the simulation.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ha_core::seam::Seam;

use super::{Mutant, Noticed, REGRESSIONS, Ran, Scenario, Storage, Summary, mutants, simulate};
use crate::checks;
use crate::history::write_lines;
use crate::page::Page;

/// How many seeds there are by default.
const SEEDS: u64 = 1000;
/// So many failing seeds are told; then no other is begun.
const FAILURES_MAX: usize = 5;
/// How many of the last events are told of a seed that fails.
const LAST: usize = 30;

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    first: u64,
    seeds: u64,
    storage: Option<Storage>,
    history: Option<String>,
    page: Option<String>,
    regressions: bool,
    mutants: bool,
}

fn parse(words: &[String]) -> Result<Wanted, String> {
    let mut wanted =
        Wanted { first: 0, seeds: SEEDS, storage: None, history: None, page: None, regressions: false, mutants: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--regressions" {
            wanted.regressions = true;
            continue;
        }
        if word == "--mutants" {
            wanted.mutants = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("`{word}` needs a value, or is not known"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("`{word} {value}`: not a number"));
        match word.as_str() {
            "--seeds" => wanted.seeds = number()?,
            "--from" => wanted.first = number()?,
            "--seed" => (wanted.first, wanted.seeds) = (number()?, 1),
            "--history" => wanted.history = Some(value.clone()),
            "--page" => wanted.page = Some(value.clone()),
            "--backend" => {
                let known = [Storage::Model, Storage::Journal].into_iter().find(|storage| storage.name() == value);
                wanted.storage = Some(known.ok_or_else(|| format!("`{value}`: there are `model` and `journal`"))?);
            }
            _ => {
                let known = "--seeds N, --seed S, --from S, --backend model|journal, --history FILE, --page FILE, \
                             --regressions, --mutants";
                return Err(format!("unknown argument `{word}`; there are {known}"));
            }
        }
    }
    if wanted.history.is_some() && wanted.seeds != 1 {
        return Err("`--history` is the history of one seed: say which by `--seed S`".into());
    }
    if wanted.page.is_some() && wanted.seeds != 1 {
        return Err("`--page` shows the history of one seed: say which by `--seed S`".into());
    }
    Ok(wanted)
}

/// The timeline of a world. Violations that were found in it are shown with their events.
fn page(ran: &Ran) -> String {
    let scenario = &ran.scenario;
    let mut page = Page::new(format!("Simulation of seed {}", scenario.seed), &ran.history)
        .fact("storage", scenario.storage.name())
        .fact("again", scenario.replay());
    let judged = checks::judge(&ran.history);
    for finding in &ran.findings {
        page = match judged.iter().find(|violation| violation.check == finding.check) {
            Some(violation) => page.violations(std::slice::from_ref(violation)),
            None => page.finding(&finding.check, &finding.text),
        };
    }
    page.to_string()
}

/// Does what those words ask for, on all cores; whether every world was as it must be.
///
/// # Errors
/// A text for people: the words are not understood, or the history cannot be written.
pub fn command(words: &[String]) -> Result<bool, String> {
    let wanted = parse(words)?;
    if wanted.mutants {
        return Ok(tell_of_mutants());
    }
    let seam = Seam::system();
    let began = seam.now();
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let all = match wanted.regressions {
        true => REGRESSIONS.len() as u64,
        false => wanted.seeds,
    };
    let scenario = |number: u64| {
        let scenario = match wanted.regressions {
            true => REGRESSIONS[number as usize].scenario(),
            false => Scenario::of(wanted.first + number),
        };
        wanted.storage.map_or(scenario, |storage| scenario.on(storage))
    };
    let work = || {
        let mut summary = Summary::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= all || failed.lock().unwrap_or_else(PoisonError::into_inner).len() >= FAILURES_MAX {
                return Ok(summary);
            }
            let ran = simulate(scenario(number));
            summary.add(&ran);
            if let Some(file) = &wanted.history {
                let lines = write_lines(&ran.history);
                std::fs::write(file, lines).map_err(|error| format!("{file}: {error}"))?;
            }
            if let Some(file) = &wanted.page {
                std::fs::write(file, page(&ran)).map_err(|error| format!("{file}: {error}"))?;
            }
            if !ran.findings.is_empty() {
                tell(&ran);
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(ran.scenario.seed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(all as usize).max(1);
    let summaries: Result<Vec<Summary>, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a world panicked".to_owned())?).collect()
    });
    let mut summary = Summary::default();
    summaries?.into_iter().for_each(|part| summary.join(part));
    let took = seam.now().since(began);
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    report(&summary, took, threads, &failed);
    Ok(failed.is_empty())
}

/// Looks for every mutant, and tells as a table within how many seeds it has to be found, and by which it was.
fn tell_of_mutants() -> bool {
    let mut out = std::io::stdout().lock();
    let mut all_found = true;
    // Nobody may be listening.
    let _ = writeln!(out, "{:<36} {:>7} {:>8}  found by", "mutant", "seeds", "found");
    for mutant in mutants() {
        let _ = match mutant.noticed {
            Noticed::Elsewhere { why, case } => {
                writeln!(out, "{:<36} {:>7} {:>8}  {case}: {why}", mutant.name(), "-", "-")
            }
            Noticed::Within(seeds) => match find(&mutant, seeds) {
                Some((by, checks)) => {
                    writeln!(out, "{:<36} {seeds:>7} {:>8}  {}", mutant.name(), by + 1, checks.join(", "))
                }
                None => {
                    all_found = false;
                    writeln!(out, "{:<36} {seeds:>7} {:>8}", mutant.name(), "NOT")
                }
            },
        };
    }
    all_found
}

/// The first seed that finds it, and the checks that do.
fn find(mutant: &Mutant, seeds: u64) -> Option<(u64, Vec<String>)> {
    (0..seeds).find_map(|seed| {
        let ran = simulate(mutant.scenario(seed));
        let checks = ran.findings.into_iter().map(|finding| finding.check).collect::<Vec<_>>();
        (!checks.is_empty()).then_some((seed, checks))
    })
}

fn report(summary: &Summary, took: Duration, threads: usize, failed: &[u64]) {
    let rate = summary.seeds as f64 / took.as_secs_f64().max(0.001);
    let mut out = std::io::stdout().lock();
    // Nobody may be listening.
    let _ = write!(out, "{summary}");
    let _ = writeln!(out, "wall time        {:.1} s on {threads} cores: {rate:.0} seeds a second", took.as_secs_f64());
    let _ = match failed.is_empty() {
        true => writeln!(out, "all is as it must be"),
        false => writeln!(out, "FAILED: seeds {failed:?}"),
    };
}

/// Tells of a world that is not as it must be, and how to see it again.
fn tell(ran: &Ran) {
    let mut out = std::io::stdout().lock();
    let scenario = &ran.scenario;
    let _ = writeln!(out, "\nseed {} on the {} FAILED", scenario.seed, scenario.storage.name());
    for finding in &ran.findings {
        let _ = writeln!(out, "  {}: {}", finding.check, finding.text);
    }
    let _ = writeln!(out, "  the last events:");
    for event in &ran.history[ran.history.len().saturating_sub(LAST)..] {
        let _ = writeln!(out, "    {event}");
    }
    let _ = writeln!(out, "  again: {}\n", scenario.replay());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Wanted, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_understood_or_refused_by_name() {
        let wanted = parsed("--seed 7 --backend journal --history h.jsonl --page p.html").unwrap();
        assert_eq!((wanted.first, wanted.seeds, wanted.storage), (7, 1, Some(Storage::Journal)));
        assert!(parsed("").is_ok_and(|wanted| wanted.seeds == SEEDS));
        for line in ["--seed", "--seeds x", "--sed 7", "--backend consul", "--seeds 2 --history h", "--page p"] {
            assert!(parsed(line).is_err(), "`{line}` was accepted");
        }
    }
}
