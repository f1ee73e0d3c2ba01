//! The served store: what its network adds to the contract, and what strange bytes do to it.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::sync::Arc;
use std::time::Duration;

use ha_core::ErrorKind;
use ha_core::backend::{
    Acquire, Backend, Commit, Ended, Expect, Fence, Key, Latch, Mark, Outcome, Prefix, Scope, Session, SessionOptions,
    Term,
};
use ha_core::seam::Seam;
use ha_embedded::Embedded;
use ha_testkit::fixture::{key, latch, text};
use ha_testkit::remote::{Hold, Remote, RemoteOptions, Server};
use ha_testkit::run::block_on;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough that a machine that stalls for two seconds ends no session.
const SILENCE: Duration = Duration::from_millis(2500);
/// How long a client waits for an answer that is held.
const SOON: Duration = Duration::from_secs(1);

struct World {
    seam: Seam,
    server: Server,
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        Self { server: Server::start(Embedded::new(seam.clone()), seam.clone()).unwrap(), seam }
    }

    async fn client(&self) -> Remote {
        Remote::connect(self.server.address(), "patient", self.seam.clone()).await.unwrap()
    }

    /// A client that gives up soon on what is not answered.
    async fn hasty(&self) -> Remote {
        let options = RemoteOptions { label: "hasty".into(), answer_max: SOON };
        Remote::connect_with(self.server.address(), options, self.seam.clone()).await.unwrap()
    }

    async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let output = self.seam.timeout(Duration::from_secs(60), future).await;
        output.unwrap_or_else(|| panic!("waited in vain: {what}"))
    }

    fn put(&self, at: &str) -> Commit {
        Commit::new(self.seam.write_id()).put(key(at), Expect::Absent, text("v"))
    }

    async fn stored(&self, at: &str) -> bool {
        self.server.store().connect().read(&key(at)).await.unwrap().is_some()
    }

    async fn until_stored(&self, at: &str) {
        let stored = async {
            while !self.stored(at).await {
                self.seam.sleep(Duration::from_millis(2)).await;
            }
        };
        self.in_time("it is stored", stored).await;
    }
}

async fn leader(client: &Remote, latch: &Latch) -> (Box<dyn Session>, Term) {
    let options = SessionOptions { silence: SILENCE, label: "leader".into() };
    let session = client.open_session(&options).await.unwrap();
    match session.try_acquire(latch, "leader".into(), None).await.unwrap() {
        Acquire::Won(term) => (session, term),
        held => panic!("{held:?}"),
    }
}

