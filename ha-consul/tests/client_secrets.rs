//! Where secrets go: with every request, and nowhere else.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod answerer;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use answerer::{Answerer, Asked, Refusing, Reply, as_consul, connect, key, reply, write, written};
use ha_consul::{BasicAuth, Consul, ConsulSettings, Token};
use ha_core::backend::{Backend, Mark, Prefix, Scope, SessionOptions};
use ha_core::seam::Seam;
use ha_testkit::run::block_on;

const SECRET: &str = "6d1f9a3e-s3cret";

fn settings(addresses: Vec<String>) -> ConsulSettings {
    ConsulSettings { addresses, token: Token::Secret(SECRET.into()), ..ConsulSettings::default() }
}

/// As a healthy agent answers, as far as a client asks here.
fn healthy(asked: &Asked) -> Reply {
    match asked.line.split_once(' ') {
        Some(("PUT", target)) if target.starts_with("/v1/txn") => written(),
        Some(("PUT", target)) if target.starts_with("/v1/session/create") => reply(200, r#"{"ID":"the-session"}"#),
        Some(("PUT", target)) if target.starts_with("/v1/session/destroy") => reply(200, "true"),
        Some(("PUT", target)) if target.starts_with("/v1/session/renew") => reply(200, r#"[{"ID":"the-session"}]"#),
        Some(("PUT", _)) => reply(200, ""),
        Some(("GET", target)) if target.contains("index=") => Reply::Silence,
        _ => reply(404, ""),
    }
}

/// Waits until such a request has come.
async fn until(agent: &Answerer, seam: &Seam, part: &str) {
    let come = async {
        while !agent.all().iter().any(|asked| asked.line.contains(part)) {
            seam.sleep(Duration::from_millis(5)).await;
        }
    };
    let come = seam.timeout(Duration::from_secs(60), come).await;
    assert!(come.is_some(), "no request with {part:?} among {:?}", agent.all());
}

/// Does all that a client does, one after the other.
async fn everything(consul: &Consul, agent: &Answerer, seam: &Seam) {
    let place = Prefix::new("place").unwrap();
    write(consul, seam).await.unwrap();
    assert_eq!(consul.read(&key()).await.unwrap(), None);
    let seen = consul.list(&place).await.unwrap().mark;
    consul.prove_access(&place).await.unwrap_err();
    let following = consul.clone();
    let _following = seam.spawn(async move {
        assert_ne!(seen, Mark::UNSEEN);
        let _ = following.changed(&Scope::Below(place), &seen).await;
    });
    until(agent, seam, "index=").await;
    let silence = Duration::from_secs(2);
    let session = consul.open_session(&SessionOptions { silence, label: "test".into() }).await.unwrap();
    until(agent, seam, "/v1/agent/check/pass/").await;
    session.close().await.unwrap();
    until(agent, seam, "/v1/session/destroy/").await;
}

#[test]
fn every_request_carries_token_user_and_scope() {
    block_on(async {
        let seam = Seam::system();
        let agent = Answerer::of(&seam, healthy).await;
        let consul = connect(
            ConsulSettings {
                auth: Some(BasicAuth { user: "me".into(), password: "pass".into() }),
                datacenter: Some("dc7".into()),
                namespace: Some("team".into()),
                partition: Some("part".into()),
                ..settings(vec![agent.address()])
            },
            &seam,
        )
        .await
        .unwrap();
        everything(&consul, &agent, &seam).await;
        for asked in agent.all() {
            assert_eq!(asked.header("x-consul-token"), Some(SECRET), "{asked:?}");
            assert_eq!(asked.header("authorization"), Some("Basic bWU6cGFzcw=="), "{asked:?}");
            let (path, query) = asked.line.split_once('?').expect("a query");
            assert!(!path.contains('&') && query.ends_with("dc=dc7&ns=team&partition=part"), "{asked:?}");
            assert!(!asked.line.contains(SECRET) && !query.contains("&&") && !query.starts_with('&'), "{asked:?}");
        }
    });
}

#[test]
fn a_token_file_that_is_replaced_counts_from_the_next_request_on() {
    block_on(async {
        let seam = Seam::system();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let agent = Answerer::of(&seam, healthy).await;
        let settings = ConsulSettings { token: Token::File(path.clone()), ..settings(vec![agent.address()]) };
        let consul = connect(settings, &seam).await.unwrap();
        for token in ["first", "other", "third"] {
            std::fs::write(&path, token).unwrap();
            write(&consul, &seam).await.unwrap();
            assert_eq!(agent.asked().last().unwrap().header("x-consul-token"), Some(token));
        }
        // Somebody is just writing it.
        std::fs::write(&path, "").unwrap();
        write(&consul, &seam).await.unwrap();
        assert_eq!(agent.asked().last().unwrap().header("x-consul-token"), Some("third"));
    });
}

#[test]
fn a_token_that_cannot_be_sent_is_an_error_of_the_settings_and_nothing_is_sent() {
    block_on(async {
        let seam = Seam::system();
        let agent = Answerer::of(&seam, healthy).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let content = format!("{SECRET}\r\nX-Evil: 1");
        std::fs::write(&path, &content).unwrap();
        for token in [Token::Secret(content), Token::File(path), Token::File(folder.path().join("none"))] {
            let settings = ConsulSettings { token, ..settings(vec![agent.address()]) };
            let error = connect(settings, &seam).await.unwrap_err();
            assert_eq!((error.kind(), error.subject()), (ha_core::ErrorKind::Invalid, "token"));
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
        }
        assert!(agent.all().is_empty());
    });
}

/// Keeps everything that is logged, on every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = writeln!(self.0.lock().unwrap(), "{field}={value:?}");
    }
}

