//! One request to a server, for what tests ask themselves. No client of a backend: no pool, no retries.

use std::time::Duration;

use ha_core::seam::Seam;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one request may take. Servers without a leader hold requests for up to seven seconds.
const PATIENCE: Duration = Duration::from_secs(20);
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
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match seam.timeout(PATIENCE, exchange).await {
        Some(Ok(answer)) => parse(&answer).ok_or_else(|| format!("{address} does not speak HTTP")),
        Some(Err(error)) => Err(format!("{address}: {error}")),
        None => Err(format!("{address} does not answer within {PATIENCE:?}")),
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
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
}
