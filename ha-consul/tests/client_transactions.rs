//! What a transaction's answer must hold before anybody believes it, and how much of it is shown.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod answerer;

use answerer::{Answerer, Reply, connect, key, reply, write};
use ha_consul::{ConsulSettings, Token};
use ha_core::backend::{Backend, Commit, Outcome, Prefix, Revision};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use ha_testkit::run::block_on;

const SECRET: &str = "0badcafe-5ec2e7-0badcafe-5ec2e7-0bad";

fn settings(answerer: &Answerer) -> ConsulSettings {
    ConsulSettings { token: Token::Secret(SECRET.into()), ..ConsulSettings::at(answerer.address()) }
}

async fn removal(answer: Reply) -> Result<Outcome, Error> {
    let seam = Seam::system();
    let answerer = Answerer::of(&seam, move |_| answer.clone()).await;
    let consul = connect(settings(&answerer), &seam).await.unwrap();
    consul.commit(&Commit::new(seam.write_id()).remove(key(), Revision::from_native(7))).await
}

#[test]
fn a_success_that_tells_of_nothing_removed_nothing() {
    // Fails if something that answers every request with a 200 and some JSON removes whatever it is asked to.
    for body in [
        "{}",
        r#"{"status":"ok"}"#,
        r#"{"Results":null,"Errors":null}"#,
        r#"{"Results":[],"Errors":null}"#,
        r#"{"Results":[{"KV":{"Key":"place/other","ModifyIndex":7}}],"Errors":null}"#,
        r#"{"Results":[{"KV":{"Key":"place/key","ModifyIndex":7}}],"Errors":[{"OpIndex":0,"What":"no"}]}"#,
    ] {
        let outcome = block_on(removal(reply(200, body)));
        assert_eq!(outcome.expect_err(body).kind(), ErrorKind::Indeterminate, "{body}");
    }
    let applied = r#"{"Results":[{"KV":{"Key":"place/key","ModifyIndex":7}}],"Errors":null}"#;
    let outcome = block_on(removal(reply(200, applied))).unwrap();
    assert_eq!(outcome, Outcome::Applied { revisions: vec![Revision::from_native(7)] });
}

#[test]
fn a_refusal_of_what_was_not_sent_is_no_refusal() {
    let outcome = block_on(removal(reply(409, r#"{"Results":null,"Errors":[{"OpIndex":99,"What":"no"}]}"#)));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Indeterminate);
}

#[test]
fn of_a_long_foreign_text_little_is_shown_and_no_secret_in_it() {
    let long = "x".repeat(200_000);
    let refused = |index: usize, what: &str| {
        reply(409, &format!(r#"{{"Results":null,"Errors":[{{"OpIndex":{index},"What":"{what}"}}]}}"#))
    };
    let key_of = |key: &str| {
        let pair = format!(r#"[{{"Key":"{key}","Value":"{long}!","ModifyIndex":6}}]"#);
        reply(200, &pair)
    };
    let answers = [
        refused(0, &format!("Permission denied: {SECRET} {long}")),
        refused(99, &format!("{SECRET} {long}")),
        reply(500, &format!("{SECRET} {long}")),
        // So much of it that a part of one stands where the text is cut.
        reply(500, &SECRET.repeat(1000)),
        key_of(&format!("{SECRET}{long}")),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        block_on(async {
            let seam = Seam::system();
            let answerer = Answerer::of(&seam, move |_| answer.clone()).await;
            let consul = connect(settings(&answerer), &seam).await.unwrap();
            let mut errors = vec![
                consul.commit(&Commit::new(seam.write_id()).remove(key(), Revision::from_native(7))).await.err(),
                write(&consul, &seam).await.err(),
                consul.prove_access(&Prefix::new("place").unwrap()).await.err(),
                consul.list(&Prefix::new("place").unwrap()).await.err(),
            ];
            errors.push(consul.read(&key()).await.err());
            for error in errors.into_iter().flatten() {
                let shown = format!("{error} {error:?}");
                assert!(shown.len() < 4_000, "{number}: {} bytes are shown", shown.len());
                assert!(!shown.contains(&SECRET[..8]), "{number}: {shown:.400}");
            }
        });
    }
}

#[test]
fn a_list_of_which_something_was_left_out_is_denied() {
    // Newer agents say so.
    block_on(async {
        let seam = Seam::system();
        let body = r#"[{"LockIndex":0,"Key":"place/key","Flags":0,"Value":"djE=","CreateIndex":5,"ModifyIndex":6}]"#;
        let answerer = Answerer::of(&seam, move |_| {
            let head = "HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nX-Consul-Results-Filtered-By-ACLs: true\r\n";
            Reply::Raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into())
        })
        .await;
        let consul = connect(settings(&answerer), &seam).await.unwrap();
        let error = consul.list(&Prefix::new("place").unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    });
}
