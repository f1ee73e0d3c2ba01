use std::net::SocketAddr;
use std::time::Duration;

use ha_core::seam::Seam;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::wire::{self, Answer, HELLO_BYTES_MAX, Hello, MESSAGE_BYTES_MAX, VERSION, Welcome};

/// How long a connection may take to be made, greeting included.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// The request was certainly not taken: not a byte of it was sent.
    NotSent(String),
    /// It was sent, in part at least; what became of it is not known.
    Unanswered(String),
}

/// One connection of a client, with at most one request on its way. Dropping it closes it, which
/// is how a client gives up: the answer to an old request is never taken for that to a new one.
#[derive(Debug)]
pub(super) struct Line(TcpStream);

impl Line {
    /// Connects and says who is there.
    pub(super) async fn connect(address: SocketAddr, hello: &Hello, seam: &Seam) -> Result<(Self, Welcome), String> {
        let made = async {
            let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            // Without it small requests wait for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
            wire::send(&mut stream, hello).await.map_err(|error| error.to_string())?;
            match wire::receive::<Answer>(&mut stream, HELLO_BYTES_MAX).await {
                Ok(Answer::Welcome(welcome)) => Ok((Self(stream), welcome)),
                Ok(Answer::Failed(error)) => Err(error.error("connect", ha_core::ErrorKind::Unavailable).to_string()),
                Ok(_) => Err("the greeting was answered with something else".into()),
                Err(error) => Err(format!("the greeting was not answered: {error}")),
            }
        };
        let made = seam.timeout(CONNECT_MAX, made).await;
        made.unwrap_or_else(|| Err(format!("no connection within {CONNECT_MAX:?}")))
    }

    /// The greeting of that client.
    pub(super) fn hello(client: &str, label: &str) -> Hello {
        Hello { version: VERSION, client: client.into(), label: label.into() }
    }

    /// Whether the other side has closed it while it was at rest, as far as can be known.
    pub(super) fn is_stale(&self) -> bool {
        // Nothing may come while nothing was asked: an end, an error and a byte all mean the same.
        !matches!(self.0.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends one request, once, and waits that long for its answer.
    pub(super) async fn ask(&mut self, request: &[u8], at_most: Duration, seam: &Seam) -> Result<Answer, Silence> {
        if self.is_stale() {
            return Err(Silence::NotSent("the connection was closed".into()));
        }
        let exchange = async {
            self.0.write_all(request).await?;
            wire::receive::<Answer>(&mut self.0, MESSAGE_BYTES_MAX).await
        };
        match seam.timeout(at_most, exchange).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(Silence::Unanswered(format!("the connection broke: {error}"))),
            None => Err(Silence::Unanswered(format!("no answer within {at_most:?}"))),
        }
    }
}
