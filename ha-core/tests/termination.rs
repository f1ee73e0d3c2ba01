//! A real process is asked to end by a real signal. It is this test program, run once more.
#![cfg(all(unix, feature = "signal"))]
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions, shut_down_after, termination};
use ha_embedded::Embedded;

const AS_CHILD: &str = "HA_CORE_TEST_TERMINATION_CHILD";

/// A child that does not outlive its test.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may be gone already, which is all we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the child does; without the variable this test has nothing to do.
#[tokio::test]
async fn child() {
    if std::env::var_os(AS_CHILD).is_none() {
        return;
    }
    let asked = termination().unwrap();
    let seam = Seam::system();
    let backend = Arc::new(Embedded::new(seam.clone()).connect());
    let storage = StateStorage::open("memory://", seam.clone()).unwrap();
    let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam.clone()).unwrap();
    let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    println!("ready");
    let report = shut_down_after(asked, &services, &seam, Duration::from_secs(60)).await;
    println!("report {} valid={}", serde_json::to_string(&report).unwrap(), leadership.is_valid());
}

fn asked_by(signal: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(AS_CHILD, "1");
    let mut child = Owned(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("ready\n") {
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended before it was ready: {line}");
    }
    let kill = format!("kill -{signal} {}", child.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(child.0.wait().unwrap().success(), "it ends by itself and not by the signal: {rest}");
    rest
}

#[test]
fn a_process_that_gets_a_signal_gives_up_its_leadership_and_ends() {
    for (signal, trigger) in [("TERM", "Terminate"), ("INT", "Interrupt")] {
        let said = asked_by(signal);
        let expected = format!(r#"report {{"trigger":"{trigger}","resigned":"done","closed":"done""#);
        assert!(said.contains(&expected) && said.contains("valid=false"), "{said}");
    }
}