#[test]
fn no_log_no_error_and_no_debug_shows_a_secret() {
    let log = Log::default();
    // For all threads: renewals have one of their own. No other test of this file fails for it.
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    block_on(async {
        let seam = Seam::system();
        // Repeats what it was sent, whatever it was asked.
        let echo = |asked: &Asked| match asked.line.split_once(' ') {
            Some((_, target)) if target.starts_with("/v1/session/create") => reply(200, r#"{"ID":"the-session"}"#),
            Some((_, target)) if target.starts_with("/v1/agent/service/register") => reply(200, ""),
            _ => reply(500, &format!("{}{}{}", asked.line, asked.head, asked.body)),
        };
        let agent = Answerer::of(&seam, echo).await;
        let settings = ConsulSettings {
            auth: Some(BasicAuth { user: "me".into(), password: SECRET.into() }),
            ..settings(vec![agent.address()])
        };
        let encoded = "bWU6NmQxZjlhM2UtczNjcmV0";
        let consul = connect(settings.clone(), &seam).await.unwrap();
        let mut shown = format!("{settings:?} {consul:?}");
        let mut show = |error: ha_core::Error| {
            let mut source: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = source {
                let _ = write!(shown, "\n{error} {error:?}");
                source = error.source();
            }
        };
        show(write(&consul, &seam).await.unwrap_err());
        show(consul.read(&key()).await.unwrap_err());
        show(consul.prove_access(&Prefix::new("place").unwrap()).await.unwrap_err());
        let silence = Duration::from_millis(300);
        let session = consul.open_session(&SessionOptions { silence, label: "test".into() }).await.unwrap();
        session.ended().await;
        show(session.close().await.unwrap_err());
        let failing = Answerer::of_all(&seam, |_| reply(403, &format!("ACL not found: {SECRET}"))).await;
        let refusing = Refusing::new();
        for address in [failing.address(), refusing.address.clone()] {
            let elsewhere = ConsulSettings { addresses: vec![address], ..settings.clone() };
            show(connect(elsewhere, &seam).await.unwrap_err());
        }
        let log = log.0.lock().unwrap().clone();
        assert!(log.contains("the session is over"), "{log}");
        for text in [shown, log] {
            assert!(!text.contains(SECRET) && !text.contains(encoded), "{text}");
        }
        assert!(agent.all().iter().all(|asked| asked.header("x-consul-token") == Some(SECRET)));
    });
}

/// The role of a process whose environment names a proxy.
#[test]
fn connects_where_the_environment_says() {
    let Some(address) = std::env::var_os("CONSUL_HTTP_ADDR").filter(|_| std::env::var_os("HTTP_PROXY").is_some())
    else {
        assert!(as_consul(&Asked { line: String::new(), head: String::new(), body: String::new() }).is_none());
        return;
    };
    block_on(async {
        let settings = ConsulSettings::from_env().unwrap();
        assert_eq!(settings.addresses, [address.into_string().unwrap()]);
        let consul = connect(settings, &Seam::system()).await.unwrap();
        assert_eq!(consul.read(&key()).await.unwrap(), None);
    });
}

#[test]
fn a_proxy_that_the_environment_names_is_not_used() {
    block_on(async {
        let seam = Seam::system();
        let (agent, proxy) = (Answerer::of(&seam, healthy).await, Answerer::of_all(&seam, |_| reply(500, "")).await);
        let (address, through) = (agent.address(), format!("http://{}", proxy.address()));
        let child = tokio::task::spawn_blocking(move || {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "connects_where_the_environment_says"]);
            child.env("CONSUL_HTTP_ADDR", address).env("CONSUL_HTTP_TOKEN", SECRET).env_remove("NO_PROXY");
            for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"] {
                child.env(name, &through);
            }
            child.output().unwrap()
        });
        let output = child.await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(proxy.all().is_empty(), "{:?}", proxy.all());
        assert_eq!(agent.asked().len(), 1);
        assert!(agent.all().iter().all(|asked| asked.header("x-consul-token") == Some(SECRET)));
    });
}
