//! The one line that is spoken on a connection: `HA-PRESENCE 1 ` and the identity, as 32 hexadecimal digits.

use tokio::net::TcpStream;

use super::rule::Sighting;
use crate::evidence::Identity;

/// Magic, version, identity and the end of the line.
const LENGTH: usize = 47;

/// What a process says to whoever connects.
pub(super) fn of(identity: Identity) -> String {
    format!("HA-PRESENCE 1 {identity}\n")
}

/// Sends the greeting. It fits into the buffer of any fresh connection; `false` if it did not.
pub(super) async fn send(stream: &TcpStream, greeting: &str) -> bool {
    loop {
        if stream.writable().await.is_err() {
            return false;
        }
        match stream.try_write(greeting.as_bytes()) {
            Ok(written) => return written == greeting.len(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
}

/// Reads until exactly this greeting was heard, or it cannot be heard any more. Nothing of what a stranger
/// says is kept or looked into, and never more than the length of a greeting is read.
pub(super) async fn expect(stream: &TcpStream, greeting: &str) -> Sighting {
    let mut heard = [0; LENGTH];
    let (expected, mut length) = (greeting.as_bytes(), 0);
    loop {
        match read(stream, &mut heard[length..]).await {
            Read::Bytes(more) => length += more,
            Read::End => return Sighting::HungUp,
            Read::Failure => return Sighting::Other,
        }
        if let Some(sighting) = judged(expected, &heard[..length]) {
            return sighting;
        }
    }
}

/// What it is that was heard so far; `None` as long as it may become the greeting.
fn judged(expected: &[u8], heard: &[u8]) -> Option<Sighting> {
    match expected.strip_prefix(heard) {
        Some([]) => Some(Sighting::Greeted),
        Some(_) => None,
        None => Some(Sighting::Other),
    }
}

/// Whether these bytes are taken for the greeting when they arrive in pieces of that length.
#[cfg(feature = "fuzzing")]
pub(crate) fn hears(greeting: &str, bytes: &[u8], piece: usize) -> bool {
    let (mut heard, mut length) = ([0; LENGTH], 0);
    for piece in bytes.chunks(piece.max(1)) {
        // As from a socket: no more than there is place for.
        let piece = &piece[..piece.len().min(LENGTH - length)];
        heard[length..length + piece.len()].copy_from_slice(piece);
        length += piece.len();
        if let Some(sighting) = judged(greeting.as_bytes(), &heard[..length]) {
            return sighting == Sighting::Greeted;
        }
    }
    false
}

/// Waits until a greeted connection is over. After the greeting, nobody says anything.
pub(super) async fn end(stream: &TcpStream) -> Sighting {
    match read(stream, &mut [0]).await {
        Read::End => Sighting::Ended,
        Read::Bytes(_) | Read::Failure => Sighting::Other,
    }
}

enum Read {
    Bytes(usize),
    /// Closed or reset by the other side.
    End,
    Failure,
}

async fn read(stream: &TcpStream, into: &mut [u8]) -> Read {
    loop {
        if stream.readable().await.is_err() {
            return Read::Failure;
        }
        match stream.try_read(into) {
            Ok(0) => return Read::End,
            Ok(bytes) => return Read::Bytes(bytes),
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock => {}
                std::io::ErrorKind::ConnectionReset => return Read::End,
                // A time-out of the network, say: whoever is behind it may be well.
                _ => return Read::Failure,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_says_magic_version_and_identity_and_has_its_length() {
        let greeting = of(Identity::from_bits(1, 2));
        assert_eq!(greeting, "HA-PRESENCE 1 00000000000000010000000000000002\n");
        assert_eq!(greeting.len(), LENGTH);
    }
}
