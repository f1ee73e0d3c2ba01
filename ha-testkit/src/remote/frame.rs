//! Messages as they travel: a length, and that many bytes of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest message, in bytes. A list that does not fit is refused, never cut.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest first message: who says hello has not much to say.
pub(crate) const HELLO_BYTES_MAX: usize = 4096;

/// Writes one message; how long it is, then its JSON.
pub(crate) async fn send<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> std::io::Result<()> {
    to.write_all(&frame(message)?).await?;
    to.flush().await
}

/// The bytes of one message.
///
/// # Errors
/// It is larger than a message may be.
pub(crate) fn frame<T: Serialize>(message: &T) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    let header = u32::try_from(length).ok().filter(|_| length <= MESSAGE_BYTES_MAX);
    let header = header.ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("{length} bytes; {MESSAGE_BYTES_MAX} fit"))
    })?;
    bytes[..4].copy_from_slice(&header.to_be_bytes());
    Ok(bytes)
}

/// Reads one message of at most that many bytes. Memory is taken as the bytes arrive, not as they
/// are announced.
pub(crate) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> std::io::Result<T> {
    let length = from.read_u32().await? as usize;
    if length > bytes_max {
        let why = format!("a message of {length} bytes was announced; at most {bytes_max} are allowed");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
    }
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}
