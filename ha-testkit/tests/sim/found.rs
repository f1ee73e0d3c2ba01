//! What is broken on purpose is found, within a stated number of seeds.

use ha_testkit::mutants::Defect;
use ha_testkit::sim::{Sabotage, Scenario, Storage, simulate};

/// Says after how many seeds it was found, and by which checks.
#[track_caller]
fn assert_found(what: &str, within: u64, scenario: impl Fn(u64) -> Scenario) {
    for seed in 0..within {
        let ran = simulate(scenario(seed));
        if !ran.findings.is_empty() {
            let checks: Vec<&str> = ran.findings.iter().map(|finding| finding.check.as_str()).collect();
            println!("{what}: found by seed {seed}: {}", checks.join(", "));
            return;
        }
    }
    panic!("{what} was not found by {within} seeds");
}

macro_rules! defects {
    ($($name:ident: $defect:ident within $seeds:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_found(stringify!($defect), $seeds, |seed| Scenario::of(seed).with_defect(Defect::$defect));
        })*
    };
}

macro_rules! sabotages {
    ($($name:ident: $sabotage:ident on $storage:ident within $seeds:literal;)*) => {
        $(#[test]
        fn $name() {
            let scenario = |seed| Scenario::of(seed).on(Storage::$storage).with_sabotage(Sabotage::$sabotage);
            assert_found(stringify!($sabotage), $seeds, scenario);
        })*
    };
}
