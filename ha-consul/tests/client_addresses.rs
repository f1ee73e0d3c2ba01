//! Several addresses: which request is asked of the next one, and which never is.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod answerer;

use std::time::Duration;

use answerer::{Answerer, Asked, Refusing, Reply, connect, key, reply, write, written};
use ha_consul::ConsulSettings;
use ha_core::ErrorKind;
use ha_core::backend::{Backend, Change, Outcome, Prefix, Scope, SessionOptions};
use ha_core::seam::Seam;
use ha_testkit::run::block_on;
use tokio::net::TcpStream;

fn settings(addresses: Vec<String>) -> ConsulSettings {
    ConsulSettings { addresses, request_timeout: Duration::from_secs(30), ..ConsulSettings::default() }
}

#[test]
fn an_address_that_refuses_is_passed_over_also_by_a_write() {
    block_on(async {
        let seam = Seam::system();
        let (refusing, there) = (Refusing::new(), Answerer::of(&seam, |_| written()).await);
        let consul = connect(settings(vec![refusing.address.clone(), there.address()]), &seam).await.unwrap();
        assert!(matches!(write(&consul, &seam).await, Ok(Outcome::Applied { .. })));
        assert_eq!(there.asked().len(), 1);
    });
}

#[test]
fn if_all_refuse_the_error_names_each_and_nothing_was_applied() {
    block_on(async {
        let seam = Seam::system();
        let refusing = [Refusing::new(), Refusing::new()];
        let addresses: Vec<String> = refusing.iter().map(|refusing| refusing.address.clone()).collect();
        let error = connect(settings(addresses.clone()), &seam).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(addresses.iter().all(|address| error.to_string().contains(address)), "{error}");
    });
}

#[test]
fn who_connects_is_not_kept_out_by_a_first_agent_that_says_nothing() {
    block_on(async {
        let seam = Seam::system();
        let (silent, closing) =
            (Answerer::of_all(&seam, |_| Reply::Silence), Answerer::of_all(&seam, |_| Reply::Close));
        let (silent, closing, there) = (silent.await, closing.await, Answerer::of(&seam, |_| written()).await);
        let addresses = vec![silent.address(), closing.address(), there.address()];
        // Also for the one that answers, however slow this machine is.
        let settings = ConsulSettings { request_timeout: Duration::from_secs(3), ..settings(addresses.clone()) };
        connect(settings.clone(), &seam).await.unwrap();
        assert_eq!(silent.all().len(), 1);
        // Without the one that answers the error names the others, and ends.
        let settings = ConsulSettings { addresses: addresses[..2].into(), ..settings };
        let error = connect(settings, &seam).await.unwrap_err().to_string();
        assert!(addresses[..2].iter().all(|address| error.contains(address)), "{error}");
    });
}

#[test]
fn a_name_without_an_address_is_an_error_and_is_passed_over() {
    block_on(async {
        let seam = Seam::system();
        let there = Answerer::of(&seam, |_| written()).await;
        let nowhere = "nowhere.invalid:8500".to_owned();
        let consul = connect(settings(vec![nowhere.clone(), there.address()]), &seam).await.unwrap();
        assert!(matches!(write(&consul, &seam).await, Ok(Outcome::Applied { .. })));
        let error = connect(settings(vec![nowhere]), &seam).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    });
}

/// What may have been applied by the first agent, which answers so.
async fn not_sent_again(answer: Reply, within: Duration) {
    let seam = Seam::system();
    let shown = format!("{answer:?}");
    let (first, second) =
        (Answerer::of(&seam, move |_| answer.clone()).await, Answerer::of(&seam, |_| written()).await);
    let settings = ConsulSettings { request_timeout: within, ..settings(vec![first.address(), second.address()]) };
    let consul = connect(settings, &seam).await.unwrap();
    let error = write(&consul, &seam).await.unwrap_err();
    assert!(error.may_have_applied(), "{shown}: {error}");
    assert_eq!((first.asked().len(), second.asked().len()), (1, 0), "{shown}");
    // What comes next is asked of the other one at once.
    assert!(matches!(write(&consul, &seam).await, Ok(Outcome::Applied { .. })), "{shown}");
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1), "{shown}");
}

