use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use ha::seam::Seam;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{FRAME_BYTES_MAX, TURN_MAX};
use crate::cluster::intake::ARRIVAL_MAX;
use crate::cluster::network::{Network, Place, Unreachable};
use crate::cluster::protocol::{Answer, Offer, Request, Submission};
use crate::wire::{Frames, WireError, send};
use crate::{Link, serve};

/// The way to job managers in other processes. No connection is kept between two requests.
#[derive(Debug, Clone)]
pub struct Tcp {
    seam: Seam,
}

struct Connection<'a> {
    address: &'a str,
    frames: Frames<OwnedReadHalf>,
    out: OwnedWriteHalf,
    seam: &'a Seam,
}

impl Tcp {
    /// A network with that time.
    #[must_use]
    pub fn new(seam: Seam) -> Self {
        Self { seam }
    }

    async fn say<'a>(&'a self, address: &'a str, request: &Request) -> Result<Connection<'a>, Unreachable> {
        let failed = |error: WireError| unreachable(address, &error);
        let connecting = self.seam.timeout(TURN_MAX, TcpStream::connect(address)).await;
        let stream = connecting.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(|e| failed(e.into()))?;
        stream.set_nodelay(true).map_err(|e| failed(e.into()))?;
        let (input, mut out) = stream.into_split();
        let sent = self.seam.timeout(TURN_MAX, send(&mut out, request, FRAME_BYTES_MAX)).await;
        sent.unwrap_or_else(|| Err(WireError::Io(io::ErrorKind::TimedOut.into()))).map_err(failed)?;
        Ok(Connection { address, frames: Frames::new(input, FRAME_BYTES_MAX), out, seam: &self.seam })
    }
}

impl Connection<'_> {
    async fn answer(&mut self, within: Duration) -> Result<Answer, Unreachable> {
        let answer = self.seam.timeout(within, self.frames.next()).await;
        let answer = answer.unwrap_or_else(|| Err(WireError::Io(io::ErrorKind::TimedOut.into())));
        match answer.map_err(|error| unreachable(self.address, &error))? {
            Some(answer) => Ok(answer),
            None => Err(unreachable(self.address, &"the connection was closed without an answer")),
        }
    }
}

fn unreachable(address: &str, why: &dyn std::fmt::Display) -> Unreachable {
    Unreachable(format!("{address}: {why}"))
}

#[async_trait]
impl Network for Tcp {
    async fn ask(&self, address: &str, request: Request) -> Result<Answer, Unreachable> {
        self.say(address, &request).await?.answer(TURN_MAX).await
    }

    async fn submit(&self, address: &str, submission: &Submission, artefact: &Path) -> Result<Answer, Unreachable> {
        let request = Request::Submit(Box::new(submission.clone()));
        let mut connection = self.say(address, &request).await?;
        match connection.answer(ARRIVAL_MAX).await? {
            Answer::SendArtefact => {}
            other => return Ok(other),
        }
        let sending = async {
            let mut file = tokio::fs::File::open(artefact).await?;
            tokio::io::copy(&mut file, &mut connection.out).await?;
            // Should the file have become shorter, the leader must not wait for the rest.
            connection.out.shutdown().await
        };
        let sent = self.seam.timeout(ARRIVAL_MAX, sending).await;
        sent.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(|error| unreachable(address, &error))?;
        connection.answer(ARRIVAL_MAX).await
    }

    async fn serve(&self, address: &str, offer: Offer, place: &Place) -> Result<(), Unreachable> {
        let mut connection = self.say(address, &Request::Offer(offer)).await?;
        match connection.answer(TURN_MAX).await? {
            Answer::Registered => {}
            Answer::Refused(why) => return Err(unreachable(address, &why)),
            other => return Err(unreachable(address, &format!("{other:.200?}"))),
        }
        let link = Link::over(connection.frames, connection.out, self.seam.clone());
        serve(link, &place.fence).await.map_err(|error| unreachable(address, &error))
    }
}
