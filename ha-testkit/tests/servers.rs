//! The real servers that tests start: they serve, obey, and leave nothing behind.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use ha_core::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::process::{Process, role};
use ha_testkit::run::block_on;
use ha_testkit::servers::consul::{Agent, Cluster, Options};
use rustix::process::{Pid, test_kill_process};

/// Runs a test that needs a server: skipped visibly where there is none, failed where `CI` is set.
fn with_server(test: impl Future<Output = Result<(), Missing>>) {
    if let Err(Missing(what)) = block_on(test) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        ha_testkit::run::tell(format_args!("SKIPPED: {what}"));
    }
}

async fn start(options: Options) -> Result<Agent, Missing> {
    Agent::start(Seam::system(), options).await
}

async fn value(agent: &Agent, key: &str) -> Option<String> {
    let answer = agent.ask("GET", &format!("/v1/kv/{key}?raw&consistent"), b"").await;
    (answer.status == 200).then(|| answer.text())
}

async fn put(agent: &Agent, key: &str, value: &str) {
    let answer = agent.ask("PUT", &format!("/v1/kv/{key}"), value.as_bytes()).await;
    assert_eq!((answer.status, answer.text().trim_end()), (200, "true"));
}

fn is_alive(id: u32) -> bool {
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    test_kill_process(pid).is_ok()
}

