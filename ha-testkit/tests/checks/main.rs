//! The checks accept what a correct cluster can do, and refuse every way of breaking them.

mod bad;
mod good;
mod history;
mod linearizability;
mod long;
mod story;

use std::collections::BTreeSet;
use std::path::Path;

use ha_testkit::checks::{self, Check, Linearizable, Verdict};
use ha_testkit::history::{Ending, read_lines, write_lines};

#[test]
fn every_good_history_passes_every_check() {
    for (name, history) in good::all() {
        let found = checks::judge(&history);
        assert!(found.is_empty(), "{name}: {}", found[0]);
    }
}

#[test]
fn every_bad_history_is_refused_by_the_check_that_is_meant_for_it() {
    for bad in bad::all() {
        let check = checks::all().into_iter().find(|check| check.name() == bad.check).expect("a check of that name");
        let violation = check.check(&bad.history).expect_err(bad.way);
        assert_eq!((violation.check, violation.verdict), (bad.check, Verdict::Broken), "{}", bad.way);
        // It can be read: a few events, and text.
        assert!(!violation.events.is_empty() && violation.events.len() <= 10, "{}: {violation}", bad.way);
        assert!(violation.events.iter().all(|event| bad.history.contains(event)), "{}: {violation}", bad.way);
    }
}

#[test]
fn every_check_has_a_history_that_it_refuses() {
    let refused: BTreeSet<&str> = bad::all().iter().map(|bad| bad.check).collect();
    for check in checks::all() {
        assert!(
            refused.contains(check.name()),
            "nothing shows that {:?} can fail: add a history to bad.rs",
            check.name()
        );
    }
}

#[test]
fn no_bad_history_is_bad_by_being_malformed() {
    for bad in bad::all().into_iter().filter(|bad| bad.check != checks::WellFormed.name()) {
        assert_eq!(checks::WellFormed.check(&bad.history), Ok(()), "{}", bad.way);
    }
}

#[test]
fn every_promise_stands_where_it_is_said_to() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder above the crate");
    let plain = |text: &str| {
        let text = text.replace("///", " ").replace("//!", " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let names: BTreeSet<&str> = checks::all().iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), checks::all().len(), "two checks have one name");
    for check in checks::all() {
        let place = check.promised_in();
        let text = std::fs::read_to_string(root.join(place.file)).expect(place.file);
        assert!(plain(&text).contains(&plain(place.words)), "{}: not found: {place}", check.name());
        assert!(check.promise().ends_with('.'), "{}: a sentence ends with a full stop", check.name());
    }
}

#[test]
fn too_little_work_is_told_and_is_no_pass() {
    let (_, history) = good::all().swap_remove(0);
    let violation = Linearizable { steps_max: 1 }.check(&history).expect_err("one step decides nothing");
    assert_eq!(violation.verdict, Verdict::Undecided);
    assert!(violation.to_string().starts_with("undecided: linearizable"), "{violation}");
}

#[test]
fn what_is_judged_does_not_depend_on_having_been_written_to_a_file() {
    let good = good::all().into_iter().map(|(_, history)| history);
    for history in good.chain(bad::all().into_iter().map(|bad| bad.history)) {
        let read = read_lines(write_lines(&history).as_bytes(), Ending::Whole).expect("what was written");
        assert_eq!(checks::judge(&read), checks::judge(&history));
    }
}

#[test]
fn no_check_panics_on_a_history_with_pieces_missing() {
    // As after a lost file: all sorts of returns without calls, lives without beginnings, orders turned round.
    let good = good::all().into_iter().map(|(_, history)| history);
    for history in good.chain(bad::all().into_iter().map(|bad| bad.history)) {
        for nth in 2..5 {
            let kept = history.iter().enumerate().filter(|(at, _)| at % nth != 0);
            drop(checks::judge(&kept.map(|(_, event)| event.clone()).collect::<Vec<_>>()));
        }
        drop(checks::judge(&history.iter().rev().cloned().collect::<Vec<_>>()));
    }
}
