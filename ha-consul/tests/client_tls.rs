//! TLS to real agents, which ask for a certificate of the client (`verify_incoming`).
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ha_consul::{Consul, ConsulSettings, Tls};
use ha_core::backend::{Backend, Commit, Expect, Key, Mark, Outcome, Prefix, Scope, SessionOptions};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use ha_testkit::Missing;
use ha_testkit::run::block_on;
use ha_testkit::servers::consul::{Agent, Options, program};
use serde_json::json;

/// Runs it over an agent that speaks TLS, or shows that it was not.
fn with_agent(options: Options, test: impl AsyncFnOnce(Seam, Agent)) {
    let run = async {
        let seam = Seam::system();
        let agent = Agent::start(seam.clone(), options.with_tls()).await?;
        test(seam, agent).await;
        Ok(())
    };
    if let Err(Missing(what)) = block_on(run) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        eprintln!("SKIPPED: {what}");
    }
}

/// All that the agent asks for.
fn complete(agent: &Agent) -> Tls {
    let certificates = agent.certificates();
    Tls {
        ca_file: Some(certificates.authority()),
        cert_file: Some(certificates.client()),
        key_file: Some(certificates.client_key()),
        ..Tls::default()
    }
}

fn settings(agent: &Agent, tls: Tls) -> ConsulSettings {
    ConsulSettings { tls, ..ConsulSettings::at(format!("https://{}", agent.tls_address())) }
}

async fn connect(agent: &Agent, tls: Tls, seam: &Seam) -> Result<Consul, Error> {
    Consul::connect(settings(agent, tls), seam.clone()).await
}

/// Another authority than the agent's, in a folder of its own.
fn another_authority() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(program().unwrap()).args(["tls", "ca", "create"]).current_dir(&folder).output().unwrap();
    assert!(made.status.success());
    let file = folder.path().join("consul-agent-ca.pem");
    (folder, file)
}

fn unavailable(result: Result<Consul, Error>, says: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.may_have_applied()), (ErrorKind::Unavailable, false), "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn a_client_with_its_certificate_does_all_that_it_does_without_tls() {
    with_agent(Options::developer(), async |seam, agent| {
        let consul = connect(&agent, complete(&agent), &seam).await.unwrap();
        let (place, key) = (Prefix::new("ha").unwrap(), Key::new("ha/key").unwrap());
        let seen = consul.list(&place).await.unwrap().mark;
        assert_ne!(seen, Mark::UNSEEN);
        let put = Commit::new(seam.write_id()).put(key.clone(), Expect::Absent, "value".into());
        assert!(matches!(consul.commit(&put).await.unwrap(), Outcome::Applied { .. }));
        let scope = Scope::Below(place);
        let changed = seam.timeout(Duration::from_secs(60), consul.changed(&scope, &seen)).await;
        changed.expect("a change that is seen").unwrap();
        let silence = Duration::from_secs(10);
        let session = consul.open_session(&SessionOptions { silence, label: "tls".into() }).await.unwrap();
        session.close().await.unwrap();
        assert_eq!(agent.ask("GET", "/v1/kv/ha/key?raw", b"").await.text(), "value");
    });
}

#[test]
fn a_folder_of_authorities_serves_as_their_file_does() {
    with_agent(Options::developer(), async |seam, agent| {
        let (folder, _) = another_authority();
        let with_key = folder.path().join("consul-agent-ca-key.pem");
        std::fs::remove_file(with_key).unwrap();
        let by_folder = Tls { ca_file: None, ca_path: Some(folder.path().into()), ..complete(&agent) };
        unavailable(connect(&agent, by_folder.clone(), &seam).await, "UnknownIssuer");
        std::fs::copy(agent.certificates().authority(), folder.path().join("right.pem")).unwrap();
        connect(&agent, by_folder, &seam).await.unwrap();
    });
}

#[test]
fn an_agent_of_another_authority_is_not_believed_unless_nothing_is_checked() {
    with_agent(Options::developer(), async |seam, agent| {
        let (_folder, authority) = another_authority();
        let wrong = Tls { ca_file: Some(authority), ..complete(&agent) };
        unavailable(connect(&agent, wrong.clone(), &seam).await, "UnknownIssuer");
        // Nor does the system believe it.
        unavailable(connect(&agent, Tls { ca_file: None, ..wrong.clone() }, &seam).await, "certificate");
        connect(&agent, Tls { verify: false, ..wrong }, &seam).await.unwrap();
    });
}

