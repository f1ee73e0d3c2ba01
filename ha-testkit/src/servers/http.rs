//! One request to a server, for what tests ask themselves. No client of a backend: no pool, no retries.

use std::time::Duration;

use ha_core::seam::Seam;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one request may take. Servers without a leader hold requests for up to seven seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; what is no UTF-8 in it is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }
}

/// Sends one request on a connection of its own. The error says what went wrong.
pub(super) async fn ask(
    seam: &Seam,
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    // HTTP/1.0: the answer comes in one piece, and ends where the connection does.
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        // A server that refuses a long body answers before it has read it, and then ends the connection: neither what
        // could not be written any more nor how the reading ends says anything against an answer that is whole.
        let sent = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await
        }
        .await;
        let mut answer = Vec::new();
        let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
        match sent.and(read.map(drop)) {
            Err(error) if !is_whole(&answer) => Err(error),
            _ => Ok(answer),
        }
    };
    match seam.timeout(PATIENCE, exchange).await {
        Some(Ok(answer)) => parse(&answer).ok_or_else(|| format!("{address} does not speak HTTP")),
        Some(Err(error)) => Err(format!("{address}: {error}")),
        None => Err(format!("{address} does not answer within {PATIENCE:?}")),
    }
}

/// Whether an answer says how long it is, and is that long: then nothing is missing, however the connection ended.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = end_of_head(answer) else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length == Some(answer.len() - end - 4)
}

fn end_of_head(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = end_of_head(answer)?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some(Answer { status, body: answer[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_none_is_refused() {
        let answer = parse(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nx\r\n\r\n").unwrap();
        assert_eq!(answer, Answer { status: 404, body: b"x\r\n\r\n".to_vec() });
        for other in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 2\r\n\r\n", b"220 mail\r\n\r\n", b"\xff\r\n\r\n"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
    #[test]
    fn an_answer_that_says_its_length_is_whole_or_is_not() {
        let answer = b"HTTP/1.0 413 Too Large\r\nContent-Length: 4\r\n\r\nlong";
        assert!(is_whole(answer));
        for cut in 0..answer.len() {
            assert!(!is_whole(&answer[..cut]), "{cut}");
        }
        assert!(!is_whole(b"HTTP/1.0 200 OK\r\n\r\nlong"));
    }

    #[tokio::test]
    async fn an_answer_that_comes_before_the_whole_body_was_read_is_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let refuses = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.0 413 Too Large\r\nContent-Length: 4\r\n\r\nlong").await.unwrap();
            // Dropped with bytes unread: the kernel resets the connection.
        };
        let body = vec![0; 8 << 20];
        let seam = Seam::system();
        let (answer, ()) = tokio::join!(ask(&seam, &address, "PUT", "/", &[], &body), refuses);
        assert_eq!(answer, Ok(Answer { status: 413, body: b"long".to_vec() }));
    }
}
