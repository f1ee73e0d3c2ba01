//! In short: nothing grows. Alone in its process, for descriptors and memory are the whole process's.

use std::sync::Arc;
use std::time::Duration;

use ha_core::seam::Seam;
use ha_testkit::ledger::counted;
use ha_testkit::sim;
use soak::{EmbeddedPlace, FilesystemPlace, Gauge, JournalPlace, Place, Report, soak};

/// What is allocated grows until every bounded memory of the past is full, which takes some hundred cycles. The long
/// runs judge it; a short one would find growth where there is none.
fn assert_steady(what: &str, report: &Report) {
    let growing: Vec<Gauge> = report.growing().into_iter().filter(|gauge| *gauge != Gauge::Allocated).collect();
    assert!(growing.is_empty(), "{what}: {growing:?}\n{report}");
}

fn simulated(make: impl Fn(&Seam) -> Arc<dyn Place>) -> Report {
    sim::run(1, async |seam| {
        let (seam, counts) = counted(seam);
        let hours = Duration::from_secs(5 * 3600);
        let place = make(&seam);
        soak(place, (seam, counts), (hours, Duration::from_secs(600)), None, |_| {}).await.expect("no fault")
    })
}

#[test]
fn nothing_grows_in_simulated_hours_nor_in_a_directory() {
    assert_steady("embedded", &simulated(|seam| Arc::new(EmbeddedPlace::new(seam))));
    assert_steady("journal", &simulated(|seam| Arc::new(JournalPlace::new(seam, 64))));

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let report = runtime.block_on(async {
        let (seam, counts) = counted(Seam::system());
        let place = Arc::new(FilesystemPlace::new(&seam, None, 64).expect("a folder"));
        soak(place, (seam, counts), (Duration::from_secs(4), Duration::ZERO), None, |_| {}).await.expect("no fault")
    });
    assert_steady("filesystem", &report);
}
