//! What the client makes of answers that no healthy agent gives, and of what is no agent.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod answerer;

use std::time::Duration;

use answerer::{Answerer, Asked, Reply, as_consul, connect, key, reply, write, written};
use ha_consul::ConsulSettings;
use ha_core::ErrorKind;
use ha_core::backend::{Backend, Key, Outcome, Prefix};
use ha_core::seam::Seam;
use ha_testkit::run::block_on;

fn settings(answerer: &Answerer) -> ConsulSettings {
    ConsulSettings {
        // A test that waits for it waits as long; one that does not has long enough.
        request_timeout: Duration::from_secs(30),
        answer_bytes_max: 1 << 20,
        ..ConsulSettings::at(answerer.address())
    }
}

/// What becomes of a write that is answered so, and of a read; and how many requests each was.
async fn kinds(answer: Reply, settings: impl Fn(ConsulSettings) -> ConsulSettings) -> (ErrorKind, ErrorKind) {
    let seam = Seam::system();
    let answerer = Answerer::of(&seam, move |_| answer.clone()).await;
    let consul = connect(settings(self::settings(&answerer)), &seam).await.unwrap();
    let written = write(&consul, &seam).await.unwrap_err();
    assert_eq!(answerer.asked().len(), 1, "a write is sent once: {written}");
    let read = consul.read(&key()).await.unwrap_err();
    assert_eq!(answerer.asked().len(), 2, "a read of one agent is sent once: {read}");
    let applied = written.kind() == ErrorKind::Indeterminate;
    assert_eq!((written.may_have_applied(), read.may_have_applied()), (applied, false), "{written}; {read}");
    (written.kind(), read.kind())
}

/// A success with one value, as a transaction and as a list are answered.
fn kv(fields: &str) -> Reply {
    reply(200, &format!("{{\"Results\":[{{\"KV\":{{{fields}}}}}]}}"))
}

