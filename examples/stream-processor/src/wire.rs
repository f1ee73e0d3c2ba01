//! What goes over TCP between processes: frames of a length (four bytes, the most significant first) and as many
//! bytes of JSON.
//!
//! Whatever else arrives is an error that ends its connection, never a panic, and never costs more memory than has
//! really arrived. There is neither encryption nor a password: whoever reaches a port can hand in jobs. Keep the ports
//! on loopback, or on a network of the cluster's own.

use std::fmt;
use std::io;

use bytes::{Buf, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const LENGTH_BYTES: usize = 4;
/// Read at a time; a frame's own length reserves nothing.
const READ_BYTES: usize = 64 * 1024;

/// Why frames do not go on. The connection is of no use any more.
#[derive(Debug)]
pub enum WireError {
    /// The connection failed.
    Io(io::Error),
    /// It ended within a frame.
    CutOff,
    /// A frame is longer than the other side takes; both in bytes.
    TooLong {
        /// The frame's length.
        length: usize,
        /// What is taken.
        most: usize,
    },
    /// A frame does not hold what was expected there.
    Malformed(serde_json::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(cause) => write!(f, "the connection failed: {cause}"),
            Self::CutOff => f.write_str("the connection ended within a frame"),
            Self::TooLong { length, most } => write!(f, "a frame of {length} bytes, at most {most} are taken"),
            Self::Malformed(cause) => write!(f, "a frame that cannot be understood: {cause}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<io::Error> for WireError {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

/// The frames that come in from somewhere.
#[derive(Debug)]
pub struct Frames<R> {
    from: R,
    buffer: BytesMut,
    most: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Frames of at most so many bytes.
    #[must_use]
    pub fn new(from: R, most: usize) -> Self {
        Self { from, buffer: BytesMut::new(), most }
    }

    /// The same with another limit.
    #[must_use]
    pub fn with_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The next frame; `None` if the connection ended between two.
    ///
    /// # Errors
    /// [`WireError`]: drop the connection.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future: what has come of a frame is kept.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, WireError> {
        loop {
            if let Some(frame) = self.whole()? {
                return serde_json::from_slice(&frame).map(Some).map_err(WireError::Malformed);
            }
            self.buffer.reserve(READ_BYTES);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(WireError::CutOff) };
            }
        }
    }

    fn whole(&mut self) -> Result<Option<BytesMut>, WireError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.most {
            return Err(WireError::TooLong { length, most: self.most });
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(length)))
    }

    /// Whether nothing is left of what has come in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What has come in behind the last frame, and where more comes from: for bytes that are no frames.
    #[must_use]
    pub fn into_parts(self) -> (BytesMut, R) {
        (self.buffer, self.from)
    }
}

/// Writes one frame.
///
/// # Errors
/// [`WireError`]: drop the connection; the frame may have arrived. A frame that is longer than `most` is not sent.
///
/// # Cancel safety
/// After a drop a part of the frame may be written: drop the connection too.
pub async fn send<T: Serialize + Sync>(
    to: &mut (impl AsyncWrite + Unpin + Send),
    frame: &T,
    most: usize,
) -> Result<(), WireError> {
    let mut bytes = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut bytes, frame).map_err(WireError::Malformed)?;
    let length = bytes.len() - LENGTH_BYTES;
    let prefix = u32::try_from(length).ok().filter(|_| length <= most);
    let Some(prefix) = prefix else { return Err(WireError::TooLong { length, most }) };
    bytes[..LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
    to.write_all(&bytes).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames_of(bytes: &[u8]) -> Vec<Result<Option<u32>, String>> {
        let mut frames = Frames::new(bytes, 16);
        let mut all = Vec::new();
        loop {
            let next = frames.next::<u32>().await.map_err(|error| error.to_string());
            let more = matches!(next, Ok(Some(_)));
            all.push(next);
            if !more {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn what_was_sent_comes_in_again() {
        let mut bytes = Vec::new();
        for number in [1_u32, 20, 300] {
            send(&mut bytes, &number, 16).await.unwrap();
        }
        assert_eq!(frames_of(&bytes).await, [Ok(Some(1)), Ok(Some(20)), Ok(Some(300)), Ok(None)]);
        let error = send(&mut bytes, &"x".repeat(20), 16).await.unwrap_err();
        assert!(matches!(error, WireError::TooLong { length: 22, most: 16 }), "{error}");
    }

    #[tokio::test]
    async fn hostile_bytes_are_an_error_and_reserve_nothing() {
        let refused: [&[u8]; 6] =
            [b"\xff\xff\xff\xff", b"\0\0\0\x11", b"\0\0\0\x02", b"\0\0", b"\0\0\0\x01x", b"GET / H"];
        for bytes in refused {
            let all = frames_of(bytes).await;
            assert!(matches!(all.as_slice(), [Err(_)]), "{bytes:?}: {all:?}");
        }
        for length in 0..4 {
            let all = frames_of(&[0, 0, 0, length]).await;
            assert!(all.last().is_some_and(Result::is_err), "{length}: {all:?}");
        }
    }
}
