//! Both programs, on every backend that they were built with.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::process::{Command, Output};

use ha_testkit::Missing;
use ha_testkit::servers::consul::{Agent, Options};

const BY_FEATURE: &str = env!("CARGO_BIN_EXE_by-feature");
const BY_NAME: &str = env!("CARGO_BIN_EXE_by-name");

fn ran(program: &str, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| name.starts_with("CONSUL_HTTP") || name.starts_with("HA_"));
        if ours {
            command.env_remove(name);
        }
    }
    command.args(words).envs(variables.iter().copied()).output().unwrap()
}

fn leads(output: &Output) {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("leads with fencing token"), "{out}\n{errors}");
}

/// What it says, in one line, when it does not run.
fn refused(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert!(!output.status.success() && errors.lines().count() == 1, "{errors}");
    errors
}

/// An agent, where there is Consul and the programs were built for it.
async fn agent() -> Option<Agent> {
    if !cfg!(feature = "consul") {
        return None;
    }
    match Agent::start(ha::seam::Seam::system(), Options::developer()).await {
        Ok(agent) => Some(agent),
        Err(Missing(what)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
            eprintln!("SKIPPED: {what}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feature_alone_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().display().to_string();
    let agent = agent().await;
    if cfg!(feature = "consul") && agent.is_none() {
        return;
    }
    let address = agent.as_ref().map_or_else(String::new, Agent::address);
    let variables = [("HA_CONSUL_ADDRESS", address.as_str()), ("HA_FILESYSTEM_DIRECTORY", &directory)];
    leads(&ran(BY_FEATURE, &[], &variables));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_or_a_file_chooses_among_those_that_it_was_built_with() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().display();
    let urls = [
        (cfg!(feature = "embedded"), "embedded://?cluster-id=/example".to_owned()),
        (cfg!(feature = "filesystem"), format!("filesystem://{directory}?cluster-id=/example")),
    ];
    for (built, url) in &urls {
        match built {
            true => leads(&ran(BY_NAME, &[url], &[])),
            false => assert!(refused(&ran(BY_NAME, &[url], &[])).contains("cargo feature"), "{url}"),
        }
    }
    if let Some(agent) = agent().await {
        let url = format!("consul://{}/swap?cluster-id=/example&storageDir=memory://", agent.address());
        leads(&ran(BY_NAME, &[&url], &[]));
        let file = folder.path().join("consul.yaml");
        let (host, port) = agent.address().rsplit_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
        let text = format!(
            "high-availability: {{type: consul, storageDir: 'file://{directory}/states', consul: {{host: {host}, port: {port}}}}}\n"
        );
        std::fs::write(&file, text).unwrap();
        leads(&ran(BY_NAME, &[&file.display().to_string()], &[]));
    }
    let file = folder.path().join("embedded.yaml");
    std::fs::write(&file, "high-availability.type: none\n").unwrap();
    leads(&ran(BY_NAME, &[&file.display().to_string()], &[("HA_TYPE", "none")]));
}

#[test]
fn what_cannot_be_opened_is_said_in_one_line() {
    for (name, word) in [
        ("redis://localhost:1", "there is: "),
        ("zookeeper://", "zookeeper"),
        ("embedded://?cluster-idd=x", "`cluster-id`"),
        ("no-such-file.yaml", "no-such-file.yaml"),
    ] {
        let said = refused(&ran(BY_NAME, &[name], &[]));
        assert!(said.contains(word), "{said}");
    }
}
