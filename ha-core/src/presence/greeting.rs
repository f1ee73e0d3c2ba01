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
    while length < expected.len().min(LENGTH) {
        match read(stream, &mut heard[length..]).await {
            Read::Bytes(more) => length += more,
            Read::End => return Sighting::HungUp,
            Read::Failure => return Sighting::Other,
        }
        if !expected.starts_with(&heard[..length]) {
            return Sighting::Other;
        }
    }
    Sighting::Greeted
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
