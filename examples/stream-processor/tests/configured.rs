//! The program as one configuration file says: the same one switches it between backends.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use ha::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::servers::consul::{Agent, Options};
use serde_json::{Value, json};
use tokio::process::Command;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The file: one line says which backend, the rest is for whichever it is.
fn file(folder: &Path, kind: &str, agent: &str) -> std::path::PathBuf {
    let (host, port) = agent.rsplit_once(':').unwrap_or(("localhost", "8500"));
    let shared = folder.join("shared");
    let text = format!(
        "high-availability.type: {kind}\n\
         high-availability:\n\
         \x20 cluster-id: /configured\n\
         \x20 storageDir: file://{states}\n\
         \x20 session.silence: 4 s\n\
         \x20 consul:\n\
         \x20   host: {host}\n\
         \x20   port: {port}\n\
         \x20   path.root: elsewhere\n\
         \x20 filesystem:\n\
         \x20   directory: {journal}\n\
         parallelism.default: 1\n",
        host = host.trim_start_matches("http://"),
        states = shared.join("states").display(),
        journal = shared.join("journal").display(),
    );
    let path = folder.join("config.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn ran(words: &[&str], config: &Path, files: &Path, seam: &Seam) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stream-processor"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CONSUL_") && name != "CONSUL_BIN") {
            command.env_remove(name);
        }
    }
    command.arg("--config").arg(config).args(words).env("TMPDIR", files).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    seam.timeout(PATIENCE, child.wait_with_output()).await.expect("it ends by itself").expect("its output")
}

/// That the run was verified on that backend.
fn verified(output: &Output, backend: &str) {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);
    let report: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let facts = (&report["verified"], &report["backend"], &report["failovers"]);
    assert_eq!(facts, (&json!(true), &json!(backend), &json!(1)), "{report}\n{errors}");
}

const WORDS: [&str; 5] = ["--events", "30000", "--kill", "1", "--json"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_of_a_file_switches_between_one_process_and_a_directory() {
    let (seam, files) = (Seam::system(), tempfile::tempdir().unwrap());
    for kind in ["embedded", "FileSystem"] {
        let config = file(files.path(), kind, "");
        verified(&ran(&WORDS, &config, files.path(), &seam).await, &kind.to_ascii_lowercase());
    }
    let below = |name: &str| files.path().join("shared").join(name);
    assert!(below("journal").join(".ha-journal").is_dir(), "the directory of the file was used");
    assert!(below("states").join("configured").is_dir(), "the cluster and the storage of the file were used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_line_switches_to_consul() {
    let (seam, files) = (Seam::system(), tempfile::tempdir().unwrap());
    let agent = match Agent::start(seam.clone(), Options::developer()).await {
        Ok(agent) => agent,
        Err(Missing(what)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
            return eprintln!("SKIPPED: {what}");
        }
    };
    let config = file(files.path(), "consul", &agent.address());
    verified(&ran(&WORDS, &config, files.path(), &seam).await, "consul");
    let keys: Vec<String> = serde_json::from_str(&agent.ask("GET", "/v1/kv/?keys", b"").await.text()).expect("keys");
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("elsewhere/configured/demo-")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_asks_for_what_there_is_not_is_refused_in_one_line() {
    let (seam, files) = (Seam::system(), tempfile::tempdir().unwrap());
    for (text, word) in [
        ("high-availability.type: ZOOKEEPER\n", "zookeeper"),
        (
            "high-availability.type: filesystem\nhigh-availability.storageDir: hdfs:///flink/ha\nhigh-availability.filesystem.directory: DIR\n",
            "hdfs://",
        ),
        ("high-availability.typo: x\n", "high-availability.type"),
    ] {
        let path = files.path().join("config.yaml");
        std::fs::write(&path, text.replace("DIR", &files.path().join("d").display().to_string())).unwrap();
        let output = ran(&WORDS, &path, files.path(), &seam).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(word), "{errors}");
    }
}
