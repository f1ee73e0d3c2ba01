//! The client and real agents: their limits, their access control, their socket.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::path::PathBuf;
use std::time::Duration;

use ha_consul::{Consul, ConsulSettings, Token};
use ha_core::ErrorKind;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome, Prefix, SessionOptions};
use ha_core::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use ha_testkit::run::block_on;
use ha_testkit::servers::consul::{Agent, Options};
use serde_json::json;

/// Runs it, or shows that it was not.
fn with_agent(test: impl AsyncFnOnce(Seam) -> Result<(), Missing>) {
    if let Err(Missing(what)) = block_on(test(Seam::system())) {
        assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
        eprintln!("SKIPPED: {what}");
    }
}

fn as_token(agent: &Agent, token: &str) -> ConsulSettings {
    ConsulSettings { token: Token::Secret(token.into()), ..ConsulSettings::at(agent.address()) }
}

fn place() -> Prefix {
    Prefix::new("ha/place").unwrap()
}

async fn put(consul: &Consul, seam: &Seam, key: &str, bytes: usize) -> Result<Outcome, ha_core::Error> {
    let key = Key::new(key).unwrap();
    consul.commit(&Commit::new(seam.write_id()).put(key, Expect::Absent, vec![b'x'; bytes].into())).await
}

#[test]
fn the_limits_are_those_of_the_agent_and_what_they_allow_is_taken() {
    with_agent(async |seam| {
        let limits = json!({ "limits": { "kv_max_value_size": 100_000, "txn_max_req_len": 200_000 } });
        let small = Agent::start(seam.clone(), Options::developer().with(limits)).await?;
        let stock = Agent::start(seam.clone(), Options::developer()).await?;
        let mut sizes = Vec::new();
        for agent in [&small, &stock] {
            let consul = Consul::connect(ConsulSettings::at(agent.address()), seam.clone()).await.unwrap();
            let profile = consul.profile();
            sizes.push(profile.value_bytes_max);
            // As large and as many as the profile says is taken by the agent; more is not even sent.
            let largest = put(&consul, &seam, "ha/largest", profile.value_bytes_max).await.unwrap();
            assert!(matches!(largest, Outcome::Applied { .. }), "{largest:?}");
            let larger = put(&consul, &seam, "ha/larger", profile.value_bytes_max + 1).await.unwrap_err();
            assert_eq!(larger.kind(), ErrorKind::TooLarge, "{larger}");
            let mut many = Commit::new(seam.write_id());
            for number in 0..profile.commit_operations_max {
                many = many.put(Key::new(format!("ha/many/{number}")).unwrap(), Expect::Absent, "x".into());
            }
            let many = consul.commit(&many).await.unwrap();
            assert!(matches!(many, Outcome::Applied { .. }), "{many:?}");
            assert_eq!(profile.commit_operations_max, 31, "half of Consul's 64, without the guard's two");
        }
        assert!(sizes[0] == 100_000 && sizes[1] > 300_000, "{sizes:?}");
        Ok(())
    });
}

#[test]
fn an_agent_whose_limits_leave_no_room_is_refused_by_their_names() {
    with_agent(async |seam| {
        let limits = json!({ "limits": { "kv_max_value_size": 1024, "txn_max_req_len": 1024 } });
        let agent = Agent::start(seam.clone(), Options::developer().with(limits)).await?;
        let error = Consul::connect(ConsulSettings::at(agent.address()), seam).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("kv_max_value_size"), "{error}");
        Ok(())
    });
}

#[test]
fn what_a_token_may_do_is_proved_at_the_start_and_nothing_is_written_for_it() {
    with_agent(async |seam| {
        let agent = Agent::start(seam.clone(), Options::developer().with_acl()).await?;
        let before = agent.ask("GET", "/v1/kv/?recurse", b"").await.status;
        let proving = async |token: Option<&str>| {
            let mut settings = ConsulSettings::at(agent.address());
            settings.token = token.map_or(Token::None, |token| Token::Secret(token.into()));
            settings.prove_access_below = Some(place().as_str().trim_end_matches('/').into());
            Consul::connect(settings, seam.clone()).await.map(drop).map_err(|error| (error.kind(), error.to_string()))
        };
        let writer = agent.token("key_prefix \"ha/\" { policy = \"write\" }").await;
        assert_eq!(proving(Some(&writer)).await, Ok(()));
        assert_eq!(proving(Some(agent.management_token())).await, Ok(()));
        let reader = agent.token("key_prefix \"ha/\" { policy = \"read\" }").await;
        let (kind, why) = proving(Some(&reader)).await.unwrap_err();
        assert!(kind == ErrorKind::Denied && why.contains("not write"), "{why}");
        let stranger = agent.token("key_prefix \"other/\" { policy = \"write\" }").await;
        for token in [Some(stranger.as_str()), None, Some("00000000-0000-0000-0000-00000000dead")] {
            let (kind, why) = proving(token).await.unwrap_err();
            assert_eq!(kind, ErrorKind::Denied, "{why}");
            assert!(token.is_none_or(|token| !why.contains(token)), "{why}");
        }
        assert_eq!((agent.ask("GET", "/v1/kv/?recurse", b"").await.status, before), (404, 404));
        Ok(())
    });
}