#[test]
fn a_commit_whose_answer_is_held_is_unknown_and_applied_once() {
    block_on(async {
        // Fails if a lost answer is called a failure, or if the client sends the commit again.
        let w = World::new();
        let client = w.hasty().await;
        w.server.hold(client.id(), Hold::Answers).unwrap();
        let error = client.commit(&w.put("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        w.until_stored("k").await;
        w.server.hold(client.id(), Hold::Nothing).unwrap();
        let observer = w.client().await;
        let before = observer.list(&Prefix::root()).await.unwrap().mark;
        client.read(&key("k")).await.unwrap();
        assert_eq!(observer.list(&Prefix::root()).await.unwrap().mark, before, "something was written again");
    });
}

#[test]
fn a_held_read_is_unavailable_and_a_held_commit_arrives_late() {
    block_on(async {
        // Fails if a delayed request dies with the patience of its sender: that is what fences are for.
        let w = World::new();
        let client = w.hasty().await;
        w.server.hold(client.id(), Hold::Requests).unwrap();
        assert_eq!(client.read(&key("k")).await.unwrap_err().kind(), ErrorKind::Unavailable);
        let error = client.commit(&w.put("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert!(!w.stored("k").await);
        w.server.hold(client.id(), Hold::Nothing).unwrap();
        w.until_stored("k").await;
    });
}

#[test]
fn a_delayed_commit_of_a_deposed_leader_is_fenced() {
    block_on(async {
        let w = World::new();
        let (old, new, l) = (w.hasty().await, w.client().await, latch("lead"));
        let (_session, term) = leader(&old, &l).await;
        w.server.hold(old.id(), Hold::Requests).unwrap();
        let late = w.put("late").guarded_by(Fence { latch: l.clone(), term: term.clone() });
        assert_eq!(old.commit(&late).await.unwrap_err().kind(), ErrorKind::Indeterminate);
        let session = new.open_session(&SessionOptions::default()).await.unwrap();
        let won = session.try_acquire(&l, "new".into(), Some(&term)).await.unwrap();
        assert!(matches!(won, Acquire::Won(_)));
        w.server.hold(old.id(), Hold::Nothing).unwrap();
        // The line is free when a later request on it has passed.
        assert_eq!(old.commit(&late).await.unwrap(), Outcome::Fenced);
        assert!(!w.stored("late").await);
    });
}

#[test]
fn a_server_that_is_down_is_unavailable_and_everything_is_there_when_it_is_back() {
    block_on(async {
        // Fails if a commit that was never sent is called unknown, or a connection at rest is believed in.
        let w = World::new();
        let client = w.client().await;
        client.commit(&w.put("before")).await.unwrap();
        w.server.go_down().await;
        for _ in 0..2 {
            let error = client.commit(&w.put("down")).await.unwrap_err();
            // The end of the connection at rest may not have been heard of yet.
            let kinds = [ErrorKind::Unavailable, ErrorKind::Indeterminate];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        assert_eq!(client.commit(&w.put("down")).await.unwrap_err().kind(), ErrorKind::Unavailable);
        w.server.come_up().unwrap();
        assert!(client.read(&key("before")).await.unwrap().is_some());
        assert!(!w.stored("down").await);
        assert!(matches!(client.commit(&w.put("after")).await.unwrap(), Outcome::Applied { .. }));
    });
}

#[test]
fn a_session_outlives_broken_connections_and_goes_on() {
    block_on(async {
        // Fails if a closed connection is taken for evidence, or renewals do not connect again.
        let w = World::new();
        let (client, l) = (w.client().await, latch("lead"));
        let (session, term) = leader(&client, &l).await;
        let first = session.valid_until();
        for _ in 0..5 {
            w.server.cut().await;
            assert_eq!(w.server.store().sessions().len(), 1, "a broken connection ended the session");
        }
        let moved = async {
            while session.valid_until().moment() <= first.moment() + SILENCE {
                w.seam.sleep(Duration::from_millis(5)).await;
            }
        };
        w.in_time("the deadline moves on for longer than a silence", moved).await;
        let guarded = w.put("k").guarded_by(Fence { latch: l, term });
        assert!(matches!(client.commit(&guarded).await.unwrap(), Outcome::Applied { .. }));
    });
}

#[test]
fn a_client_that_is_held_learns_by_its_own_clock_that_its_session_is_over() {
    block_on(async {
        // Fails if a process that is cut off waits for the store to tell it.
        let w = World::new();
        let (client, l) = (w.hasty().await, latch("lead"));
        let (session, _) = leader(&client, &l).await;
        w.server.hold(client.id(), Hold::Answers).unwrap();
        assert_eq!(w.in_time("it learns that it is over", session.ended()).await, Ended::Expired);
        assert!(session.valid_until().is_past(w.seam.now()));
        w.server.hold(client.id(), Hold::Nothing).unwrap();
        let error = session.try_acquire(&l, "again".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionEnded);
    });
}

#[test]
fn a_dropped_session_lasts_until_its_deadline() {
    block_on(async {
        let w = World::new();
        let (client, l) = (w.client().await, latch("lead"));
        let (session, _) = leader(&client, &l).await;
        let deadline = session.valid_until().moment();
        drop(session);
        let heir = client.open_session(&SessionOptions::default()).await.unwrap();
        let won = async {
            loop {
                match heir.try_acquire(&l, "heir".into(), None).await.unwrap() {
                    Acquire::Won(_) => return,
                    Acquire::Held { wait, seen, .. } => drop(client.changed(&wait, &seen).await.unwrap()),
                }
            }
        };
        w.in_time("the heir wins", won).await;
        assert!(w.seam.now() >= deadline, "silence was not waited out");
    });
}

#[test]
fn nobody_touches_the_session_of_another_client() {
    block_on(async {
        // Fails if the name of a session is enough to end it, or to lead on it.
        let w = World::new();
        let (one, l) = (w.client().await, latch("lead"));
        let (session, _) = leader(&one, &l).await;
        let mut stranger = Raw::connect(&w.server, "stranger").await;
        for request in ["CloseSession", "Renew"] {
            stranger.say(&serde_json::json!({ request: session.id() })).await;
        }
        let acquire = serde_json::json!({"session": session.id(), "home": "other/", "holder": "", "over": null});
        let answer = stranger.say(&serde_json::json!({ "Acquire": acquire })).await;
        assert!(answer.contains("SessionEnded"), "{answer}");
        assert_eq!(w.server.store().sessions().len(), 1);
    });
}

/// A connection on which anything can be said.
struct Raw(TcpStream);

impl Raw {
    async fn connect(server: &Server, client: &str) -> Self {
        let mut raw = Self(TcpStream::connect(server.address()).await.unwrap());
        let answer = raw.say(&serde_json::json!({"version": 1, "client": client, "label": ""})).await;
        assert!(answer.contains("Welcome"), "{answer}");
        raw
    }

    async fn say(&mut self, message: &serde_json::Value) -> String {
        let bytes = message.to_string();
        self.0.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
        self.0.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = vec![0; self.0.read_u32().await.unwrap() as usize];
        self.0.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

/// Bytes that no client would send, from one seed.
fn strange(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = next() % 200;
    let body: Vec<u8> = (0..length).map(|_| (next() >> 32) as u8).collect();
    match seed % 4 {
        0 => body,
        // A true length before nonsense, a length that is a lie, and a length that takes all memory.
        1 => [&u32::try_from(length).unwrap().to_be_bytes()[..], &body].concat(),
        2 => [&u32::try_from(length + 1000).unwrap().to_be_bytes()[..], &body].concat(),
        _ => [&u32::MAX.to_be_bytes()[..], &body].concat(),
    }
}

#[test]
fn strange_bytes_end_their_own_connection_and_nothing_else() {
    block_on(async {
        // Fails if a panic or an endless wait of one connection reaches another.
        let w = World::new();
        let client = w.client().await;
        for seed in 0..200 {
            let mut stream = if seed % 2 == 0 {
                TcpStream::connect(w.server.address()).await.unwrap()
            } else {
                Raw::connect(&w.server, "stranger").await.0
            };
            // It may be closed before all was taken.
            let _ = stream.write_all(&strange(seed / 2)).await;
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            let read = w.in_time("the connection ends", stream.read_to_end(&mut rest)).await;
            drop(read);
        }
        let mut raw = Raw::connect(&w.server, "stranger").await;
        let long = "x/".repeat(4000);
        for (request, said) in [
            (serde_json::json!({"Read": "../etc"}), "Invalid"),
            (serde_json::json!({"Read": ""}), "Invalid"),
            (serde_json::json!({"List": long}), "Invalid"),
            (serde_json::json!({"Open": {"silence_ns": 1, "label": ""}}), "Invalid"),
            (serde_json::json!({"Open": {"silence_ns": u64::MAX, "label": ""}}), "Invalid"),
            (serde_json::json!({"Commit": {"id": "short", "guard": null, "writes": [], "checks": []}}), "Invalid"),
            (serde_json::json!({"Renew": "session-0"}), "Expired"),
        ] {
            let answer = raw.say(&request).await;
            assert!(answer.contains(said), "{request}: {answer}");
        }
        assert!(matches!(client.commit(&w.put("k")).await.unwrap(), Outcome::Applied { .. }));
    });
}

#[test]
fn a_server_that_answers_nonsense_is_an_error_that_says_what_may_have_been_done() {
    block_on(async {
        // Fails if a client believes an answer to another question, panics, or takes doubt for refusal.
        let seam = Seam::system();
        let answers = [&b"{\"Done\""[..], b"\"Nonsense\"", b"\"Alive\"", b"{\"Applied\":[1,2,3]}", b"\xff\xfe"];
        for answer in answers {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let _server = seam.spawn(async move {
                loop {
                    let Ok((mut stream, _)) = listener.accept().await else { return };
                    let welcome =
                        br#"{"Welcome":{"value_bytes_max":1000,"commit_operations_max":8,"commit_bytes_max":1000}}"#;
                    for answer in [&welcome[..], answer] {
                        let Ok(length) = stream.read_u32().await else { break };
                        let mut request = vec![0; length as usize];
                        stream.read_exact(&mut request).await.unwrap();
                        stream.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes()).await.unwrap();
                        stream.write_all(answer).await.unwrap();
                    }
                }
            });
            let client = Arc::new(Remote::connect(address, "", seam.clone()).await.unwrap());
            let commit = Commit::new(seam.write_id()).put(key("k"), Expect::Absent, text("v"));
            let error = client.commit(&commit).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
            let client = Remote::connect(address, "", seam.clone()).await.unwrap();
            let error = client.read(&Key::new("k").unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            let client = Remote::connect(address, "", seam.clone()).await.unwrap();
            let error = client.changed(&Scope::Key(key("k")), &Mark::UNSEEN).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
    });
}

#[test]
fn a_wait_that_was_dropped_is_forgotten_by_the_store() {
    block_on(async {
        let w = World::new();
        let client = w.client().await;
        let scope = Scope::Key(key("k"));
        let seen = client.changed(&scope, &Mark::UNSEEN).await.unwrap().mark();
        let until = async |count: usize| {
            while w.server.store().waiting() != count {
                w.seam.sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            biased;
            change = client.changed(&scope, &seen) => panic!("nothing has changed: {change:?}"),
            () = w.in_time("it waits", until(1)) => {}
        }
        w.in_time("nobody waits", until(0)).await;
    });
}
