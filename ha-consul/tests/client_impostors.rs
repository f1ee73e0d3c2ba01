//! What stands where an agent is expected and says "success" to everything, or to half of what it was asked: nothing
//! that it says prolongs a term, and nothing of it is taken for applied.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod answerer;

use std::time::Duration;

use answerer::{Answerer, Asked, Reply, connect, key, reply};
use ha_consul::{BasicAuth, Consul, ConsulSettings};
use ha_core::ErrorKind;
use ha_core::backend::{
    Backend, Commit, Ended, Expect, Fence, Latch, Mark, Prefix, Revision, Scope, SessionOptions, Term,
};
use ha_core::seam::Seam;
use ha_testkit::run::block_on;

const SESSION: &str = "8ec0b1f2-0000-1111-2222-333344445555";
const SILENCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);
const WELCOME: &str = "<html>Welcome, please log in</html>";

/// An agent that has one session, and renews it.
fn in_order(asked: &Asked) -> Reply {
    let line = asked.line.as_str();
    if line.starts_with("PUT /v1/session/create") {
        reply(200, &format!("{{\"ID\":\"{SESSION}\"}}"))
    } else if line.starts_with("PUT /v1/session/renew/") {
        reply(200, &format!("[{{\"ID\":\"{SESSION}\",\"TTL\":\"1s\"}}]"))
    } else if line.starts_with("PUT /v1/session/destroy/") {
        reply(200, "true")
    } else {
        reply(200, "")
    }
}

/// Opens a session where requests for that path are answered so, after the first ones.
async fn ended_by(path: &'static str, answer: Reply) -> Ended {
    let seam = Seam::system();
    let answers = move |asked: &Asked| if asked.line.contains(path) { answer.clone() } else { in_order(asked) };
    let answerer = Answerer::of(&seam, answers).await;
    let mut settings = ConsulSettings::at(answerer.address());
    settings.liveness.session_ttl = Some(SILENCE);
    let consul = connect(settings, &seam).await.unwrap();
    let options = SessionOptions { silence: SILENCE, label: "process".into() };
    let session = consul.open_session(&options).await.unwrap();
    let ended = seam.timeout(PATIENCE, session.ended()).await;
    ended.unwrap_or_else(|| panic!("{path} answered by something else goes on keeping the session"))
}

#[test]
fn a_renewal_that_something_else_answers_keeps_no_session() {
    // Fails if any success counts as a renewal: Consul has heard of none, and gives the latch to another before the
    // deadline that is counted from it.
    let other = format!("[{{\"ID\":\"{}\"}}]", SESSION.replace('8', "9"));
    let bodies = [WELCOME, "", "[]", "{}", "[{}]", "true", other.as_str()];
    for body in bodies {
        assert_eq!(block_on(ended_by("/session/renew/", reply(200, body))), Ended::Expired, "{body}");
    }
}

#[test]
fn a_heartbeat_that_something_else_answers_keeps_no_session() {
    // Fails if any success counts as a heartbeat. Consul's own has no body.
    for body in [WELCOME, "{}"] {
        assert_eq!(block_on(ended_by("/agent/check/pass/", reply(200, body))), Ended::Expired, "{body}");
    }
}

/// Commits under a guard, where the transaction is answered so.
async fn guarded(answer: Reply) -> Result<(), ErrorKind> {
    let seam = Seam::system();
    let answerer = Answerer::of(&seam, move |_| answer.clone()).await;
    let consul = connect(ConsulSettings::at(answerer.address()), &seam).await.unwrap();
    let latch = Latch::below(&Prefix::new("place/leader").unwrap());
    let term = Term { epoch: 9, native: format!("9/{SESSION}/7").into() };
    let commit = Commit::new(seam.write_id()).guarded_by(Fence { latch, term }).put(key(), Expect::Absent, "x".into());
    consul.commit(&commit).await.map(drop).map_err(|error| error.kind())
}

#[test]
fn a_transaction_whose_answer_does_not_tell_of_each_operation_in_order_is_not_taken_for_applied() {
    let pair = |key: &str, index: u64| format!("{{\"KV\":{{\"Key\":\"{key}\",\"ModifyIndex\":{index}}}}}");
    let answer = |pairs: &[String]| reply(200, &format!("{{\"Results\":[{}],\"Errors\":null}}", pairs.join(",")));
    let (latch, own) = (pair("place/leader/latch/.lock", 7), pair("place/key", 8));
    let whole = [latch.clone(), latch.clone(), own.clone()];
    assert_eq!(block_on(guarded(answer(&whole))), Ok(()));
    let wrong = [
        // A guard of which one half was left out, or both.
        vec![latch.clone(), own.clone()],
        vec![own.clone()],
        // More than was asked for, and in another order.
        vec![latch.clone(), latch.clone(), own.clone(), own.clone()],
        vec![own, latch.clone(), latch.clone()],
        // No write has this index.
        vec![latch.clone(), latch, pair("place/key", 0)],
    ];
    for pairs in wrong {
        assert_eq!(block_on(guarded(answer(&pairs))), Err(ErrorKind::Indeterminate), "{pairs:?}");
    }
}

