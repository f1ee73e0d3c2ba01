use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The longest body, in bytes.
const BODY_BYTES_MAX: usize = 256 << 20;

/// One request or answer, as it came.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// With the empty line at its end.
    pub(super) head: Bytes,
    /// As it was sent: chunks are chunks.
    pub(super) body: Bytes,
    /// Whether its end is the end of the connection.
    pub(super) ends_connection: bool,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunks,
    UntilEnd,
}

impl Message {
    #[cfg(test)]
    pub(super) fn of(head: &str, body: &str) -> Self {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Self { head: bytes(head), body: bytes(body), ends_connection: false }
    }

    /// Method, path and query, as in the first line.
    pub(super) fn target(&self) -> &str {
        let line = first_line(&self.head);
        line.rsplit_once(' ').map_or(line, |(target, _)| target)
    }

    pub(super) fn body_contains(&self, part: &str) -> bool {
        part.is_empty() || self.body.windows(part.len()).any(|bytes| bytes == part.as_bytes())
    }
}

/// One direction of a connection: what came, and was not yet used.
pub(super) struct Reader<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next request's head; `None` if the client has no more. Its body follows by [`Reader::body_of`]: the
    /// client may wait for permission to send it.
    pub(super) async fn request_head(&mut self) -> io::Result<Option<Bytes>> {
        self.head().await
    }

    /// The rest of that request.
    pub(super) async fn body_of(&mut self, head: Bytes) -> io::Result<Message> {
        let length = match length(&head)? {
            Some(length) => length,
            // A request without a length has no body.
            None => Length::Bytes(0),
        };
        self.message(head, length).await
    }

    /// The answer to a request of that target. Interim answers are left out.
    pub(super) async fn answer(&mut self, to: &str) -> io::Result<Message> {
        loop {
            let head = self.head().await?.ok_or_else(|| broken("the server closed the connection"))?;
            let status = first_line(&head).split(' ').nth(1).and_then(|text| text.parse::<u16>().ok());
            let status = status.ok_or_else(|| broken("an answer without a status"))?;
            if (100..200).contains(&status) {
                continue;
            }
            let has_none = to.starts_with("HEAD ") || status == 204 || status == 304;
            let length = if has_none { Length::Bytes(0) } else { length(&head)?.unwrap_or(Length::UntilEnd) };
            return self.message(head, length).await;
        }
    }

    /// Returns when the other side has closed, and never if it sends more.
    pub(super) async fn closed(&mut self) {
        if self.buffer.is_empty() {
            let read = self.stream.read_buf(&mut self.buffer).await;
            if matches!(read, Ok(0) | Err(_)) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Returns when the other side has closed, whatever it sends before.
    pub(super) async fn drained(&mut self) {
        loop {
            self.buffer.clear();
            if matches!(self.stream.read_buf(&mut self.buffer).await, Ok(0) | Err(_)) {
                return;
            }
        }
    }

    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    async fn head(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(self.buffer.split_to(end + 4).freeze()));
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(broken("a head without an end"));
            }
            if !self.more().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(broken("half a head")) };
            }
        }
    }

    async fn message(&mut self, head: Bytes, length: Length) -> io::Result<Message> {
        let mut ends_connection = closes(&head);
        let end = match length {
            Length::Bytes(bytes) => bytes,
            Length::Chunks => self.end_of_chunks().await?,
            Length::UntilEnd => {
                ends_connection = true;
                while self.more().await? {
                    within(self.buffer.len())?;
                }
                self.buffer.len()
            }
        };
        self.at_least(end).await?;
        Ok(Message { head, body: self.buffer.split_to(end).freeze(), ends_connection })
    }

    /// Where the last chunk and what follows it end.
    async fn end_of_chunks(&mut self) -> io::Result<usize> {
        let mut at = 0;
        loop {
            let line = self.line_end(at).await?;
            let text = std::str::from_utf8(&self.buffer[at..line]).map_err(|_| broken("a chunk without a length"))?;
            let digits = text.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(|_| broken("a chunk without a length"))?;
            at = line + 2;
            if length == 0 {
                break;
            }
            // Checked before it is added: the length is whatever the other side has written.
            within(length)?;
            at += length + 2;
            self.at_least(at).await?;
        }
        // Trailers, and the empty line.
        loop {
            let line = self.line_end(at).await?;
            let is_empty = line == at;
            at = line + 2;
            if is_empty {
                return Ok(at);
            }
        }
    }

    async fn line_end(&mut self, from: usize) -> io::Result<usize> {
        loop {
            if let Some(end) = find(&self.buffer[from..], b"\r\n") {
                return Ok(from + end);
            }
            if self.buffer.len() - from > HEAD_BYTES_MAX {
                return Err(broken("a line without an end"));
            }
            self.must_more().await?;
        }
    }

    async fn at_least(&mut self, bytes: usize) -> io::Result<()> {
        within(bytes)?;
        while self.buffer.len() < bytes {
            self.must_more().await?;
        }
        Ok(())
    }

    async fn must_more(&mut self) -> io::Result<()> {
        if self.more().await? { Ok(()) } else { Err(broken("half a body")) }
    }

    async fn more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

