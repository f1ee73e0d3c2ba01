//! A few seconds of chaos on each backend, and the proof that it can find something.

use std::time::Duration;

use chaos::{Failed, Kind, Options, Ran, Trouble, plan, run, worker};
use ha_testkit::run::block_on;
use ha_testkit::sim::Sabotage;

/// What workers are started as: this program, once more.
#[test]
fn worker() {
    worker::play_if_asked();
}

/// `None`: something is not here, which is shown, and fails where `CI` is set.
fn ran(options: Options) -> Option<Ran> {
    let again = options.replay();
    match block_on(run(options)) {
        Ok(ran) => {
            eprintln!("{again}\n{}", ran.summary);
            Some(ran)
        }
        Err(Failed::Missing(missing)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {}", missing.0);
            eprintln!("SKIPPED: {}", missing.0);
            None
        }
        Err(failed) => panic!("{failed}"),
    }
}

fn short(backend: Kind, seed: u64) -> Options {
    let (trouble, silence) = (Duration::from_secs(8), Duration::from_secs(2));
    Options { trouble, silence, seed, workers: 3, servers: 1, ..Options::on(backend) }
}

/// With the first seed that plans such trouble.
fn with(backend: Kind, troubles: &[Trouble]) -> Options {
    let mut all = (0..10_000).map(|seed| short(backend, seed));
    let has_all = |options: &Options| {
        let planned: Vec<Trouble> = plan(options).into_iter().map(|step| step.trouble).collect();
        troubles.iter().all(|trouble| planned.contains(trouble))
    };
    all.find(has_all).expect("one of so many seeds")
}

/// Nothing is broken, and the run was one that could have shown it.
fn assert_clean(ran: &Ran) {
    let told: String = ran.violations.iter().map(|violation| format!("\n{violation}")).collect();
    assert!(ran.is_clean(), "{told}\n{}", ran.findings.join("\n"));
    let summary = &ran.summary;
    assert!(summary.healed_after.is_some() && summary.fail_overs > 0 && !summary.faults.is_empty(), "{summary}");
    assert!(summary.outcomes.get("done").is_some_and(|done| *done > 0), "{summary}");
}

#[test]
fn worker_processes_on_consul_keep_every_promise_under_kills_pauses_and_partitions() {
    // Fails if any check finds a violation, or the cluster does not heal once the faults are over.
    let options = with(Kind::Consul, &[Trouble::Kill, Trouble::PauseInCommit, Trouble::Cut]);
    if let Some(ran) = ran(options) {
        assert_clean(&ran);
    }
}

#[test]
fn worker_processes_on_a_directory_keep_every_promise_under_kills_pauses_and_a_full_disk() {
    // As above.
    let options = with(Kind::Filesystem, &[Trouble::Kill, Trouble::PauseInCommit, Trouble::FullDisk]);
    if let Some(ran) = ran(options) {
        assert_clean(&ran);
    }
}

#[test]
fn a_fence_that_is_missing_is_found_though_every_deadline_is_kept() {
    // Fails if a leader that stands still between its last look at the clock and its write, and finds another in its place
    // when it goes on, may write: the fence alone holds it back.
    let (sabotage, only) = (vec![Sabotage::Unfenced], vec![Trouble::PauseInCommit]);
    let ran = ran(Options { sabotage, only, ..short(Kind::Filesystem, 5) }).expect("a directory is everywhere");
    let found = ran.findings.iter().any(|finding| finding.contains("was not fenced"));
    assert!(found, "{:?}\n{}", ran.findings, ran.summary);
}

#[test]
fn a_fence_that_is_missing_and_a_deadline_that_never_comes_are_found() {
    // Fails if what the workers' backends are robbed of is missed by nobody: then a clean run would prove nothing.
    let sabotage = vec![Sabotage::Unfenced, Sabotage::EndlessDeadline];
    let only = vec![Trouble::LongPause, Trouble::PauseInCommit];
    let options = Options { sabotage, only, ..short(Kind::Filesystem, 5) };
    let ran = ran(options).expect("a directory is everywhere");
    let found: Vec<&str> = ran.violations.iter().map(|violation| violation.check).collect();
    assert!(found.contains(&"silence is patient"), "{found:?}\n{}", ran.summary);
    // What a deposed leader wrote shows as one of these, whichever came first, or is told by the leader itself.
    let shows = ["old terms write nothing", "acknowledged writes survive", "linearizable"];
    let told = ran.findings.iter().any(|finding| finding.contains("was not fenced"));
    assert!(told || shows.iter().any(|check| found.contains(check)), "{found:?}\n{}", ran.summary);
}