async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let seam = Seam::system();
    let looking = async {
        while !look() {
            seam.sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(seam.timeout(Duration::from_secs(60), looking).await.is_some(), "in vain: {what}");
}

#[test]
fn an_agent_that_was_dropped_leaves_nothing_also_after_a_panic() {
    with_server(async {
        let agent = start(Options::developer()).await?;
        put(&agent, "a", "1").await;
        assert_eq!(value(&agent, "a").await.as_deref(), Some("1"));
        let (id, folder, address) = (agent.id(), agent.folder().to_owned(), agent.address());
        assert!(is_alive(id) && folder.is_dir());
        let panicking = AssertUnwindSafe(async move {
            let _agent = agent;
            panic!("as a test does that fails");
        });
        assert!(panicking.catch_unwind().await.is_err());
        assert!(!is_alive(id) && !folder.exists(), "the agent outlived its value");
        assert!(std::net::TcpStream::connect(address).is_err());
        Ok(())
    });
}

#[test]
fn holds_an_agent() {
    role("holds_an_agent", |(): (), stage| async move {
        match start(Options::developer()).await {
            Ok(agent) => {
                stage.tell("holds", (agent.id(), agent.folder()));
                std::future::pending::<()>().await;
            }
            Err(Missing(what)) => stage.tell("missing", what),
        }
    });
}

#[test]
fn an_agent_does_not_outlive_a_test_process_that_is_killed() {
    block_on(async {
        let mut process = Process::spawn(Seam::system(), "holds_an_agent", &());
        let told = process.until("it has started", |events| events.first().cloned()).await;
        if told.name == "missing" {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {}", told.value);
            return ha_testkit::run::tell(format_args!("SKIPPED: {}", told.value));
        }
        let (id, folder): (u32, PathBuf) = serde_json::from_value(told.value).unwrap();
        assert!(is_alive(id) && folder.is_dir());
        process.kill();
        process.exited().await;
        eventually("its agent is gone", || !is_alive(id)).await;
        eventually("its folder is gone", || !folder.exists()).await;
    });
}

#[test]
fn a_server_keeps_its_data_over_its_end_and_goes_back_to_a_snapshot() {
    with_server(async {
        let mut agent = start(Options::server()).await?;
        let address = agent.address();
        put(&agent, "a", "1").await;
        agent.restart().await;
        assert_eq!(value(&agent, "a").await.as_deref(), Some("1"), "killed");
        agent.terminate();
        agent.exited().await;
        agent.restart().await;
        assert_eq!(value(&agent, "a").await.as_deref(), Some("1"), "asked to end");
        assert_eq!(agent.address(), address);

        let snapshot = agent.snapshot().await;
        put(&agent, "a", "2").await;
        put(&agent, "b", "new").await;
        agent.restore(&snapshot).await;
        assert_eq!(value(&agent, "a").await.as_deref(), Some("1"));
        assert_eq!(value(&agent, "b").await, None);
        Ok(())
    });
}

#[test]
fn a_stopped_agent_is_silent_until_it_goes_on() {
    with_server(async {
        let agent = start(Options::developer()).await?;
        put(&agent, "a", "1").await;
        agent.stop().await;
        let seam = Seam::system();
        let silent = seam.timeout(Duration::from_millis(300), value(&agent, "a")).await;
        assert_eq!(silent, None, "it stands still and answers");
        agent.cont();
        assert_eq!(value(&agent, "a").await.as_deref(), Some("1"));
        Ok(())
    });
}

#[test]
fn settings_reach_the_agent() {
    with_server(async {
        let settings = serde_json::json!({"session_ttl_min": "500ms", "limits": {"kv_max_value_size": 100}});
        let agent = start(Options::developer().with(settings)).await?;
        assert_eq!(agent.ask("PUT", "/v1/kv/a", &[b'x'; 101]).await.status, 413);
        let answer = agent.ask("PUT", "/v1/session/create", br#"{"TTL":"600ms"}"#).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Ok(())
    });
}

#[test]
fn a_token_allows_what_its_rules_say_and_nobody_else_anything() {
    with_server(async {
        let agent = start(Options::developer().with_acl()).await?;
        put(&agent, "mine/a", "1").await;
        let token =
            agent.token(r#"key_prefix "mine/" { policy = "write" } session_prefix "" { policy = "write" }"#).await;
        let status = async |token: Option<&str>, path: &str| agent.ask_as(token, "GET", path, b"").await.status;
        assert_eq!(status(Some(&token), "/v1/kv/mine/a").await, 200);
        assert_eq!(status(Some(&token), "/v1/kv/other").await, 403);
        assert_eq!(status(None, "/v1/kv/mine/a").await, 403);
        assert_eq!(status(Some("wrong"), "/v1/kv/mine/a").await, 403);
        Ok(())
    });
}

#[test]
fn an_agent_with_certificates_speaks_tls_beside_the_plain_port() {
    with_server(async {
        let agent = start(Options::developer().with_tls()).await?;
        put(&agent, "a", "1").await;
        let certificates = agent.certificates();
        for (file, begins) in [
            (certificates.authority(), "-----BEGIN CERTIFICATE"),
            (certificates.client(), "-----BEGIN CERTIFICATE"),
            (certificates.client_key(), "-----BEGIN"),
        ] {
            assert!(std::fs::read_to_string(&file).unwrap().starts_with(begins), "{}", file.display());
        }
        // The first bytes of a handshake that offers what no server takes: TLS answers with an alert.
        let tls = agent.tls_address();
        let alert = tokio::task::spawn_blocking(move || {
            use std::io::{Read as _, Write as _};
            let mut stream = std::net::TcpStream::connect(tls).unwrap();
            stream.write_all(&[22, 3, 1, 0, 4, 1, 0, 0, 0]).unwrap();
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            first[0]
        });
        assert_eq!(alert.await.unwrap(), 21, "no alert");
        Ok(())
    });
}

#[test]
fn a_client_agent_passes_on_and_leaves() {
    with_server(async {
        let server = start(Options::server()).await?;
        let mut client = start(Options::client_of(&server)).await?;
        put(&client, "a", "1").await;
        assert_eq!(value(&server, "a").await.as_deref(), Some("1"));
        client.leave().await;
        assert_eq!(value(&server, "a").await.as_deref(), Some("1"));
        Ok(())
    });
}

#[test]
fn three_servers_lose_their_leader_and_go_on() {
    with_server(async {
        let mut cluster = Cluster::start(Seam::system(), Options::server()).await?;
        put(&cluster.agents()[0], "a", "1").await;
        let all = [0, 1, 2];
        let leader = cluster.leader(&all).await;
        cluster.agent(leader).kill();
        let rest: Vec<usize> = all.into_iter().filter(|number| *number != leader).collect();
        let next = cluster.leader(&rest).await;
        assert_ne!(next, leader);
        put(&cluster.agents()[next], "b", "2").await;
        cluster.agent(leader).restart().await;
        cluster.complete().await;
        for agent in cluster.agents() {
            assert_eq!(value(agent, "a").await.as_deref(), Some("1"));
            assert_eq!(value(agent, "b").await.as_deref(), Some("2"));
        }
        Ok(())
    });
}
