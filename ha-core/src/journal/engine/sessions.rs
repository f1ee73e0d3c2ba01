use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::own::{Cell, Own};
use super::queue::Reply;
use super::{Engine, closed, unexpected};
use crate::backend::{Acquire, Ended, Latch, SessionOptions, Term};
use crate::journal::{Answer, Operation, Registration};
use crate::{Error, ErrorKind};

/// How many renewals fit into one silence.
const RENEWALS: u32 = 3;
/// After one that failed, the next one comes after this part of the regular pause.
const SOON: u32 = 4;

fn over(latch: &Latch) -> Error {
    Error::new(ErrorKind::SessionEnded, "acquire").at(latch).because("open another session")
}

impl Engine {
    /// Opens a session. It stands in the journal only once it has won a latch; until then it proves itself by reading.
    pub(in crate::journal) async fn open_session(
        &self,
        options: &SessionOptions,
    ) -> Result<(Arc<str>, Arc<Cell>), Error> {
        let sent = self.seam.now();
        self.know_the_end("open session").await?;
        let id: Arc<str> = self.seam.uuid().simple().to_string().into();
        let cell = Arc::new(Cell::new(sent + options.silence));
        let mut core = self.core();
        core.check_open("open session")?;
        core.own.insert(Arc::clone(&id), Own::new(Arc::clone(&cell), &options.label, options.silence));
        drop(core);
        self.signals.guard.notify_one();
        self.attend();
        Ok((id, cell))
    }

    /// Keeps a session alive until it is over.
    pub(in crate::journal) async fn keep(self: Arc<Self>, id: Arc<str>, cell: Arc<Cell>, silence: Duration) {
        let regular = silence / RENEWALS;
        let mut pause = regular;
        while !cell.has_ended() {
            let until = cell.valid_until();
            if until.is_past(self.seam.now()) {
                tracing::warn!(session = %id, "no renewal was acknowledged in time; the session is over");
                return self.core().end_own(&id, Ended::Expired);
            }
            let until = until.moment();
            self.seam.sleep_until((self.seam.now() + pause).min(until)).await;
            let renewed = tokio::select! {
                biased;
                // The deadline may have moved meanwhile, by the answer to another task: it is looked at anew.
                () = self.seam.sleep_until(until) => continue,
                renewed = self.renew(&id, &cell, silence) => renewed,
            };
            pause = match renewed {
                Ok(()) => regular,
                Err(error) => {
                    tracing::debug!(session = %id, %error, "a renewal failed; trying again until the deadline");
                    regular / SOON
                }
            };
        }
    }