/// What the head says of the body; `None` if it says nothing.
fn length(head: &[u8]) -> io::Result<Option<Length>> {
    if header(head, "transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
        return Ok(Some(Length::Chunks));
    }
    let Some(value) = header(head, "content-length") else { return Ok(None) };
    let bytes = value.parse().map_err(|_| broken("a length that is no number"))?;
    Ok(Some(Length::Bytes(bytes)))
}

/// Whether the head says that the connection ends with this message.
fn closes(head: &[u8]) -> bool {
    let says = |what: &str| header(head, "connection").is_some_and(|value| value.to_ascii_lowercase().contains(what));
    let is_old = first_line(head).contains("HTTP/1.0");
    says("close") || is_old && !says("keep-alive")
}

/// Whether the client waits for permission to send the body.
pub(super) fn waits_for_permission(head: &[u8]) -> bool {
    header(head, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(head).ok()?;
    let mut headers = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    headers.find(|(other, _)| other.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn first_line(head: &[u8]) -> &str {
    let end = find(head, b"\r\n").unwrap_or(head.len());
    std::str::from_utf8(&head[..end]).unwrap_or_default()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn within(bytes: usize) -> io::Result<()> {
    if bytes <= BODY_BYTES_MAX { Ok(()) } else { Err(broken("a body that is too long")) }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn request(bytes: &[u8]) -> io::Result<Message> {
        let mut reader = Reader::new(bytes);
        let head = reader.request_head().await?.ok_or_else(|| broken("nothing"))?;
        reader.body_of(head).await
    }

    #[test]
    fn messages_end_where_http_says_they_end() {
        crate::run::block_on(async {
            let two: &[u8] = b"PUT /a HTTP/1.1\r\ncontent-LENGTH: 2\r\n\r\nxyGET /b HTTP/1.1\r\n\r\n";
            let mut reader = Reader::new(two);
            let head = reader.request_head().await.unwrap().unwrap();
            let first = reader.body_of(head).await.unwrap();
            assert_eq!((first.target(), &first.body[..]), ("PUT /a", &b"xy"[..]));
            let head = reader.request_head().await.unwrap().unwrap();
            let second = reader.body_of(head).await.unwrap();
            assert_eq!((second.target(), second.body.len()), ("GET /b", 0));
            assert!(reader.request_head().await.unwrap().is_none());

            let chunks = "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
            let whole =
                format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            let mut reader = Reader::new(whole.as_bytes());
            let answer = reader.answer("GET /").await.unwrap();
            assert_eq!((&answer.body[..], answer.ends_connection), (chunks.as_bytes(), false));

            let mut reader = Reader::new(&b"HTTP/1.1 200 OK\r\n\r\nto the end"[..]);
            let answer = reader.answer("GET /").await.unwrap();
            assert_eq!((&answer.body[..], answer.ends_connection), (&b"to the end"[..], true));
            let mut reader = Reader::new(&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"[..]);
            assert!(reader.answer("HEAD /").await.unwrap().body.is_empty());
        });
    }

    #[test]
    fn what_is_no_http_is_an_error_and_nothing_is_kept_without_end() {
        crate::run::block_on(async {
            let endless = vec![b'x'; HEAD_BYTES_MAX + 2];
            let chunk = |line: &str| format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{line}").into_bytes();
            for bytes in [
                b"PUT / HTTP/1.1\r\n".to_vec(),
                b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_vec(),
                b"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab".to_vec(),
                b"PUT / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n".to_vec(),
                endless,
                chunk("zz\r\n"),
                chunk("-1\r\n"),
                chunk("ffffffffffffffff\r\n"),
                chunk("3\r\nab"),
                chunk("0\r\n"),
            ] {
                let shown = String::from_utf8_lossy(&bytes).chars().take(80).collect::<String>();
                assert!(request(&bytes).await.is_err(), "{shown}");
            }
        });
    }

    #[test]
    fn a_connection_ends_where_either_side_says_so() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", true),
            ("GET / HTTP/1.0\r\n\r\n", true),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false),
        ] {
            assert_eq!(closes(head.as_bytes()), expected, "{head}");
        }
        assert!(waits_for_permission(b"PUT / HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n"));
    }
}