#[test]
fn the_name_in_the_certificate_is_the_one_that_is_asked_for() {
    // The certificate does not hold the second address.
    let options = Options::developer().with(json!({ "addresses": { "https": "127.0.0.1 127.0.0.4" } }));
    with_agent(options, async |seam, agent| {
        let named = |name: &str| Tls { server_name: Some(name.into()), ..complete(&agent) };
        connect(&agent, named("server.dc1.consul"), &seam).await.unwrap();
        connect(&agent, named("localhost"), &seam).await.unwrap();
        unavailable(connect(&agent, named("server.dc2.consul"), &seam).await, "not valid for name");
        let port = agent.tls_address().rsplit_once(':').unwrap().1.to_owned();
        let at = |host: &str, tls| ConsulSettings { tls, ..ConsulSettings::at(format!("https://{host}:{port}")) };
        let unnamed = Consul::connect(at("127.0.0.4", complete(&agent)), seam.clone()).await;
        unavailable(unnamed, "not valid for name");
        // The name stands in the place of the host, and is looked up as the host.
        for host in ["127.0.0.4", "localhost"] {
            Consul::connect(at(host, named("server.dc1.consul")), seam.clone()).await.unwrap();
        }
    });
}

#[test]
fn without_a_certificate_of_its_own_a_client_is_refused_and_told_of_it() {
    with_agent(Options::developer(), async |seam, agent| {
        let without = Tls { cert_file: None, key_file: None, ..complete(&agent) };
        unavailable(connect(&agent, without.clone(), &seam).await, "client certificate");
        // The agent at the second address asks for none.
        let other =
            Options::developer().with_tls().with(json!({"verify_incoming": false, "verify_incoming_rpc": true}));
        let other = Agent::start(seam.clone(), other).await.unwrap();
        let certificates = tempfile::tempdir().unwrap();
        for (number, agent) in [&agent, &other].iter().enumerate() {
            let to = certificates.path().join(format!("{number}.pem"));
            std::fs::copy(agent.certificates().authority(), to).unwrap();
        }
        let tls = Tls { ca_file: None, ca_path: Some(certificates.path().into()), ..without };
        let mut both = settings(&agent, tls);
        both.addresses.push(format!("https://{}", other.tls_address()));
        let consul = Consul::connect(both, seam.clone()).await.unwrap();
        assert_eq!(consul.read(&Key::new("ha/key").unwrap()).await.unwrap(), None);
    });
}

#[test]
fn the_two_kinds_of_port_are_not_taken_for_each_other() {
    with_agent(Options::developer(), async |seam, agent| {
        let plain = ConsulSettings::at(agent.tls_address());
        let error = Consul::connect(plain, seam.clone()).await.unwrap_err();
        assert!(error.to_string().contains("HTTPS server"), "{error}");
        let crypted = ConsulSettings::at(format!("https://{}", agent.address()));
        let crypted = ConsulSettings { tls: complete(&agent), ..crypted };
        unavailable(Consul::connect(crypted, seam.clone()).await, "no answer from https://");
        // Without TLS no provider and no certificate is needed, also where it is compiled in.
        Consul::connect(ConsulSettings::at(agent.address()), seam).await.unwrap();
    });
}

#[test]
fn files_that_are_not_what_they_should_be_are_named_before_anything_is_sent() {
    with_agent(Options::developer(), async |seam, agent| {
        let folder = tempfile::tempdir().unwrap();
        let garbage = folder.path().join("garbage.pem");
        std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n").unwrap();
        let (nothing, key) = (Path::new("/nonexistent/x.pem").to_owned(), agent.certificates().client_key());
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        for (field, tls) in [
            ("tls.ca_file", Tls { ca_file: Some(nothing.clone()), ..complete(&agent) }),
            ("tls.ca_file", Tls { ca_file: Some(garbage.clone()), ..complete(&agent) }),
            ("tls.ca_file", Tls { ca_file: Some(key.clone()), ..complete(&agent) }),
            ("tls.ca_path", Tls { ca_file: None, ca_path: Some(empty), ..complete(&agent) }),
            ("tls.ca_path", Tls { ca_file: None, ca_path: Some(nothing.clone()), ..complete(&agent) }),
            ("tls.cert_file", Tls { cert_file: Some(key), ..complete(&agent) }),
            ("tls.key_file", Tls { key_file: Some(nothing), ..complete(&agent) }),
            ("tls.key_file", Tls { key_file: Some(agent.certificates().client()), ..complete(&agent) }),
        ] {
            let error = connect(&agent, tls, &seam).await.unwrap_err();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, field), "{error}");
        }
    });
}
