use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use crate::journal::{Entry, Read};
use crate::{Error, ErrorKind};

/// How long a follower does without looking while somebody waits or a session is open, if no hint comes.
const ATTENTIVE: Duration = Duration::from_millis(200);
/// And how long while nobody does.
const LAZY: Duration = Duration::from_secs(10);
/// How many hints for nothing are followed at once; after that each one costs a pause.
const IN_VAIN_MAX: u32 = 3;
/// How long a hint is left to this handle's own writer, which is about to know.
const WRITER: Duration = Duration::from_millis(20);
/// How often a snapshot may be loaded that leads nowhere.
const STUCK_MAX: u32 = 20;
/// How long it waits after a failure.
const PAUSE: Duration = Duration::from_millis(100);
/// How many times in a row the end may have moved on before a reader gives up.
const READS_MAX: usize = 100_000;

/// The last time that the journal was read to its end.
#[derive(Debug)]
pub(super) struct Round {
    number: u64,
    result: Result<(), Error>,
}

impl Default for Round {
    fn default() -> Self {
        Self { number: 0, result: Ok(()) }
    }
}

/// What one read of the device led to.
enum Absorbed {
    /// The number is not there: this is the end.
    End,
    /// There may be more.
    More,
    /// The state is behind the floor: only a snapshot leads on.
    Behind,
}

/// Reads on whenever something new may be there, until it is dropped.
pub(super) async fn follow(engine: Arc<Engine>) {
    let mut in_vain = 0;
    loop {
        let (next, patience) = {
            let mut core = engine.core();
            let attentive = !core.own.is_empty() || !core.farewells.is_empty() || !core.state.waiters().is_empty();
            (core.next(), if attentive { ATTENTIVE } else { engine.seam.jittered(LAZY) })
        };
        let until = engine.seam.now() + patience;
        let hinted = tokio::select! {
            biased;
            () = engine.signals.wanted.notified() => false,
            () = engine.hint(next, patience, in_vain) => engine.seam.now() < until,
        };
        // Most often the hint is of this handle's own entry, and its writer has applied that.
        if hinted && engine.core().next() > next {
            in_vain = 0;
            continue;
        }
        let number = {
            let mut core = engine.core();
            core.rounds += 1;
            core.rounds
        };
        let result = engine.read_on().await;
        let failed = result.as_ref().err().cloned();
        engine.core().round = Round { number, result };
        engine.signals.round.notify_waiters();
        in_vain = if hinted && engine.core().next() == next { in_vain.saturating_add(1) } else { 0 };
        if let Some(error) = failed {
            tracing::debug!(%error, "the journal could not be read on");
            tokio::select! {
                biased;
                () = engine.signals.wanted.notified() => engine.signals.wanted.notify_one(),
                () = engine.seam.sleep(engine.seam.jittered(PAUSE)) => {}
            }
        }
    }
}

impl Engine {
    /// Waits until the journal was read to its end by a round that began after this was called. Those who come while
    /// one is under way share the next.
    pub(in crate::journal) async fn read_to_the_end(&self) -> Result<(), Error> {
        let awaited = self.core().rounds + 1;
        self.signals.wanted.notify_one();
        loop {
            let over = self.signals.round.notified();
            {
                let core = self.core();
                if core.closed {
                    return Err(super::closed("read"));
                }
                if core.round.number >= awaited {
                    return core.round.result.clone();
                }
            }
            over.await;
        }
    }

    /// Returns when the number may exist, or when it is time to look.
    async fn hint(&self, number: u64, patience: Duration, in_vain: u32) {
        if in_vain >= IN_VAIN_MAX {
            // A device whose hints are worth nothing must not keep a processor busy.
            let pause = Duration::from_millis(1) * 2_u32.saturating_pow(in_vain - IN_VAIN_MAX);
            self.seam.sleep(self.seam.jittered(pause.min(ATTENTIVE))).await;
        }
        self.device.appended(number, patience).await;
        let mut batches = self.batches.subscribe();
        if self.core().in_flight.as_ref().is_some_and(|in_flight| in_flight.number == number) {
            let _ = self.seam.timeout(WRITER, batches.changed()).await;
        }
    }