    async fn renew(&self, id: &Arc<str>, cell: &Cell, silence: Duration) -> Result<(), Error> {
        let sent = self.seam.now();
        let answer = {
            let mut core = self.core();
            let Some(own) = core.own.get(id) else { return Ok(()) };
            if own.registered {
                Some(core.submit(Some(Operation::Renew { session: Arc::clone(id) }), false, sent))
            } else if own.frozen {
                return Err(Error::new(ErrorKind::Unavailable, "renew").at(id).because("the session is frozen"));
            } else {
                None
            }
        };
        match answer {
            // What it means was seen to when it was applied.
            Some(answer) => answer.await.unwrap_or_else(|_| Err(closed("renew"))).map(drop),
            None => {
                self.know_the_end("renew").await?;
                // Race: an attempt on a latch whose outcome nobody knew has registered the session, long before this
                //       reading; the others have counted its silence from there.
                // Closed by: only a reading that shows it unregistered prolongs it.
                // Cost if missed: silence gives the latch to another before `valid_until`.
                let core = self.core();
                match core.own.get(id) {
                    Some(own) if own.registered => {
                        let why = "it is registered by now, and renews itself by entries";
                        Err(Error::new(ErrorKind::Unavailable, "renew").at(id).because(why))
                    }
                    Some(_) => {
                        cell.extend(sent + silence);
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// One attempt to take a latch.
    pub(in crate::journal) async fn acquire(
        &self,
        id: &Arc<str>,
        latch: &Latch,
        holder: Bytes,
        over_term: Option<&Term>,
    ) -> Result<Acquire, Error> {
        if holder.len() > self.profile.value_bytes_max {
            let why = format!("a holder of {} bytes; {} are possible", holder.len(), self.profile.value_bytes_max);
            return Err(Error::new(ErrorKind::TooLarge, "acquire").at(latch).because(why));
        }
        self.one_at_a_time(id, latch).await?;
        let answer = {
            // Dropped here, the attempt was not made.
            let claim = Claim { engine: self, id, kept: false };
            self.testify(id).await;
            claim.submit(latch, holder, over_term)?
        };
        match answer.await.unwrap_or_else(|_| Err(super::gone("acquire")))? {
            Some(Answer::Acquire(Ok(Acquire::Won(_)))) if !self.core().own.contains_key(id) => Err(over(latch)),
            Some(Answer::Acquire(Ok(acquire))) => Ok(acquire),
            Some(Answer::Acquire(Err(refusal))) => Err(refusal.to_error(latch)),
            other => Err(unexpected("acquire", &other)),
        }
    }

    /// Waits until no other attempt of the session is under way, and begins one.
    async fn one_at_a_time(&self, id: &Arc<str>, latch: &Latch) -> Result<(), Error> {
        loop {
            let settled = {
                let mut core = self.core();
                if let Some(error) = &core.broken {
                    return Err(error.clone());
                }
                let Some(own) = core.own.get_mut(id) else { return Err(over(latch)) };
                if !own.acquiring {
                    own.acquiring = true;
                    return Ok(());
                }
                Arc::clone(&own.settled).notified_owned()
            };
            settled.await;
        }
    }

    /// Lets the device bear witness for a session that is going to be registered.
    async fn testify(&self, id: &Arc<str>) {
        let Some(witness) = self.device.witness() else { return };
        let wanted = self.core().own.get(id).is_some_and(|own| !own.registered && own.testimony.is_none());
        if !wanted {
            return;
        }
        let testimony = self.seam.timeout(super::DEVICE_PATIENCE, witness.testify(id)).await.flatten();
        if let Some(own) = self.core().own.get_mut(id) {
            own.testimony = testimony;
        }
    }

    /// Lets go of a latch.
    pub(in crate::journal) async fn release(&self, id: &Arc<str>, latch: &Latch) -> Result<(), Error> {
        let (mine, may_hold) = {
            let core = self.core();
            let own = core.own.get(id);
            (own.is_some(), own.is_some_and(Own::may_stand_in_the_journal))
        };
        if !mine {
            // Over here; what it holds in the journal goes with its end there.
            return self.close_session(id).await;
        }
        if !may_hold {
            return Ok(());
        }
        let release = Operation::Release { session: Arc::clone(id), latch: latch.clone() };
        self.ask("release", Some(release)).await.map(drop)
    }

    /// Ends a session here and in the journal.
    pub(in crate::journal) async fn close_session(&self, id: &str) -> Result<(), Error> {
        match self.part_with(id) {
            Some(answer) => answer.await.unwrap_or_else(|_| Err(closed("close session"))).map(drop),
            None if self.core().farewells.contains_key(id) => Err(closed("close session")),
            None => Ok(()),
        }
    }

    /// Ends a session here, and sends its end to the journal if it may stand there.
    pub(in crate::journal) fn part_with(&self, id: &str) -> Option<oneshot::Receiver<Reply>> {
        let now = self.seam.now();
        self.core().part_with(id, now)
    }

    /// Closes the handle to callers, ends all its sessions, and sends home who waits.
    pub(super) fn end_all(&self) -> Vec<oneshot::Receiver<Reply>> {
        let now = self.seam.now();
        // Race: the writer goes when the handle is closed and its queue is empty.
        // Closed by: the ends of the sessions are in the queue when the lock is given back.
        // Cost if missed: latches that are free only after their silence.
        let ends = {
            let mut core = self.core();
            core.closed = true;
            let ids: Vec<Arc<str>> = core.own.keys().chain(core.farewells.keys()).cloned().collect();
            ids.iter().filter_map(|id| core.part_with(id, now)).collect()
        };
        self.closed.send_replace(true);
        self.signals.round.notify_waiters();
        self.signals.submitted.notify_one();
        ends
    }
}

/// An attempt that is about to be made. Dropped before it is submitted, it was none.
struct Claim<'a> {
    engine: &'a Engine,
    id: &'a Arc<str>,
    kept: bool,
}

impl Claim<'_> {
    fn submit(
        mut self,
        latch: &Latch,
        holder: Bytes,
        over_term: Option<&Term>,
    ) -> Result<oneshot::Receiver<Reply>, Error> {
        let sent = self.engine.seam.now();
        let mut core = self.engine.core();
        core.check_open("acquire")?;
        core.queue.admit("acquire")?;
        let Some(own) = core.own.get(self.id) else { return Err(over(latch)) };
        // Once an attempt that would have registered the session has no known outcome, the next one only asks: its
        // entry settles the number of the earlier one, so what it finds is final.
        let registers = (!own.registered && !own.doubted).then(|| {
            let record = own.testimony.as_ref().map(|testimony| testimony.record.clone());
            Registration::new(&own.label, own.silence, record)
        });
        let (latch, over) = (latch.clone(), over_term.cloned());
        let operation = Operation::Acquire { session: Arc::clone(self.id), registers, latch, holder, over };
        operation.check()?;
        self.kept = true;
        Ok(core.submit(Some(operation), false, sent))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Some(own) = self.engine.core().own.get_mut(self.id) {
            own.acquiring = false;
            own.settled.notify_waiters();
        }
    }
}
