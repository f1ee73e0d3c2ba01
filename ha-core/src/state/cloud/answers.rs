//! Answers of a store, before its client reads them: none is larger than what it can be of use for.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http_body::{Body, Frame};
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService};
use reqwest::header::CONTENT_RANGE;

/// How much is kept of an answer that is no success: a code and a message, with room.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// The longest success that is no state: a page of a list has at most 5,000 names, of at most 1,024 bytes and what stands
/// around each.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Where Google's machines ask for credentials.
const METADATA: &str = "metadata.google.internal";

/// The client of a store, whose answers are bounded. Bodies of states it hands on as they come: how long they
/// may be, their reader knows.
#[derive(Debug, Clone)]
pub(super) struct Bounded(pub(super) reqwest::Client);

#[async_trait]
impl HttpService for Bounded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        let is_list = query.contains("list-type=") || query.contains("comp=list");
        // The machine's own provider of credentials is asked by the same client.
        let of_machine = request.uri().host().is_some_and(|host| host.starts_with("169.254.") || host == METADATA);
        let is_state = request.method() == "GET" && !is_list && !of_machine;
        let (parts, body) = HttpService::call(&self.0, request).await?.into_parts();
        let body = match (parts.status.is_success(), is_state) {
            (false, _) => refusal(body).await,
            (true, false) => HttpResponseBody::new(Capped { body, left: ANSWER_BYTES_MAX }),
            (true, true) => {
                let range = parts.headers.get(CONTENT_RANGE);
                if range.is_some_and(|range| !is_range(range.as_bytes())) {
                    return Err(HttpError::new(HttpErrorKind::Decode, Unreadable("a Content-Range that is none")));
                }
                body
            }
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

/// The beginning of it, as text. The status says more than the body, so a body that breaks off, or is no text, must
/// not take its place.
async fn refusal(body: HttpResponseBody) -> HttpResponseBody {
    let (mut kept, mut stream) = (BytesMut::new(), body.bytes_stream());
    while kept.len() < REFUSAL_BYTES_MAX {
        let Some(Ok(piece)) = stream.next().await else { break };
        kept.extend_from_slice(&piece[..piece.len().min(REFUSAL_BYTES_MAX - kept.len())]);
    }
    String::from_utf8_lossy(&kept).into_owned().into()
}

/// `bytes 0-4/5`, with numbers that can be counted on from.
fn is_range(header: &[u8]) -> bool {
    let parts = std::str::from_utf8(header).ok().and_then(|text| {
        let (range, _) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        range.split_once('-')
    });
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number < u64::MAX);
    parts.is_some_and(|(first, last)| number(first).zip(number(last)).is_some_and(|(first, last)| first <= last))
}

/// A body that ends with an error when it is too long. Of its length nothing is told: what is announced may be more than
/// there is memory, and is set aside by whoever believes it.
struct Capped {
    body: HttpResponseBody,
    left: u64,
}

impl Body for Capped {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(left) = self.left.checked_sub(length) else {
                let error = HttpError::new(HttpErrorKind::Decode, Unreadable("an answer of more than 16 MiB"));
                return Poll::Ready(Some(Err(error)));
            };
            self.left = left;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[derive(Debug)]
struct Unreadable(&'static str);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unreadable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_that_can_be_counted_on_from() {
        for range in ["bytes 0-0/1", "bytes 5-9/10", " bytes 0-18446744073709551614/* "] {
            assert!(is_range(range.as_bytes()), "{range}");
        }
        for range in ["", "bytes", "bytes 0-18446744073709551615/1", "bytes 9-5/10", "bytes -1/1", "bytes a-b/c", "é"]
        {
            assert!(!is_range(range.as_bytes()), "{range}");
        }
        assert!(!is_range(b"bytes \xff-1/2"));
    }
}
