//! A service that speaks HTTP and answers as the test says: right, wrong, without an end.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// As much as an answer without an end sends, if nobody hangs up: a test that fails has an end, and its machine memory.
pub(crate) const ENDLESS_BYTES: u64 = 192 << 20;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// The head's lines, in small letters.
    pub(crate) head: String,
}

/// What is answered.
pub(crate) enum Answer {
    /// These bytes, and the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, and then chunks of zeros that go on and on.
    Endless(Vec<u8>),
}

impl Answer {
    /// Status, further lines of the head, and the body.
    pub(crate) fn new(status: &str, lines: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        lines.iter().for_each(|line| bytes.push_str(&format!("{line}\r\n")));
        Self::Bytes([bytes.as_bytes(), b"\r\n", body].concat())
    }

    /// As [`Answer::new`], with a body that has no end.
    pub(crate) fn endless(status: &str, lines: &[&str]) -> Self {
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n");
        lines.iter().for_each(|line| head.push_str(&format!("{line}\r\n")));
        Self::Endless(format!("{head}\r\n").into_bytes())
    }

    /// The end of the connection, and no answer.
    pub(crate) fn none() -> Self {
        Self::Bytes(Vec::new())
    }
}

/// Dropping it ends it.
pub(crate) struct Server {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    sent: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Answers every request as the function says, which is told how many came before.
    pub(crate) async fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let (shared, counter, answer) = (Arc::clone(&asked), Arc::clone(&sent), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, counter, answer) = (Arc::clone(&shared), Arc::clone(&counter), Arc::clone(&answer));
                served.spawn(async move {
                    // Whoever hangs up has heard enough.
                    let _ = serve(stream, &shared, &counter, &*answer).await;
                });
            }
        });
        Self { address, asked, sent, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// How many bytes of bodies without an end have been taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn serve(
    mut stream: TcpStream,
    asked: &Mutex<Vec<Request>>,
    sent: &AtomicU64,
    answer: &(dyn Fn(&Request, usize) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    let answer = {
        let mut asked = asked.lock().unwrap();
        asked.push(request.clone());
        answer(&request, asked.len() - 1)
    };
    match answer {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
        Answer::Endless(head) => {
            stream.write_all(&head).await?;
            let piece = [format!("{:x}\r\n", 64 << 10).as_bytes(), &[b'0'; 64 << 10], b"\r\n"].concat();
            let mut left = ENDLESS_BYTES;
            while left > 0 {
                stream.write_all(&piece).await?;
                sent.fetch_add(64 << 10, SeqCst);
                left -= 64 << 10;
            }
        }
    }
    stream.shutdown().await
}

/// The head and all of the body; `None`: nothing came.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut piece).await? {
            0 => return Ok(None),
            taken => bytes.extend_from_slice(&piece[..taken]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut left = length.unwrap_or(0).saturating_sub(bytes.len() - end - 4);
    while left > 0 {
        match stream.read(&mut piece).await? {
            0 => return Ok(None),
            taken => left = left.saturating_sub(taken),
        }
    }
    let mut first = head.lines().next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    Ok(Some(Request { method, target, head: head.to_ascii_lowercase() }))
}