/// What an error of a read shows of that answer.
async fn shown(body: String, auth: Option<BasicAuth>) -> String {
    let seam = Seam::system();
    let answerer = Answerer::of(&seam, move |_| reply(200, &body)).await;
    let consul: Consul =
        connect(ConsulSettings { auth, ..ConsulSettings::at(answerer.address()) }, &seam).await.unwrap();
    let error = consul.read(&key()).await.unwrap_err();
    format!("{error} {error:?}")
}

#[test]
fn an_answer_that_tells_of_other_keys_than_asked_for_is_none() {
    // Fails if the answer to another request, of a cache in between, is taken for this one's.
    let other = r#"[{"Key":"place/other","ModifyIndex":7}]"#;
    assert!(block_on(shown(other.into(), None)).contains("not what Consul answers"));
    block_on(async {
        let seam = Seam::system();
        let answerer = Answerer::of(&seam, move |_| reply(200, other)).await;
        let consul = connect(ConsulSettings::at(answerer.address()), &seam).await.unwrap();
        let error = consul.list(&Prefix::new("elsewhere").unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(consul.list(&Prefix::new("place").unwrap()).await.unwrap().entries.len(), 1);
    });
}

#[test]
fn everything_that_decides_is_read_from_the_leader_of_the_servers() {
    // Fails if a read is left to whichever server answers: one that led and was paused shows what was.
    block_on(async {
        let seam = Seam::system();
        let answerer = Answerer::of(&seam, |asked| match asked.line.contains("index=") {
            true => Reply::Silence,
            false => reply(404, ""),
        })
        .await;
        let consul = connect(ConsulSettings::at(answerer.address()), &seam).await.unwrap();
        let (place, latch) = (Prefix::new("place").unwrap(), Latch::below(&Prefix::new("place/leader").unwrap()));
        let seen = consul.list(&place).await.unwrap().mark;
        consul.read(&key()).await.unwrap();
        // A commit that only checks, and one that expects what can never be.
        let _ = consul.commit(&Commit::new(seam.write_id()).check(key(), Expect::Absent)).await;
        let never = Expect::Revision(Revision::from_native(0));
        let _ = consul.commit(&Commit::new(seam.write_id()).put(key(), never, "x".into())).await;
        let _ = consul.read(latch.key()).await;
        for scope in [Scope::Key(key()), Scope::Below(place)] {
            let _ = consul.changed(&scope, &Mark::UNSEEN).await;
            // It parks after one that is consistent.
            let parks = async {
                while !answerer.asked().iter().any(|asked| asked.line.contains("index=")) {
                    seam.sleep(Duration::from_millis(5)).await;
                }
            };
            let parks = seam.timeout(PATIENCE, parks);
            tokio::select! {
                biased;
                changed = consul.changed(&scope, &seen) => panic!("nothing has changed: {changed:?}"),
                parks = parks => assert!(parks.is_some(), "it never waits"),
            }
        }
        let asked = answerer.asked();
        let parked = |line: &str| line.contains("index=") && !line.contains("stale");
        // Whether a key may be read at all is the same everywhere.
        let probe = |line: &str| line.ends_with("/access");
        for line in asked.iter().map(|asked| asked.line.as_str()) {
            let reads = line.starts_with("GET /v1/kv/") || line.starts_with("PUT /v1/txn");
            assert!(reads && (line.contains("consistent") || parked(line) || probe(line)), "{line}");
        }
        assert!(asked.len() >= 8, "{asked:?}");
    });
}

#[test]
fn a_long_answer_makes_no_long_error() {
    // Fails if the decoder's own text, which quotes what it found, is shown whole.
    let shown = block_on(shown(format!("\"{}\"", "x".repeat(1 << 20)), None));
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
}

#[test]
fn a_password_that_an_answer_repeats_in_clear_is_not_shown() {
    let auth = BasicAuth { user: "me".into(), password: "s3cret".into() };
    let shown = block_on(shown("<html>No user me with password s3cret</html>".into(), Some(auth)));
    assert!(shown.contains("No user") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_check_that_the_servers_never_hear_of_is_not_waited_for_as_long_as_the_silence() {
    block_on(async {
        // Fails if whoever opens a session asks a hundred times a second for a day.
        let seam = Seam::system();
        let missing = |asked: &Asked| match asked.line.contains("/session/create") {
            true => reply(500, "Missing check 'ha-1' registration"),
            false => in_order(asked),
        };
        let answerer = Answerer::of(&seam, missing).await;
        let consul = connect(ConsulSettings::at(answerer.address()), &seam).await.unwrap();
        let options = SessionOptions { silence: Duration::from_secs(24 * 60 * 60), label: "process".into() };
        let opened = seam.timeout(PATIENCE, consul.open_session(&options)).await.expect("an answer");
        assert_eq!(opened.map(drop).unwrap_err().kind(), ErrorKind::Unavailable);
    });
}

#[test]
fn a_session_with_an_endless_name_is_none() {
    block_on(async {
        let seam = Seam::system();
        let long = format!("{{\"ID\":\"{}\"}}", "a".repeat(100_000));
        let answers = move |asked: &Asked| {
            if asked.line.contains("/session/create") { reply(200, &long) } else { in_order(asked) }
        };
        let answerer = Answerer::of(&seam, answers).await;
        let consul = connect(ConsulSettings::at(answerer.address()), &seam).await.unwrap();
        let opened = consul.open_session(&SessionOptions::default()).await;
        assert_eq!(opened.map(drop).unwrap_err().kind(), ErrorKind::Unavailable);
    });
}
