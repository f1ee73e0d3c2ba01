//! The demo over Consul, as it is started from a command line: every member a process, on a real agent.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use ha::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::servers::consul::{Agent, Options};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The demo, which knows of no agent but that at the address, and keeps its files in that folder.
fn demo(words: &[&str], address: Option<&str>, files: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stream-processor"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CONSUL_") && name != "CONSUL_BIN") {
            command.env_remove(name);
        }
    }
    if let Some(address) = address {
        command.env("CONSUL_HTTP_ADDR", address);
    }
    command.args(["--backend", "consul"]).args(words).env("TMPDIR", files).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn ended(child: Child, seam: &Seam) -> Output {
    seam.timeout(PATIENCE, child.wait_with_output()).await.expect("the demo ends by itself").expect("its output")
}

/// The object that it printed last, of a demo that was verified.
fn verified(output: &Output) -> Value {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);
    let report: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let facts = (&report["verified"], &report["lost"], &report["duplicated"], &report["backend"]);
    assert_eq!(facts, (&json!(true), &json!(0), &json!(0), &json!("consul")), "{report}\n{errors}");
    report
}

/// Runs a test on an agent; where there is no Consul, it is shown as skipped here, and fails where `CI` is set.
async fn on_an_agent(seam: &Seam) -> Option<Agent> {
    match Agent::start(seam.clone(), Options::developer()).await {
        Ok(agent) => Some(agent),
        Err(Missing(what)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
            eprintln!("SKIPPED: {what}");
            None
        }
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder of the test");
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

async fn until(seam: &Seam, what: &str, mut fits: impl AsyncFnMut() -> bool) {
    let give_up = seam.now() + PATIENCE;
    while !fits().await {
        assert!(seam.now() < give_up, "waited in vain: {what}");
        seam.sleep(Duration::from_millis(20)).await;
    }
}

/// How many sessions Consul knows.
async fn sessions(agent: &Agent) -> usize {
    let answer = agent.ask("GET", "/v1/session/list", b"").await;
    serde_json::from_str::<Vec<Value>>(&answer.text()).expect("a list").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_killed_on_an_agent_of_its_own_lose_and_double_nothing() {
    let (seam, files) = (Seam::system(), tempfile::tempdir().unwrap());
    let words = ["--kill", "2", "--events", "60000", "--json"];
    let output = ended(demo(&words, None, files.path()).spawn().unwrap(), &seam).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("nor a program to start one") {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {errors}");
        return eprintln!("SKIPPED: {errors}");
    }
    let report = verified(&output);
    assert_eq!((&report["kills"], &report["failovers"], &report["events"]), (&json!(2), &json!(2), &json!(60_000)));
    let times = report["failover_ms"].as_array().expect("a list");
    assert!(times.len() == 2 && report["failover_ms_median"].is_number(), "{report}");
    assert!(report["restored_checkpoint_ids"].as_array().expect("a list").iter().all(Value::is_u64), "{report}");
    assert!(errors.contains("has a result and is not run again"), "{errors}");
    assert_eq!(entries(files.path()), Vec::<String>::new(), "temporary files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_silence_alone_and_on_a_given_agent_it_succeeds_and_its_members_end() {
    let seam = Seam::system();
    let Some(agent) = on_an_agent(&seam).await else { return };
    let files = tempfile::tempdir().unwrap();
    let words = ["--kill", "1", "--events", "30000", "--presence", "off", "--silence-ms", "3000", "--json"];
    let output = ended(demo(&words, Some(&agent.address()), files.path()).spawn().unwrap(), &seam).await;
    let report = verified(&output);
    assert_eq!(report["failovers"], 1);
    // Whoever is killed leaves its session, which Consul ends by itself after the silence; the others have closed theirs.
    until(&seam, "no session is left", async || sessions(&agent).await == 0).await;
    let keys: Vec<String> = serde_json::from_str(&agent.ask("GET", "/v1/kv/?keys", b"").await.text()).expect("keys");
    assert!(keys.len() < 10 && keys.iter().all(|key| key.starts_with("flink/demo-")), "{keys:?}");
    assert_eq!(entries(files.path()), Vec::<String>::new(), "temporary files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_end_with_a_demo_that_is_killed() {
    let seam = Seam::system();
    let Some(agent) = on_an_agent(&seam).await else { return };
    let files = tempfile::tempdir().unwrap();
    let words = ["--kill", "1", "--events", "500000"];
    let mut child = demo(&words, Some(&agent.address()), files.path()).spawn().unwrap();
    until(&seam, "two job managers contend", async || sessions(&agent).await == 2).await;
    child.kill().await.unwrap();
    until(&seam, "both have resigned", async || sessions(&agent).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_agent_ends_with_it_when_it_is_interrupted_and_when_it_is_killed() {
    let seam = Seam::system();
    // The agent's program is there: the demo finds the same one.
    let Some(found) = on_an_agent(&seam).await else { return };
    drop(found);
    for signal in ["-INT", "-KILL"] {
        let files = tempfile::tempdir().unwrap();
        let mut child = demo(&["--events", "500000"], None, files.path()).spawn().unwrap();
        let mine = |entry: &String| entry.starts_with("stream-processor-consul-");
        let logged = || {
            let folder = entries(files.path()).into_iter().find(mine)?;
            std::fs::read_to_string(files.path().join(folder).join("log")).ok()
        };
        until(&seam, "its agent serves", async || logged().is_some_and(|log| log.contains("cluster leadership"))).await;
        let id = child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        let status = seam.timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), (signal == "-INT").then_some(130), "{signal}");
        // The folder goes after the agent.
        until(&seam, "its agent is gone", async || !entries(files.path()).iter().any(mine)).await;
    }
}
