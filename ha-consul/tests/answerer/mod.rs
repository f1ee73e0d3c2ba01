//! What stands where an agent is expected, and answers what a test wants.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_consul::{Consul, ConsulSettings};
use ha_core::Error;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome};
use ha_core::seam::{Seam, Task};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    /// The lines of the head after the first, in small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These bytes.
    Raw(Vec<u8>),
    /// These bytes, and the end of the connection.
    Last(Vec<u8>),
    /// Nothing, and the end of the connection.
    Close,
    /// Nothing.
    Silence,
    /// These bytes, so much later.
    Late(Duration, Vec<u8>),
    /// A success whose body has no end.
    Endless,
}

pub(crate) fn reply(status: u16, body: &str) -> Reply {
    let length = body.len();
    Reply::Raw(format!("HTTP/1.1 {status} X\r\nX-Consul-Index: 7\r\nContent-Length: {length}\r\n\r\n{body}").into())
}

/// As an agent with one leader and Consul's own limits answers whoever connects.
pub(crate) fn as_consul(asked: &Asked) -> Option<Reply> {
    if asked.line.starts_with("GET /v1/agent/self") {
        return Some(reply(200, r#"{"Config":{"Datacenter":"dc1"},"DebugConfig":null}"#));
    }
    let probe = asked.line.starts_with("PUT /v1/txn") && asked.body.matches("\"get\"").count() > 64;
    probe.then(|| reply(413, "Transaction contains too many operations (512 > 64)"))
}

type Answers = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Answers on a free port of loopback, until it is dropped.
pub(crate) struct Answerer {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _accepting: Task,
}

impl Answerer {
    /// Answers everything in that way.
    pub(crate) async fn of_all(seam: &Seam, answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let accepting = seam.spawn(accept(listener, seam.clone(), Arc::clone(&asked), Arc::new(answers)));
        Self { address, asked, _accepting: accepting }
    }

    /// Is an agent for whoever connects, and answers everything else in that way.
    pub(crate) async fn of(seam: &Seam, answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::of_all(seam, move |asked| as_consul(asked).unwrap_or_else(|| answers(asked))).await
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// The requests so far, but for those by which a client connects.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.all().into_iter().filter(|asked| as_consul(asked).is_none()).collect()
    }

    pub(crate) fn all(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, seam: Seam, asked: Arc<Mutex<Vec<Asked>>>, answers: Answers) {
    // Ends with the task that holds it.
    let mut connections = Vec::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.push(seam.spawn(serve(stream, seam.clone(), Arc::clone(&asked), Arc::clone(&answers))));
    }
}

async fn serve(mut stream: TcpStream, seam: Seam, log: Arc<Mutex<Vec<Asked>>>, answers: Answers) {
    let mut bytes = Vec::new();
    while let Some(asked) = read(&mut stream, &mut bytes).await {
        log.lock().unwrap().push(asked.clone());
        match answers(&asked) {
            Reply::Raw(answer) => {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Reply::Last(answer) => {
                let _ = stream.write_all(&answer).await;
                return;
            }
            Reply::Close => return,
            Reply::Silence => std::future::pending().await,
            Reply::Late(by, answer) => {
                seam.sleep(by).await;
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Reply::Endless => {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                while stream.write_all(format!("4000\r\n{}\r\n", "x".repeat(0x4000)).as_bytes()).await.is_ok() {}
                return;
            }
        }
    }
}

/// One request; `None` at the end of the connection.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Asked> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let (line, head) = head.split_once("\r\n").unwrap_or((&head, ""));
            let (line, head) = (line.trim_end_matches(" HTTP/1.1").to_owned(), head.replace("\r\n", "\n"));
            let head: String = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| format!("{}: {value}\n", name.to_lowercase()))
                .collect();
            let asked = Asked { line, head, body: String::new() };
            let length: usize = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned();
                bytes.drain(..end + 4 + length);
                return Some(Asked { body, ..asked });
            }
        }
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
    }
}

/// A port of loopback that nothing listens on: connections to it are refused as long as this lives.
pub(crate) struct Refusing {
    /// Bound and not listening, so that nobody else gets it.
    _socket: tokio::net::TcpSocket,
    pub(crate) address: String,
}

impl Refusing {
    pub(crate) fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        Self { _socket: socket, address }
    }
}

pub(crate) async fn connect(settings: ConsulSettings, seam: &Seam) -> Result<Consul, Error> {
    Consul::connect(settings, seam.clone()).await
}

pub(crate) fn key() -> Key {
    Key::new("place/key").unwrap()
}

/// Writes a key that is not there yet.
pub(crate) async fn write(consul: &Consul, seam: &Seam) -> Result<Outcome, Error> {
    consul.commit(&Commit::new(seam.write_id()).put(key(), Expect::Absent, "value".into())).await
}

/// What Consul answers to that.
pub(crate) fn written() -> Reply {
    reply(200, r#"{"Results":[{"KV":{"Key":"place/key","ModifyIndex":8}}],"Errors":null}"#)
}
