//! The proxy: what it passes on, and what it does to it.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::seam::{Seam, Task};
use ha_testkit::proxy::{Fault, Matching, Proxy, Treatment};
use ha_testkit::run::block_on;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How long a look lasts at something that must not come. It only bounds the look: what must not come never does.
const LOOK: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that writes down what it was asked, with bodies, and answers with how many that were.
struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    address: String,
    seam: Seam,
    _accepting: Task,
}

impl Server {
    async fn start() -> Self {
        let seam = Seam::system();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (written, tasks) = (Arc::clone(&asked), seam.clone());
        let accepting = seam.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tasks.spawn(answer_all(stream, Arc::clone(&written))).detach();
            }
        });
        Self { asked, address, seam, _accepting: accepting }
    }

    async fn proxy(&self) -> Proxy {
        Proxy::to(&*self.address, self.seam.clone()).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn is_asked(&self, times: usize) {
        let looking = async {
            while self.asked().len() < times {
                self.seam.sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(self.seam.timeout(PATIENCE, looking).await.is_some(), "asked {:?}", self.asked());
    }

    /// Asserts that the client hears nothing.
    async fn hears_nothing(&self, client: &mut Client) {
        let heard = self.seam.timeout(LOOK, client.hear()).await;
        assert!(heard.is_none(), "{heard:?}");
    }
}

async fn answer_all(stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let Ok(Some((head, body))) = read_message(&mut stream).await else { return };
        let target = head.rsplit_once(" HTTP").unwrap().0.to_owned();
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(format!("{target} {body}").trim_end().to_owned());
            asked.len()
        };
        let answer = match &*target {
            "GET /parked" => std::future::pending().await,
            "GET /chunked" => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".into()
            }
            "GET /last" => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{number}"),
            _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{number}", number.to_string().len()),
        };
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() || target == "GET /last" {
            return;
        }
    }
}

/// First line and body; `None` at the end.
async fn read_message(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, String)>> {
    let (mut head, mut length, mut chunked) = (String::new(), None, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
        match line.trim_end() {
            "" => break,
            text if head.is_empty() => head = text.to_owned(),
            text => match text.split_once(": ") {
                Some(("Content-Length", value)) => length = Some(value.parse().unwrap()),
                Some(("Transfer-Encoding", "chunked")) => chunked = true,
                _ => {}
            },
        }
    }
    let is_answer = head.starts_with("HTTP");
    let mut body = vec![0; length.unwrap_or(0)];
    if chunked {
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 && !line.ends_with("0\r\n\r\n") {}
        body = line.into_bytes();
    } else if length.is_none() && is_answer {
        stream.read_to_end(&mut body).await?;
    } else {
        stream.read_exact(&mut body).await?;
    }
    Ok(Some((head, String::from_utf8(body).unwrap())))
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn of(proxy: &Proxy) -> Self {
        Self(BufReader::new(TcpStream::connect(proxy.address()).await.unwrap()))
    }

    async fn say(&mut self, target: &str, body: &str) {
        let text = format!("{target} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// The body of the next answer; `None` if the connection was closed instead.
    async fn hear(&mut self) -> Option<String> {
        read_message(&mut self.0).await.ok().flatten().map(|(_, body)| body)
    }

    async fn ask(&mut self, target: &str, body: &str) -> Option<String> {
        self.say(target, body).await;
        self.hear().await
    }
}

#[test]
fn what_is_said_passes_unchanged_on_one_connection() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        let mut client = Client::of(&proxy).await;
        assert_eq!(client.ask("PUT /a?b=c", "body").await.unwrap(), "1");
        assert_eq!(client.ask("GET /chunked", "").await.unwrap(), "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        let large = "x".repeat(3 << 20);
        assert_eq!(client.ask("PUT /large", &large).await.unwrap(), "3");
        assert_eq!(client.ask("GET /last", "").await.unwrap(), "4");
        assert_eq!(client.hear().await, None, "the server has closed the connection");
        assert_eq!(server.asked(), ["PUT /a?b=c body", "GET /chunked", &format!("PUT /large {large}"), "GET /last"]);
    });
}

#[test]
fn a_cut_closes_what_there_is_and_what_comes_until_it_is_mended() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        let mut old = Client::of(&proxy).await;
        assert_eq!(old.ask("GET /a", "").await.unwrap(), "1");
        assert_eq!(proxy.hindered(), 0);
        proxy.fault(Fault::Cut);
        assert_eq!(old.hear().await, None);
        assert!(proxy.hindered() > 0, "whoever cut it sees that there was something to be cut");
        // Made and closed; or refused right away, which is the same to it.
        if let Ok(stream) = TcpStream::connect(proxy.address()).await {
            assert_eq!(Client(BufReader::new(stream)).hear().await, None);
        }
        proxy.fault(Fault::None);
        assert_eq!(Client::of(&proxy).await.ask("GET /b", "").await.unwrap(), "2");
    });
}

