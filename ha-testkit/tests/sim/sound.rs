//! Worlds in which nothing is broken but what the seed breaks.

use ha_testkit::history::What;
use ha_testkit::sim::{REGRESSIONS, Ran, Scenario, Storage, Summary, simulate};

/// From so far on, so that these are not the first seeds that `cargo xtask sim` runs.
const FROM: u64 = 1_000_000;
const SEEDS: u64 = 2;

#[track_caller]
fn assert_sound(ran: &Ran) {
    let findings: Vec<String> = ran.findings.iter().map(|of| format!("{}: {}", of.check, of.text)).collect();
    assert!(findings.is_empty(), "{}\nagain: {}", findings.join("\n"), ran.scenario.replay());
    let led = ran.history.iter().filter(|event| matches!(event.what, What::Granted { .. })).count();
    let returned = ran.history.iter().filter(|event| matches!(event.what, What::Returned { .. })).count();
    assert!(led > 0 && returned > 20, "something must have happened: {led} grants, {returned} answers");
}

#[test]
fn every_promise_holds_on_the_model_whatever_the_seed_brings() {
    (FROM + 8..FROM + 8 + SEEDS).for_each(|seed| assert_sound(&simulate(Scenario::of(seed).on(Storage::Model))));
}

#[test]
fn every_promise_holds_on_a_journal_whatever_the_seed_brings() {
    (FROM + 8..FROM + 8 + SEEDS).for_each(|seed| assert_sound(&simulate(Scenario::of(seed).on(Storage::Journal))));
}

#[test]
fn every_situation_that_the_checks_are_about_comes_up() {
    // A check that never has anything to judge proves nothing. What is rare comes up in one of these.
    let mut summary = Summary::default();
    for seed in FROM..FROM + 8 {
        let ran = simulate(Scenario::of(seed));
        assert_sound(&ran);
        summary.add(&ran);
    }
    let never: Vec<_> = summary.exercised.iter().filter(|(_, times)| **times == 0).collect();
    assert!(!summary.exercised.is_empty() && never.is_empty(), "never: {never:?}\n{summary}");
}

#[test]
fn seeds_that_once_found_something_find_nothing() {
    REGRESSIONS.iter().for_each(|regression| assert_sound(&simulate(regression.scenario())));
}