#[test]
fn every_answer_is_an_error_of_its_own_kind() {
    use ErrorKind::{Denied, Indeterminate, Invalid, TooLarge, Unavailable};
    let table = [
        (reply(403, "Permission denied"), Denied, Denied),
        (reply(403, "ACL not found"), Denied, Denied),
        (reply(400, "Failed to parse body"), Invalid, Invalid),
        (reply(413, "Request body(9 bytes) too large, max size: 8 bytes."), TooLarge, TooLarge),
        (reply(429, ""), Unavailable, Unavailable),
        (reply(405, "method PUT not allowed"), Unavailable, Unavailable),
        (reply(500, "No cluster leader"), Unavailable, Unavailable),
        (reply(500, "rpc error making call: node is not the leader"), Unavailable, Unavailable),
        (reply(500, "leadership lost while committing log"), Indeterminate, Unavailable),
        (reply(500, "rpc error making call: EOF"), Indeterminate, Unavailable),
        (reply(500, "who knows"), Indeterminate, Unavailable),
        (reply(502, "<html>Bad Gateway</html>"), Indeterminate, Unavailable),
        (reply(503, ""), Indeterminate, Unavailable),
        (reply(204, ""), Indeterminate, Unavailable),
        (reply(200, "<html>Welcome</html>"), Indeterminate, Unavailable),
        (reply(200, "{\"Results\":[{\"KV\":{\"Key\":"), Indeterminate, Unavailable),
        (reply(200, ""), Indeterminate, Unavailable),
        // Deeper than any stack, more than any number, and twice the same.
        (reply(200, &"[".repeat(200_000)), Indeterminate, Unavailable),
        (reply(200, &format!("{{\"Results\":{}", "{\"KV\":".repeat(100_000))), Indeterminate, Unavailable),
        (kv(r#""Key":"place/key","ModifyIndex":-1"#), Indeterminate, Unavailable),
        (kv(r#""Key":"place/key","ModifyIndex":18446744073709551616"#), Indeterminate, Unavailable),
        (kv(r#""Key":"place/key","ModifyIndex":1e400"#), Indeterminate, Unavailable),
        (kv(r#""Key":"place/key","Key":"place/other","ModifyIndex":8"#), Indeterminate, Unavailable),
        (kv(r#""Key":null,"ModifyIndex":8"#), Indeterminate, Unavailable),
        (kv(r#""Key":"place/\ud800","ModifyIndex":8"#), Indeterminate, Unavailable),
    ];
    for (answer, to_write, to_read) in table {
        let shown = format!("{answer:?}");
        assert_eq!(block_on(kinds(answer, |settings| settings)), (to_write, to_read), "{shown}");
    }
}

#[test]
fn after_a_connection_that_breaks_a_write_may_have_been_applied_and_is_not_sent_again() {
    let torn = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"Results\":";
    for answer in [
        Reply::Close,
        Reply::Last(torn.into()),
        Reply::Last(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"Res".to_vec()),
        Reply::Last(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        Reply::Last(b"HTTP/1.1 999999 \r\n\r\n".to_vec()),
        Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n".to_vec()),
    ] {
        let shown = format!("{answer:?}");
        let kinds = block_on(kinds(answer, |settings| settings));
        assert_eq!(kinds, (ErrorKind::Indeterminate, ErrorKind::Unavailable), "{shown}");
    }
}

#[test]
fn after_a_silence_a_write_may_have_been_applied_and_the_wait_has_an_end() {
    // Connecting has no more time than that either.
    let soon = |settings| ConsulSettings { request_timeout: Duration::from_secs(2), ..settings };
    assert_eq!(block_on(kinds(Reply::Silence, soon)), (ErrorKind::Indeterminate, ErrorKind::Unavailable));
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[";
    let error = format!("HTTP/1.1 500 X\r\nContent-Length: 9999999\r\n\r\n{}", "x".repeat(9_999_999));
    for answer in [Reply::Endless, Reply::Raw(long.into()), Reply::Raw(error.into())] {
        let kinds = block_on(kinds(answer, |settings| settings));
        assert_eq!(kinds, (ErrorKind::Indeterminate, ErrorKind::Unavailable));
    }
}

#[test]
fn a_refusal_that_tells_of_access_is_no_conflict() {
    let refused = |what: &str| reply(409, &format!(r#"{{"Results":null,"Errors":[{{"OpIndex":0,"What":"{what}"}}]}}"#));
    let kind = async |answer: Reply| {
        let seam = Seam::system();
        let answerer = Answerer::of(&seam, move |_| answer.clone()).await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        write(&consul, &seam).await.unwrap_err().kind()
    };
    assert_eq!(block_on(kind(refused("Permission denied"))), ErrorKind::Denied);
    let newer = "rpc error: Permission denied: token with AccessorID 'x' lacks permission 'key:write'";
    assert_eq!(block_on(kind(refused(newer))), ErrorKind::Denied);
    for answer in ["", "{}", "<html>", r#"{"Errors":[{}]}"#, r#"{"Errors":7}"#] {
        assert_eq!(block_on(kind(reply(409, answer))), ErrorKind::Indeterminate, "{answer}");
    }
}

#[test]
fn an_empty_answer_of_something_else_is_no_empty_place() {
    block_on(async {
        let seam = Seam::system();
        for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"]
        {
            let answerer = Answerer::of(&seam, move |_| Reply::Raw(answer.into())).await;
            let consul = connect(settings(&answerer), &seam).await.unwrap();
            let error = consul.list(&Prefix::new("place").unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            let error = consul.read(&key()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
    });
}

#[test]
fn values_in_a_list_that_are_not_what_consul_stores_are_refused_or_passed_over() {
    let list = |fields: &str| reply(200, &format!("[{{{fields}}}]"));
    let listed = async |answer: Reply| {
        let seam = Seam::system();
        let answerer = Answerer::of(&seam, move |_| answer.clone()).await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        consul.list(&Prefix::new("place").unwrap()).await
    };
    for fields in [
        r#""Key":"place/key","Value":"!!!!","ModifyIndex":6"#,
        r#""Key":"place/key","Value":7,"ModifyIndex":6"#,
        r#""Key":"place/key","Value":"djE=","ModifyIndex":-6"#,
        r#""Key":"place/key","Value":"djE=","ModifyIndex":6,"ModifyIndex":7"#,
        r#""Key":"place/key","Value":"djE=","ModifyIndex":6,"LockIndex":18446744073709551616"#,
    ] {
        let error = block_on(listed(list(fields))).expect_err(fields);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{fields}: {error}");
    }
    // Names that nobody here could have written; the same name, written otherwise.
    for (fields, found) in [
        (r#""Key":"place/gr\u00f6\u00dfe","Value":"djE=","ModifyIndex":6"#, 0),
        (r#""Key":"place/../key","Value":"djE=","ModifyIndex":6"#, 0),
        (r#""Key":"place/a\u0000b","Value":"djE=","ModifyIndex":6"#, 0),
        (r#""Key":"pl\u0061ce\/key","Value":"djE=","ModifyIndex":6"#, 1),
    ] {
        assert_eq!(block_on(listed(list(fields))).unwrap().entries.len(), found, "{fields}");
    }
}

#[test]
fn closing_ends_though_nothing_is_answered() {
    block_on(async {
        let seam = Seam::system();
        let answerer = Answerer::of(&seam, |asked| match asked.line.split_once(' ') {
            Some((_, target)) if target.starts_with("/v1/session/create") => reply(200, r#"{"ID":"the-session"}"#),
            Some((_, target)) if target.starts_with("/v1/agent/service/register") => reply(200, ""),
            _ => Reply::Silence,
        })
        .await;
        let settings = ConsulSettings { request_timeout: Duration::from_secs(2), ..settings(&answerer) };
        let consul = connect(settings, &seam).await.unwrap();
        let session = consul.open_session(&ha_core::backend::SessionOptions::default()).await.unwrap();
        let closed = seam.timeout(Duration::from_secs(60), consul.close()).await.expect("an end");
        assert_eq!(closed.unwrap_err().kind(), ErrorKind::Indeterminate);
        assert!(session.valid_until().is_past(seam.now()));
    });
}

#[test]
fn a_redirect_is_not_followed() {
    block_on(async {
        let seam = Seam::system();
        let elsewhere = Answerer::of(&seam, |_| written()).await;
        let there = elsewhere.address();
        let answerer = Answerer::of(&seam, move |_| {
            let answer = format!("HTTP/1.1 307 X\r\nLocation: http://{there}/v1/txn\r\nContent-Length: 0\r\n\r\n");
            Reply::Raw(answer.into())
        })
        .await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        let error = write(&consul, &seam).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("redirects are not followed"), "{error}");
        assert!(elsewhere.all().is_empty());
    });
}

#[test]
fn what_is_no_consul_is_not_connected_to() {
    let not_consul = [
        reply(200, "<html>It works!</html>"),
        reply(200, "{}"),
        reply(200, r#"{"Config":{}}"#),
        reply(200, r#"{"Config":null}"#),
        reply(200, "[]"),
        reply(404, "404 page not found"),
        reply(403, "<html>Forbidden</html>"),
        reply(400, "Client sent an HTTP request to an HTTPS server.\n"),
        Reply::Last(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        Reply::Close,
    ];
    for answer in not_consul {
        block_on(async {
            let seam = Seam::system();
            let shown = format!("{answer:?}");
            let answerer = Answerer::of_all(&seam, move |_| answer.clone()).await;
            let error = connect(settings(&answerer), &seam).await.expect_err(&shown);
            assert!(!error.may_have_applied(), "{error}");
            assert!(error.to_string().contains("connect"), "{error}");
        });
    }
}

#[test]
fn the_number_of_operations_is_what_the_agent_says_and_else_consuls_least() {
    let operations = async |answer: Reply| {
        let seam = Seam::system();
        let answerer = Answerer::of_all(&seam, move |asked| {
            if asked.line.starts_with("GET") { as_consul(asked).unwrap() } else { answer.clone() }
        })
        .await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        consul.profile().commit_operations_max
    };
    let least = block_on(operations(reply(500, "No cluster leader")));
    assert_eq!(block_on(operations(reply(413, "Transaction contains too many operations (512 > 64)"))), least);
    assert_eq!(block_on(operations(reply(413, "Request body too large, max size: 1024 bytes."))), least);
    let more = block_on(operations(reply(413, "Transaction contains too many operations (512 > 128)")));
    assert_eq!(more, 2 * least + 1);
    assert!(block_on(operations(reply(409, r#"{"Errors":[]}"#))) > more);
}

#[test]
fn a_write_over_a_connection_that_was_closed_meanwhile_is_sent_once() {
    block_on(async {
        let seam = Seam::system();
        // Each connection is closed after its answer, which does not say so.
        let answerer = Answerer::of(&seam, |_| match written() {
            Reply::Raw(answer) => Reply::Last(answer),
            other => other,
        })
        .await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        for round in 1..=20 {
            // The one outcome that is not allowed is a second copy.
            let outcome = write(&consul, &seam).await;
            assert!(matches!(outcome, Ok(Outcome::Applied { .. })) || outcome.is_err_and(|e| e.may_have_applied()));
            assert!(answerer.asked().len() <= round);
        }
    });
}

#[test]
fn the_answer_to_a_request_that_was_given_up_is_not_taken_for_that_of_the_next() {
    block_on(async {
        let seam = Seam::system();
        let pair = r#"[{"LockIndex":0,"Key":"place/key","Flags":0,"Value":"djE=","CreateIndex":5,"ModifyIndex":6}]"#;
        let Reply::Raw(found) = reply(200, pair) else { unreachable!() };
        let answers = move |asked: &Asked| match asked.line.contains("place/key") {
            true => Reply::Late(Duration::from_secs(3), found.clone()),
            false => reply(404, ""),
        };
        let answerer = Answerer::of(&seam, answers).await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        for _ in 0..5 {
            let given_up = seam.timeout(Duration::from_millis(100), consul.read(&key())).await;
            assert!(given_up.is_none());
            assert_eq!(consul.read(&Key::new("place/other").unwrap()).await.unwrap(), None);
        }
    });
}

#[test]
fn a_second_answer_to_one_request_is_not_taken_for_that_of_the_next() {
    block_on(async {
        let seam = Seam::system();
        // Says that everything was written, behind the answer to what was read.
        let (Reply::Raw(mut twice), Reply::Raw(more)) = (reply(404, ""), written()) else { unreachable!() };
        twice.extend(more);
        let answers = move |asked: &Asked| match asked.line.starts_with("GET") {
            true => Reply::Raw(twice.clone()),
            false => reply(500, "rpc error making call: EOF"),
        };
        let answerer = Answerer::of(&seam, answers).await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        for _ in 0..20 {
            assert_eq!(consul.read(&key()).await.unwrap(), None);
            assert_eq!(write(&consul, &seam).await.unwrap_err().kind(), ErrorKind::Indeterminate);
        }
    });
}