#[test]
fn a_write_that_may_have_been_applied_is_not_sent_to_the_next_address() {
    let long = Duration::from_secs(30);
    block_on(not_sent_again(Reply::Close, long));
    block_on(not_sent_again(reply(500, "leadership lost while committing log"), long));
    block_on(not_sent_again(Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()), long));
    block_on(not_sent_again(Reply::Silence, Duration::from_secs(3)));
}

#[test]
fn a_write_that_was_not_applied_is_told_and_the_next_one_asks_another() {
    for answer in [reply(500, "No cluster leader"), reply(429, "")] {
        block_on(async {
            let seam = Seam::system();
            let first = Answerer::of(&seam, move |_| answer.clone()).await;
            let second = Answerer::of(&seam, |_| written()).await;
            let consul = connect(settings(vec![first.address(), second.address()]), &seam).await.unwrap();
            let error = write(&consul, &seam).await.unwrap_err();
            assert_eq!((error.kind(), error.may_have_applied()), (ErrorKind::Unavailable, false), "{error}");
            assert!(matches!(write(&consul, &seam).await, Ok(Outcome::Applied { .. })));
            assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
        });
    }
}

#[test]
fn a_read_is_asked_of_the_next_address_if_the_first_fails() {
    for answer in [Reply::Close, reply(500, "No cluster leader"), reply(502, "<html>"), reply(429, "")] {
        block_on(async {
            let seam = Seam::system();
            let shown = format!("{answer:?}");
            let first = Answerer::of(&seam, move |_| answer.clone()).await;
            let second = Answerer::of(&seam, |_| reply(404, "")).await;
            let consul = connect(settings(vec![first.address(), second.address()]), &seam).await.unwrap();
            assert_eq!(consul.read(&key()).await.expect(&shown), None);
            assert_eq!((first.asked().len(), second.asked().len()), (1, 1), "{shown}");
            // And stays there.
            assert_eq!(consul.read(&key()).await.expect(&shown), None);
            assert_eq!((first.asked().len(), second.asked().len()), (1, 2), "{shown}");
        });
    }
}

#[test]
fn a_read_that_was_refused_is_not_asked_again() {
    block_on(async {
        let seam = Seam::system();
        let first = Answerer::of(&seam, |_| reply(403, "Permission denied")).await;
        let second = Answerer::of(&seam, |_| reply(404, "")).await;
        let consul = connect(settings(vec![first.address(), second.address()]), &seam).await.unwrap();
        assert_eq!(consul.read(&key()).await.unwrap_err().kind(), ErrorKind::Denied);
        assert!(second.asked().is_empty());
    });
}

