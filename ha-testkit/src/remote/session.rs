use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{Acquire, Ended, Latch, Session, Term};
use ha_core::seam::{Deadline, Moment, Task};
use ha_core::{Error, ErrorKind};

use super::POLL_MAX;
use super::cell::Cell;
use super::client::{Effect, Inner};
use super::hex::Hex;
use super::line::{Line, Silence};
use super::wire::{self, Answer, Request, WireTerm};

/// A session on a served store.
pub(super) struct RemoteSession {
    client: Arc<Inner>,
    id: String,
    cell: Arc<Cell>,
    /// Whether the server has confirmed the close.
    told: AtomicBool,
    // Dropping the session ends the renewals and nothing else: what it leaves behind ends by
    // silence, as that of a process which was killed.
    _kept_alive: Task,
}

impl RemoteSession {
    pub(super) fn start(client: &Arc<Inner>, id: String, silence: Duration, sent: Moment) -> Self {
        let cell = Arc::new(Cell::new());
        cell.valid_up_to(sent + silence);
        let keeper = Keeper { client: Arc::clone(client), id: id.clone(), cell: Arc::clone(&cell), silence };
        let task = client.seam.spawn_critical(keeper.run(sent));
        Self { client: Arc::clone(client), id, cell, told: AtomicBool::new(false), _kept_alive: task }
    }

    fn over_error(&self, operation: &'static str, latch: &Latch) -> Error {
        Error::new(ErrorKind::SessionEnded, operation).at(latch).because("open another session")
    }
}

/// Keeps a session alive and learns of its end, on connections of its own.
struct Keeper {
    client: Arc<Inner>,
    id: String,
    cell: Arc<Cell>,
    silence: Duration,
}

impl Keeper {
    async fn run(self, opened: Moment) {
        let why = tokio::select! {
            biased;
            () = self.client.until_closed() => Ended::Closed,
            why = self.hear() => why,
            why = self.renew(opened) => why,
        };
        self.cell.end(why);
    }

    /// Renews until the session is over, or its deadline passes without an acknowledgement: from
    /// then on the store may end it at any moment, and nobody may rely on it any more.
    async fn renew(&self, opened: Moment) -> Ended {
        let seam = &self.client.seam;
        let (mut line, mut next) = (None, opened + self.silence / 3);
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
            match self.ask(&mut line, Request::Renew(self.id.clone()), at_most).await {
                Some(Answer::Alive) => {
                    self.cell.valid_up_to(sent + self.silence);
                    next = sent + self.silence / 3;
                }
                Some(Answer::Over(why)) => return why.ended(),
                _ => next = seam.now() + self.silence / 20,
            }
        }
    }

    /// Asks whether the session is over, so that an early end is heard of at once.
    async fn hear(&self) -> Ended {
        let mut line = None;
        loop {
            let request = Request::Ended(self.id.clone());
            match self.ask(&mut line, request, POLL_MAX + Duration::from_secs(5)).await {
                Some(Answer::Alive) => {}
                Some(Answer::Over(why)) => return why.ended(),
                // A hint that is lost: renewals decide.
                _ => self.client.seam.sleep(self.silence / 20).await,
            }
        }
    }

    /// One question on a connection that is kept while it works.
    async fn ask(&self, kept: &mut Option<Line>, request: Request, at_most: Duration) -> Option<Answer> {
        let seam = &self.client.seam;
        let bytes = wire::frame(&request).ok()?;
        let mut line = match kept.take().filter(|line| !line.is_stale()) {
            Some(line) => line,
            None => seam.timeout(at_most, self.client.line()).await?.ok()?,
        };
        match line.ask(&bytes, at_most, seam).await {
            Ok(answer) => {
                *kept = Some(line);
                Some(answer)
            }
            Err(Silence::NotSent(_) | Silence::Unanswered(_)) => None,
        }
    }
}

#[async_trait]
impl Session for RemoteSession {
    fn id(&self) -> &str {
        &self.id
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        if self.cell.is_over() {
            return Err(self.over_error("acquire", latch));
        }
        let request = Request::Acquire {
            session: self.id.clone(),
            home: latch.home().to_string(),
            holder: Hex::new(&holder),
            over: over.map(WireTerm::new),
        };
        let answer = self.client.call("acquire", &request, Effect::Write).await?;
        answer.acquire().ok_or_else(|| self.client.nonsense("acquire", Effect::Write))
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        let request = Request::Release { session: self.id.clone(), home: latch.home().to_string() };
        match self.client.call("release", &request, Effect::Write).await? {
            Answer::Done => Ok(()),
            _ => Err(self.client.nonsense("release", Effect::Write)),
        }
    }

    fn valid_until(&self) -> Deadline {
        Deadline::at(self.cell.valid_until())
    }

    async fn ended(&self) -> Ended {
        self.cell.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.cell.end(Ended::Closed);
        // The handle's own close ends its sessions in the store.
        if self.told.load(Ordering::Acquire) || *self.client.closed.borrow() {
            return Ok(());
        }
        match self.client.call("close session", &Request::CloseSession(self.id.clone()), Effect::Write).await? {
            Answer::Done => {
                self.told.store(true, Ordering::Release);
                Ok(())
            }
            _ => Err(self.client.nonsense("close session", Effect::Write)),
        }
    }
}

impl fmt::Debug for RemoteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSession")
            .field("id", &self.id)
            .field("valid_until", &self.valid_until())
            .finish_non_exhaustive()
    }
}
