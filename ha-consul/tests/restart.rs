//! The cases that restart the store, each over a Consul server of its own: the agent that the other cases share
//! keeps all in memory.

mod fixture;

use fixture::ConsulFactory;
use ha_testkit::backend::body;
use ha_testkit::run::{OnBackend, test};
use ha_testkit::{Capability, registry};

fn after_a_restart(name: &str) {
    let cases = registry::cases();
    let case = cases.iter().find(|case| case.name == name).expect("a case of that name");
    let open = OnBackend(ConsulFactory::lasting());
    test("restart::consul", case, open, &[Capability::Restart], |fixture| {
        body(name, fixture).expect("a case of that name")
    });
}

#[test]
fn b_30_the_epoch_grows_over_a_restart() {
    after_a_restart("b_30_the_epoch_grows_over_a_restart");
}

#[test]
fn b_79_what_was_acknowledged_survives_a_restart() {
    after_a_restart("b_79_what_was_acknowledged_survives_a_restart");
}

#[test]
fn every_case_that_restarts_the_store_stands_here() {
    let here = include_str!("restart.rs");
    for case in registry::cases().iter().filter(|case| case.needs.contains(&Capability::Restart)) {
        assert!(here.contains(&format!("fn {}()", case.name)), "{} is missing", case.name);
    }
}
