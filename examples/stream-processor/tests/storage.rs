//! The demo with its states on a server that speaks S3, which is killed in the middle of the stream.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ha::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::servers::s3::S3;
use serde_json::{Value, json};
use tokio::process::Command;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long the server is away: shorter than the time for which it is tried again.
const AWAY: Duration = Duration::from_secs(3);

fn demo(words: &[&str], server: Option<&S3>, files: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stream-processor"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
    }
    command.envs(server.map(S3::variables).into_iter().flatten());
    command.args(words).env("TMPDIR", files).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How many checkpoints stand in the bucket.
fn checkpoints(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => checkpoints(&entry.path()),
            false => usize::from(entry.path().to_string_lossy().contains("/completedCheckpoint/")),
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_is_killed_in_the_middle_of_the_stream_delays_and_loses_nothing() {
    let (seam, files) = (Seam::system(), tempfile::tempdir().unwrap());
    let mut server = match S3::start(seam.clone()).await {
        Ok(server) => server,
        Err(Missing(what)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
            return eprintln!("SKIPPED: {what}");
        }
    };
    let words = ["--backend", "consul", "--storage", "s3://states/demo", "--kill", "2", "--events", "120000", "--json"];
    let child = demo(&words, Some(&server), files.path()).spawn().unwrap();
    let mut output = std::pin::pin!(child.wait_with_output());
    let began = seam.now();
    // Killed when the stream flows, which is before the first leader is killed or soon after.
    let ended = loop {
        if checkpoints(&server.bucket()) > 0 {
            server.kill();
            break None;
        }
        assert!(seam.now().since(began) < PATIENCE, "no checkpoint");
        if let Some(ended) = seam.timeout(Duration::from_millis(5), &mut output).await {
            break Some(ended);
        }
    };
    let killed = ended.is_none();
    let output = match ended {
        Some(ended) => ended,
        None => {
            assert!(seam.timeout(AWAY, &mut output).await.is_none(), "it ended without its storage");
            server.restart().await;
            seam.timeout(PATIENCE, output).await.expect("the demo ends by itself")
        }
    };
    let output = output.expect("its output");
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if errors.contains("nor a program to start one") {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {errors}");
        return eprintln!("SKIPPED: {errors}");
    }
    assert!(killed, "it ended before its first checkpoint: {}\n{out}\n{errors}", output.status);
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);
    let report: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let facts = (&report["verified"], &report["lost"], &report["duplicated"], &report["failovers"]);
    assert_eq!(facts, (&json!(true), &json!(0), &json!(0), &json!(2)), "{report}\n{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_without_credentials_is_told_before_anything_begins() {
    let (seam, files) = (Seam::system(), tempfile::tempdir().unwrap());
    let words = ["--storage", "s3://states/demo?endpoint=http://127.0.0.1:1", "--events", "1000"];
    let child = demo(&words, None, files.path()).spawn().unwrap();
    let output = seam.timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("AWS_SECRET_ACCESS_KEY"), "{errors}");
}
