//! The environment means to this client what it means to Consul's own command line: both are started with the
//! same variables, and what they do is compared.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod answerer;

use std::ffi::OsString;
use std::process::Command;

use answerer::{Answerer, Asked, reply};
use ha_consul::{Consul, ConsulSettings};
use ha_core::backend::{Backend, Key};
use ha_core::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::run::block_on;
use ha_testkit::servers::consul::{Agent, Options, program};

type Variables = Vec<(&'static str, String)>;

/// Runs it, or shows that it was not.
fn with_consul(test: impl AsyncFnOnce(Seam) -> Result<(), Missing>) {
    if let Err(Missing(what)) = block_on(test(Seam::system())) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        eprintln!("SKIPPED: {what}");
    }
}

/// Whether Consul's command line reads the key `ha/key` with these variables and no others of its own.
async fn command_line_reads(variables: &Variables) -> Result<bool, Missing> {
    let mut command = Command::new(program()?);
    command.args(["kv", "get", "ha/key"]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONSUL_")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Ok(output.status.success())
}

fn settings(variables: &Variables) -> ConsulSettings {
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    ConsulSettings::from_variables(variable).unwrap()
}

/// Whether this client reads that key with these variables.
async fn this_client_reads(variables: &Variables, seam: &Seam) -> bool {
    let Ok(consul) = Consul::connect(settings(variables), seam.clone()).await else { return false };
    consul.read(&Key::new("ha/key").unwrap()).await.is_ok_and(|entry| entry.is_some())
}

/// What the variables are about.
fn marks(asked: &Asked) -> (Option<String>, Option<String>, bool) {
    let header = |name: &str| asked.header(name).map(str::to_owned);
    (header("x-consul-token"), header("authorization"), asked.line.contains("ns=team"))
}

#[test]
fn requests_are_marked_as_those_of_consuls_command_line() {
    with_consul(async |seam| {
        let pair = r#"[{"LockIndex":0,"Key":"ha/key","Flags":0,"Value":"djE=","CreateIndex":5,"ModifyIndex":6}]"#;
        let agent = Answerer::of(&seam, move |_| reply(200, pair)).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "  of-the-file\n").unwrap();
        let file = file.to_str().unwrap().to_owned();
        let cases: Vec<Variables> = vec![
            vec![],
            vec![("CONSUL_HTTP_TOKEN", "a-token".into())],
            vec![("CONSUL_HTTP_TOKEN_FILE", file.clone())],
            vec![("CONSUL_HTTP_TOKEN_FILE", file), ("CONSUL_HTTP_TOKEN", "a-token".into())],
            vec![("CONSUL_HTTP_TOKEN", String::new()), ("CONSUL_HTTP_AUTH", String::new())],
            vec![("CONSUL_HTTP_AUTH", "me:pass".into())],
            vec![("CONSUL_HTTP_AUTH", "me:pass:word".into())],
            vec![("CONSUL_HTTP_AUTH", "only-me".into())],
            vec![("CONSUL_NAMESPACE", "team".into())],
            vec![("CONSUL_HTTP_SSL", "0".into()), ("CONSUL_HTTP_SSL_VERIFY", "F".into())],
        ];
        for case in cases {
            for scheme in ["", "http://"] {
                let mut variables = case.clone();
                variables.push(("CONSUL_HTTP_ADDR", format!("{scheme}{}", agent.address())));
                assert!(command_line_reads(&variables).await?, "{variables:?}");
                let theirs = marks(agent.asked().last().unwrap());
                assert!(this_client_reads(&variables, &seam).await, "{variables:?}");
                assert_eq!(marks(agent.asked().last().unwrap()), theirs, "{variables:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_socket_is_found_by_the_same_words() {
    with_consul(async |seam| {
        let folder = tempfile::tempdir().unwrap();
        let socket = format!("unix://{}", folder.path().join("consul.sock").display());
        let both = serde_json::json!({ "addresses": { "http": format!("127.0.0.1 {socket}") } });
        let agent = Agent::start(seam.clone(), Options::developer().with(both)).await?;
        agent.ask("PUT", "/v1/kv/ha/key", b"value").await;
        let variables = vec![("CONSUL_HTTP_ADDR", socket)];
        assert!(command_line_reads(&variables).await? && this_client_reads(&variables, &seam).await);
        Ok(())
    });
}

#[cfg(feature = "tls")]
#[test]
fn tls_succeeds_and_fails_where_it_does_for_consuls_command_line() {
    with_consul(async |seam| {
        let agent = Agent::start(seam.clone(), Options::developer().with_tls()).await?;
        agent.ask("PUT", "/v1/kv/ha/key", b"value").await;
        let certificates = agent.certificates();
        let (address, text) = (agent.tls_address(), |path: std::path::PathBuf| path.to_str().unwrap().to_owned());
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(certificates.authority(), folder.path().join("ca.pem")).unwrap();
        let (https, file) = (("CONSUL_HTTP_ADDR", format!("https://{address}")), text(certificates.authority()));
        let (file, path) = (("CONSUL_CACERT", file), ("CONSUL_CAPATH", text(folder.path().into())));
        let own = [
            ("CONSUL_CLIENT_CERT", text(certificates.client())),
            ("CONSUL_CLIENT_KEY", text(certificates.client_key())),
        ];
        let [cert, key] = own;
        let with = |more: &[(&'static str, String)]| {
            let mut variables = vec![cert.clone(), key.clone()];
            variables.extend_from_slice(more);
            variables
        };
        let (ssl, plain) = (("CONSUL_HTTP_SSL", "true".to_owned()), ("CONSUL_HTTP_ADDR", address.clone()));
        let name = |name: &str| ("CONSUL_TLS_SERVER_NAME", name.to_owned());
        let unchecked = ("CONSUL_HTTP_SSL_VERIFY", "false".to_owned());
        let cases = [
            (with(&[https.clone(), file.clone()]), true),
            (with(&[https.clone(), path.clone()]), true),
            (with(&[ssl.clone(), plain.clone(), file.clone()]), true),
            (with(&[ssl.clone(), ("CONSUL_HTTP_ADDR", format!("http://{address}")), file.clone()]), true),
            (with(&[https.clone(), file.clone(), name("server.dc1.consul")]), true),
            (with(&[https.clone(), unchecked]), true),
            (with(std::slice::from_ref(&https)), false),
            (with(&[plain, file.clone()]), false),
            (with(&[https.clone(), file.clone(), name("server.dc2.consul")]), false),
            (vec![https, file], false),
        ];
        for (variables, succeeds) in cases {
            assert_eq!(command_line_reads(&variables).await?, succeeds, "{variables:?}");
            assert_eq!(this_client_reads(&variables, &seam).await, succeeds, "{variables:?}");
        }
        Ok(())
    });
}