#[test]
fn what_stalls_goes_on_when_it_is_mended() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        for fault in [Fault::Stall, Fault::StallRequests, Fault::StallAnswers] {
            let mut client = Client::of(&proxy).await;
            let (before, hindered) = (server.asked().len(), proxy.hindered());
            proxy.fault(fault);
            client.say("GET /a", "").await;
            if fault == Fault::StallAnswers {
                server.is_asked(before + 1).await;
            }
            server.hears_nothing(&mut client).await;
            assert!(proxy.hindered() > hindered, "{fault:?}");
            assert_eq!(server.asked().len() > before, fault == Fault::StallAnswers, "{fault:?}");
            proxy.fault(Fault::None);
            assert_eq!(client.hear().await, Some((before + 1).to_string()), "{fault:?}");
        }
    });
}

#[test]
fn a_half_open_connection_stays_dead_and_a_new_one_lives() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        let mut old = Client::of(&proxy).await;
        assert_eq!(old.ask("GET /a", "").await.unwrap(), "1");
        proxy.fault(Fault::HalfOpen);
        old.say("GET /b", "").await;
        server.hears_nothing(&mut old).await;
        proxy.fault(Fault::None);
        server.hears_nothing(&mut old).await;
        assert_eq!(Client::of(&proxy).await.ask("GET /c", "").await.unwrap(), "2");
        assert_eq!(server.asked(), ["GET /a", "GET /c"]);
    });
}

#[test]
fn a_request_is_refused_or_swallowed_alone() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        for (treatment, closes) in [(Treatment::Refuse, true), (Treatment::Swallow, false)] {
            let rule = proxy.treat(Matching::path("/renew/7"), treatment);
            let mut client = Client::of(&proxy).await;
            client.say("PUT /renew/7", "").await;
            if closes {
                assert_eq!(client.hear().await, None);
            } else {
                server.hears_nothing(&mut client).await;
            }
            assert!(Client::of(&proxy).await.ask("PUT /renew/8", "").await.is_some());
            assert_eq!(rule.count(), 1);
            drop(rule);
            assert!(Client::of(&proxy).await.ask("PUT /renew/7", "").await.is_some());
        }
        assert_eq!(server.asked(), ["PUT /renew/8", "PUT /renew/7", "PUT /renew/8", "PUT /renew/7"]);
    });
}

#[test]
fn an_answer_is_lost_or_torn_after_the_request_was_carried_out() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        for treatment in [Treatment::LoseAnswer, Treatment::TearAnswer] {
            let before = server.asked().len();
            let _rule = proxy.treat(Matching::path("/txn").body("mine").times(1), treatment);
            assert_eq!(Client::of(&proxy).await.ask("PUT /txn", "mine").await, None, "{treatment:?}");
            assert_eq!(server.asked().len(), before + 1);
            assert!(Client::of(&proxy).await.ask("PUT /txn", "mine").await.is_some(), "once only");
        }
    });
}

#[test]
fn a_held_request_is_delivered_though_its_sender_has_given_up() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        let rule = proxy.treat(Matching::path("/txn"), Treatment::Hold);
        let (mut patient, mut hasty) = (Client::of(&proxy).await, Client::of(&proxy).await);
        hasty.say("PUT /txn", "hasty").await;
        patient.say("PUT /txn", "patient").await;
        rule.matched(2).await;
        drop(hasty);
        assert_eq!(Client::of(&proxy).await.ask("GET /other", "").await.unwrap(), "1");
        drop(rule);
        assert!(patient.hear().await.is_some());
        server.is_asked(3).await;
        let mut asked = server.asked();
        asked.sort();
        assert_eq!(asked, ["GET /other", "PUT /txn hasty", "PUT /txn patient"]);
    });
}

#[test]
fn a_request_is_delivered_twice_and_answered_once() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        let rule = proxy.treat(Matching::path("/txn"), Treatment::Twice);
        let mut client = Client::of(&proxy).await;
        assert_eq!(client.ask("PUT /txn", "x").await.unwrap(), "1");
        drop(rule);
        assert_eq!(client.ask("GET /a", "").await.unwrap(), "3");
        assert_eq!(server.asked(), ["PUT /txn x", "PUT /txn x", "GET /a"]);
    });
}

#[test]
fn slow_messages_arrive_all_the_same() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        proxy.delay(Duration::from_millis(20));
        let _slow = proxy.treat(Matching::path("/a"), Treatment::SlowAnswer(Duration::from_millis(30)));
        let began = server.seam.now();
        assert_eq!(Client::of(&proxy).await.ask("GET /a", "").await.unwrap(), "1");
        assert!(server.seam.now().since(began) >= Duration::from_millis(70), "each delay counts");
    });
}

#[test]
fn a_client_that_gives_up_holds_nobody_up_and_no_connection_outlives_the_proxy() {
    block_on(async {
        let server = Server::start().await;
        let proxy = server.proxy().await;
        let mut client = Client::of(&proxy).await;
        client.say("GET /parked", "").await;
        server.is_asked(1).await;
        drop(client);
        let mut client = Client::of(&proxy).await;
        assert_eq!(client.ask("GET /a", "").await.unwrap(), "2");
        drop(proxy);
        assert_eq!(client.hear().await, None, "the proxy is gone and its connections with it");
    });
}
