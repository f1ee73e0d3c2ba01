use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{Acquire, Ended, Latch, Session, Term};
use ha_core::seam::{Deadline, Moment, Task};
use ha_core::{Error, ErrorKind};

use super::backend::{Client, PATIENCE, WATCH_PATIENCE};
use super::network::Heard;
use super::store::{Answer, Request};
use crate::mutants::Defect;
use crate::remote::cell::Cell;

/// A session of one process in the store, renewed over its line.
pub(super) struct SimSession {
    client: Arc<Client>,
    number: u64,
    id: String,
    cell: Arc<Cell>,
    // Dropping the session ends the renewals and nothing else: what it leaves behind ends by silence.
    _kept_alive: Task,
}

impl SimSession {
    pub(super) fn start(client: &Arc<Client>, number: u64, cell: Arc<Cell>, silence: Duration, sent: Moment) -> Self {
        cell.valid_up_to(sent + silence);
        let keeper = Keeper { client: Arc::clone(client), number, cell: Arc::clone(&cell), silence };
        let task = client.seam.spawn_critical(keeper.run(sent));
        Self { client: Arc::clone(client), number, id: format!("sim-{number}"), cell, _kept_alive: task }
    }
}

struct Keeper {
    client: Arc<Client>,
    number: u64,
    cell: Arc<Cell>,
    silence: Duration,
}

impl Keeper {
    async fn run(self, opened: Moment) {
        let why = tokio::select! {
            biased;
            why = self.cell.ended() => why,
            why = self.hear() => why,
            why = self.renew(opened) => why,
        };
        self.cell.end(why);
    }

    /// Renews until the session is over, or its deadline passes without an acknowledgement.
    async fn renew(&self, opened: Moment) -> Ended {
        let (seam, line) = (&self.client.seam, &self.client.line);
        let mut next = opened + self.silence / 3;
        loop {
            let deadline = self.cell.valid_until();
            seam.sleep_until(next.min(deadline)).await;
            if seam.now() >= deadline {
                return Ended::Expired;
            }
            // Race: the answer may come long after the store counted the renewal.
            // Closed by: the owner counts from before the sending, the store from the arrival.
            // Cost if missed: the store could give the latch away while the owner thinks it holds it.
            let sent = seam.now();
            let at_most = (self.silence / 3).min(deadline.since(sent));
            match line.ask(seam, Request::Renew(self.number), at_most).await {
                Heard::Answer(Answer::Alive) => {
                    let broken = line.store().defect() == Defect::DeadlineFromTheAnswer;
                    let from = if broken { seam.now() } else { sent };
                    self.cell.valid_up_to(from + self.silence);
                    next = sent + self.silence / 3;
                }
                Heard::Answer(Answer::Over(why)) => return why,
                _ => next = seam.now() + self.silence / 20,
            }
        }
    }

    /// Asks whether the session is over, so that an early end is heard of at once.
    async fn hear(&self) -> Ended {
        let (seam, line) = (&self.client.seam, &self.client.line);
        loop {
            match line.ask(seam, Request::Ended(self.number), WATCH_PATIENCE).await {
                Heard::Answer(Answer::Over(why)) => return why,
                Heard::Answer(Answer::Alive) => {}
                // A hint that is lost: renewals decide.
                _ => seam.sleep(self.silence / 20).await,
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for SimSession {
    fn id(&self) -> &str {
        &self.id
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        if self.cell.is_over() {
            let error = Error::new(ErrorKind::SessionEnded, "acquire").at(latch);
            return Err(error.because("open another session"));
        }
        let (latch, over) = (latch.clone(), over.cloned());
        let request = Request::Acquire { session: self.number, latch, holder, over };
        match self.client.call("acquire", request).await? {
            Answer::Acquire(acquire) => Ok(acquire),
            _ => Err(Client::nonsense("acquire")),
        }
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        let request = Request::Release { session: self.number, latch: latch.clone() };
        self.client.call("release", request).await.map(drop)
    }

    fn valid_until(&self) -> Deadline {
        Deadline::at(self.cell.valid_until())
    }

    async fn ended(&self) -> Ended {
        self.cell.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.cell.end(Ended::Closed);
        if self.client.is_closed() {
            return Ok(());
        }
        match self.client.line.ask(&self.client.seam, Request::Close(self.number), PATIENCE).await {
            Heard::Answer(Answer::Done) => Ok(()),
            _ => Err(Error::new(ErrorKind::Indeterminate, "close session").because("no answer came")),
        }
    }
}

impl fmt::Debug for SimSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimSession")
            .field("id", &self.id)
            .field("valid_until", &self.valid_until())
            .finish_non_exhaustive()
    }
}
