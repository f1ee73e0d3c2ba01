//! A soak can fail: whatever is leaked on purpose is found, and found as what it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ha_core::seam::Seam;
use ha_testkit::ledger::counted;
use ha_testkit::sim;
use soak::{ConsulPlace, EmbeddedPlace, FilesystemPlace, Gauge, Leak, Place, Report, soak};

const HOURS: Duration = Duration::from_secs(5 * 3600);
const REST: Duration = Duration::from_secs(600);

/// Memory, descriptors and threads are those of the whole process: what ends beside a leak hides it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn leaking(leak: Leak) -> Report {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    sim::run(1, async |seam| {
        let (seam, counts) = counted(seam);
        let place = Arc::new(EmbeddedPlace::new(&seam));
        soak(place, (seam, counts), (HOURS, REST), Some(leak), |_| {}).await.expect("a soak without a fault")
    })
}

/// On a disk or a server time is not simulated: as few cycles as there may be.
async fn shortly(leak: Leak, make: impl AsyncFnOnce(&Seam) -> Option<Arc<dyn Place>>) -> Option<Report> {
    let (seam, counts) = counted(Seam::system());
    let place = make(&seam).await?;
    let times = (Duration::from_millis(1), Duration::ZERO);
    Some(soak(place, (seam, counts), times, Some(leak), |_| {}).await.expect("a soak without a fault"))
}

fn on_a_real_clock(leak: Leak, make: impl AsyncFnOnce(&Seam) -> Option<Arc<dyn Place>>) -> Option<Report> {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(shortly(leak, make))
}

#[track_caller]
fn found(leak: Leak) {
    found_in(leak, &leaking(leak));
}

#[track_caller]
fn found_in(leak: Leak, report: &Report) {
    assert!(report.growing().contains(&leak.found_as()), "{leak:?} was not found:\n{report}");
    assert!(!report.is_steady());
}

#[test]
fn a_leaked_task_is_found() {
    found(Leak::Task);
}

#[test]
fn a_leaked_timer_is_found() {
    found(Leak::Timer);
}

#[test]
fn a_leaked_thread_is_found() {
    found(Leak::Thread);
}

#[test]
fn a_leaked_session_and_its_latch_are_found() {
    let report = leaking(Leak::Session);
    found_in(Leak::Session, &report);
    assert!(report.growing().contains(&Gauge::Latches), "{report}");
}

#[test]
fn a_leaked_connection_is_found() {
    found(Leak::Connection);
}

#[test]
fn a_leaked_watch_is_found() {
    found(Leak::Watch);
}

#[test]
fn a_leaked_file_is_found() {
    let place =
        async |seam: &Seam| Some(Arc::new(FilesystemPlace::new(seam, None, 64).expect("a folder")) as Arc<dyn Place>);
    found_in(Leak::File, &on_a_real_clock(Leak::File, place).expect("a directory is everywhere"));
}

#[test]
fn a_leaked_check_is_found() {
    let place = async |seam: &Seam| match ConsulPlace::start(seam).await {
        Ok(place) => Some(Arc::new(place) as Arc<dyn Place>),
        Err(missing) => {
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            println!("SKIPPED: {missing}");
            None
        }
    };
    if let Some(report) = on_a_real_clock(Leak::Check, place) {
        found_in(Leak::Check, &report);
    }
}

#[test]
fn a_leaked_descriptor_is_found() {
    found(Leak::Descriptor);
}

#[test]
fn a_leaked_key_is_found() {
    found(Leak::Key);
}

#[test]
fn leaked_memory_is_found() {
    found(Leak::Memory);
}