#[test]
fn a_missing_permission_is_an_error_of_its_own_everywhere() {
    with_agent(async |seam| {
        let agent = Agent::start(seam.clone(), Options::developer().with_acl()).await?;
        agent.ask("PUT", "/v1/kv/ha/place/key", b"hidden").await;
        let token = agent.token("key_prefix \"mine/\" { policy = \"write\" }").await;
        // It may not see the agent's settings either, which is no reason not to connect.
        let consul = Consul::connect(as_token(&agent, &token), seam.clone()).await.unwrap();
        assert_eq!(consul.profile().commit_operations_max, 31);
        assert!(matches!(put(&consul, &seam, "mine/key", 1).await, Ok(Outcome::Applied { .. })));
        let key = Key::new("ha/place/key").unwrap();
        let denied = [
            consul.read(&key).await.map(drop),
            consul.list(&place()).await.map(drop),
            put(&consul, &seam, "ha/place/other", 1).await.map(drop),
            consul.open_session(&SessionOptions::default()).await.map(drop),
            consul.prove_access(&place()).await,
        ];
        for (number, result) in denied.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied, "{number}: {error}");
        }
        Ok(())
    });
}

#[test]
fn a_token_that_is_rotated_in_its_file_is_taken_and_one_that_is_deleted_is_told() {
    with_agent(async |seam| {
        let agent = Agent::start(seam.clone(), Options::developer().with_acl()).await?;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let rules = "key_prefix \"\" { policy = \"write\" }";
        std::fs::write(&file, agent.token(rules).await).unwrap();
        let settings = ConsulSettings { token: Token::File(file.clone()), ..ConsulSettings::at(agent.address()) };
        let consul = Consul::connect(settings, seam.clone()).await.unwrap();
        assert!(matches!(put(&consul, &seam, "ha/1", 1).await, Ok(Outcome::Applied { .. })));
        let own = agent.ask_as(Some(&std::fs::read_to_string(&file).unwrap()), "GET", "/v1/acl/token/self", b"").await;
        let accessor = own.json()["AccessorID"].as_str().unwrap().to_owned();
        agent.ask("DELETE", &format!("/v1/acl/token/{accessor}"), b"").await;
        let error = put(&consul, &seam, "ha/2", 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("not known"), "{error}");
        std::fs::write(&file, agent.token(rules).await).unwrap();
        assert!(matches!(put(&consul, &seam, "ha/2", 1).await, Ok(Outcome::Applied { .. })));
        Ok(())
    });
}

#[test]
fn a_thousand_writes_at_once_are_not_cut_off_by_an_agent_that_takes_two_hundred_connections() {
    with_agent(async |seam| {
        let stock = json!({ "limits": { "http_max_conns_per_client": 200 } });
        let agent = Agent::start(seam.clone(), Options::developer().with(stock)).await?;
        let settings =
            ConsulSettings { request_timeout: Duration::from_secs(60), ..ConsulSettings::at(agent.address()) };
        let consul = Consul::connect(settings, seam.clone()).await.unwrap();
        let keys: Vec<String> = (0..1000).map(|number| format!("ha/{number}")).collect();
        let outcomes = futures_util::future::join_all(keys.iter().map(|key| put(&consul, &seam, key, 1))).await;
        for (key, outcome) in keys.iter().zip(outcomes) {
            assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{key}: {outcome:?}");
        }
        Ok(())
    });
}

#[test]
fn a_write_whose_answer_is_lost_is_sent_once_and_may_have_been_applied() {
    with_agent(async |seam| {
        let agent = Agent::start(seam.clone(), Options::developer()).await?;
        let proxy = Proxy::to(agent.address(), seam.clone()).await;
        let consul = Consul::connect(ConsulSettings::at(proxy.address()), seam.clone()).await.unwrap();
        let treatments = [Treatment::LoseAnswer, Treatment::TearAnswer, Treatment::Refuse];
        for (number, treatment) in treatments.into_iter().enumerate() {
            let rule = proxy.treat(Matching::path("/v1/txn"), treatment);
            let key = format!("ha/{number}");
            let error = put(&consul, &seam, &key, 1).await.unwrap_err();
            assert!(error.may_have_applied(), "{treatment:?}: {error}");
            assert_eq!(rule.count(), 1, "{treatment:?}");
            drop(rule);
            let is_there = consul.read(&Key::new(&key).unwrap()).await.unwrap().is_some();
            assert_eq!(is_there, treatment != Treatment::Refuse, "{treatment:?}");
        }
        Ok(())
    });
}

#[test]
fn a_unix_socket_serves_as_a_port_does() {
    with_agent(async |seam| {
        let folder = tempfile::tempdir().unwrap();
        let socket: PathBuf = folder.path().join("consul.sock");
        let both = format!("127.0.0.1 unix://{}", socket.display());
        let agent =
            Agent::start(seam.clone(), Options::developer().with(json!({ "addresses": { "http": both } }))).await?;
        let settings = ConsulSettings::at(format!("unix://{}", socket.display()));
        let consul = Consul::connect(settings, seam.clone()).await.unwrap();
        assert!(matches!(put(&consul, &seam, "ha/key", 1).await, Ok(Outcome::Applied { .. })));
        let silence = Duration::from_secs(10);
        let session = consul.open_session(&SessionOptions { silence, label: "socket".into() }).await.unwrap();
        let known = agent.ask("GET", &format!("/v1/session/info/{}", session.id()), b"").await.text();
        assert!(known.contains("\"socket\""), "{known}");
        session.close().await.unwrap();
        // One that nobody listens at is passed over, and named.
        let nobody = format!("unix://{}", folder.path().join("nobody.sock").display());
        let error = Consul::connect(ConsulSettings::at(nobody.clone()), seam.clone()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("nobody.sock"), "{error}");
        let two = ConsulSettings { addresses: vec![nobody, agent.address()], ..ConsulSettings::default() };
        let consul = Consul::connect(two, seam.clone()).await.unwrap();
        assert!(consul.read(&Key::new("ha/key").unwrap()).await.unwrap().is_some());
        Ok(())
    });
}