#[test]
fn no_address_is_asked_twice_for_one_read() {
    block_on(async {
        let seam = Seam::system();
        let failing = || Answerer::of(&seam, |_| reply(500, "No cluster leader"));
        let agents = [failing().await, failing().await, failing().await];
        let addresses = agents.iter().map(Answerer::address).collect();
        let consul = connect(settings(addresses), &seam).await.unwrap();
        let error = consul.read(&key()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(agents.iter().all(|agent| agent.asked().len() == 1));
    });
}

#[test]
fn a_connection_that_is_not_made_ends_before_the_time_for_requests_does() {
    block_on(async {
        let seam = Seam::system();
        // Nobody takes connections from its queue, which is full: further ones are neither made nor refused.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(1).unwrap();
        let address = full.local_addr().unwrap();
        let connecting = async |_| seam.timeout(Duration::from_millis(200), TcpStream::connect(address)).await;
        let _queued = futures_util::future::join_all((0..8).map(connecting)).await;
        let settings = ConsulSettings {
            connect_timeout: Duration::from_millis(200),
            request_timeout: Duration::from_secs(60),
            ..settings(vec![address.to_string()])
        };
        let connected = seam.timeout(Duration::from_secs(45), connect(settings, &seam)).await;
        let error = connected.expect("an end long before that of the request").unwrap_err();
        assert_eq!((error.kind(), error.may_have_applied()), (ErrorKind::Unavailable, false));
        assert!(error.to_string().contains("took too long"), "{error}");
    });
}

#[test]
fn a_request_that_waits_on_purpose_has_more_time_than_others() {
    block_on(async {
        let seam = Seam::system();
        let pair = r#"[{"LockIndex":0,"Key":"place/key","Flags":0,"Value":"djE=","CreateIndex":5,"ModifyIndex":9}]"#;
        let length = pair.len();
        let head = format!("HTTP/1.1 200 X\r\nX-Consul-Index: 9\r\nContent-Length: {length}\r\n\r\n");
        let late = Reply::Late(Duration::from_secs(5), format!("{head}{pair}").into());
        let answers = move |asked: &Asked| if asked.line.contains("index=") { late.clone() } else { reply(404, "") };
        let agent = Answerer::of(&seam, answers).await;
        // Shorter than the change takes.
        let request_timeout = Duration::from_secs(3);
        let consul =
            connect(ConsulSettings { request_timeout, ..settings(vec![agent.address()]) }, &seam).await.unwrap();
        let place = Prefix::new("place").unwrap();
        let seen = consul.list(&place).await.unwrap().mark;
        let scope = Scope::Below(place);
        let change = seam.timeout(Duration::from_secs(60), consul.changed(&scope, &seen)).await;
        let Change::Snapshot(snapshot) = change.expect("a change").unwrap() else { panic!("no snapshot") };
        assert_eq!(snapshot.entries.len(), 1);
        assert_eq!(agent.asked().iter().filter(|asked| asked.line.contains("index=7")).count(), 1);
    });
}

#[test]
fn an_agent_that_says_nothing_holds_up_no_other_purpose() {
    block_on(async {
        let seam = Seam::system();
        // Reads are never answered; a write is.
        let agent =
            Answerer::of(&seam, |asked| if asked.line.starts_with("GET") { Reply::Silence } else { written() }).await;
        let consul = connect(settings(vec![agent.address()]), &seam).await.unwrap();
        let reading: Vec<_> = (0..50)
            .map(|_| {
                let consul = consul.clone();
                seam.spawn(async move { drop(consul.read(&key()).await) })
            })
            .collect();
        while agent.asked().len() < reading.len() {
            seam.sleep(Duration::from_millis(5)).await;
        }
        let outcome = seam.timeout(Duration::from_secs(20), write(&consul, &seam)).await;
        assert!(matches!(outcome.expect("an answer while others wait"), Ok(Outcome::Applied { .. })));
    });
}

#[test]
fn a_session_that_the_first_agent_cannot_open_is_opened_by_the_next_one_and_the_first_forgets_its_check() {
    block_on(async {
        let seam = Seam::system();
        // Well until it is asked for a session.
        let first = Answerer::of(&seam, |asked| match asked.line.contains("deregister") {
            true => reply(200, ""),
            false => Reply::Close,
        })
        .await;
        let second = Answerer::of(&seam, |_| reply(200, r#"{"ID":"the-session"}"#)).await;
        let consul = connect(settings(vec![first.address(), second.address()]), &seam).await.unwrap();
        assert_eq!(consul.open_session(&SessionOptions::default()).await.unwrap().id(), "the-session");
        // It may have registered it: its answer was lost.
        let forgets = async {
            while !first.asked().iter().any(|asked| asked.line.contains("/v1/agent/service/deregister/ha-")) {
                seam.sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(seam.timeout(Duration::from_secs(60), forgets).await.is_some(), "{:?}", first.asked());
    });
}