    /// Reads and applies entries until there are no more.
    pub(super) async fn read_on(&self) -> Result<(), Error> {
        let mut stuck = 0;
        for _ in 0..READS_MAX {
            let next = {
                let core = self.core();
                core.check_readable()?;
                core.next()
            };
            let read = self.bounded("read the journal", self.device.read(next)).await?;
            match self.absorb(next, read)? {
                Absorbed::End => return Ok(()),
                Absorbed::More => {}
                Absorbed::Behind => {
                    self.load_newest(false).await?;
                    if self.core().next() > next {
                        stuck = 0;
                        continue;
                    }
                    stuck += 1;
                    if stuck == STUCK_MAX {
                        let why = "it was swept behind this handle, and no snapshot that is there leads on: were some \
                                   deleted by hand?";
                        return Err(Error::new(ErrorKind::Unavailable, "read the journal").because(why));
                    }
                    self.seam.sleep(self.seam.jittered(super::LOAD_PAUSE)).await;
                }
            }
        }
        let why = format!("its end moved on {READS_MAX} times; try again");
        Err(Error::new(ErrorKind::Unavailable, "read the journal").because(why))
    }

    /// As [`read_on`](Self::read_on), but only until the number is known.
    pub(super) async fn read_on_from(&self, number: u64) -> Result<(), Error> {
        {
            let core = self.core();
            core.check_readable()?;
            if core.next() > number {
                return Ok(());
            }
        }
        let read = self.bounded("read the journal", self.device.read(number)).await?;
        match self.absorb(number, read)? {
            Absorbed::End | Absorbed::More => Ok(()),
            Absorbed::Behind => self.load_newest(false).await,
        }
    }

    // Race: this reader stands still before it opens a number; meanwhile the number is swept, and a writer that had
    //       stood still for as long makes it again.
    // Closed by: the floor, looked up after the numbers were opened or missed. Nothing at or below it is believed.
    // Cost if missed: a state that nobody else has, and answers from it.
    fn absorb(&self, from: u64, read: Read) -> Result<Absorbed, Error> {
        let behind = |core: &super::Core| read.floor >= core.next();
        let known = self.core().next();
        let mut decoded = Vec::with_capacity(read.entries.len());
        for (number, bytes) in (from..).zip(&read.entries) {
            if number > read.floor && number >= known {
                decoded.push((number, bytes.len(), Entry::decode(number, bytes, self.journal)));
            }
        }
        let now = self.seam.now();
        let mut core = self.core();
        if behind(&core) {
            return Ok(Absorbed::Behind);
        }
        for (number, bytes, entry) in decoded {
            // What the other of writer and reader has applied meanwhile is the same entry.
            if number == core.next() {
                let entry = entry.map_err(|error| core.break_down(error))?;
                core.apply(number, &entry, bytes, now)?;
            }
        }
        if !read.entries.is_empty() {
            return Ok(Absorbed::More);
        }
        // It is the end only if nothing was applied since the read was sent.
        if core.next() != from {
            return Ok(Absorbed::More);
        }
        match &core.reaches {
            Some((number, why)) if *number >= from => Err(why.clone()),
            _ => {
                core.current = now;
                Ok(Absorbed::End)
            }
        }
    }
}

impl super::Core {
    fn check_readable(&self) -> Result<(), Error> {
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// Says that entries are missing which a snapshot proves to have existed.
pub(super) fn missing(snapshot: impl std::fmt::Display) -> Error {
    let why = format!("the snapshot {snapshot} exists, and entries before it do not; restore them, or the snapshot");
    Error::new(ErrorKind::Corrupt, "read the journal").because(why)
}
