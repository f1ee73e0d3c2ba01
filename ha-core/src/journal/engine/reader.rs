use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use crate::journal::{Entry, Read};
use crate::{Error, ErrorKind};

/// How long a follower does without looking while somebody waits or a session is open, if no hint comes.
const ATTENTIVE: Duration = Duration::from_millis(200);
/// And how long while nobody does.
const LAZY: Duration = Duration::from_secs(10);
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
    loop {
        let (next, patience) = {
            let mut core = engine.core();
            let attentive = !core.own.is_empty() || !core.farewells.is_empty() || !core.state.waiters().is_empty();
            (core.next(), if attentive { ATTENTIVE } else { engine.seam.jittered(LAZY) })
        };
        tokio::select! {
            biased;
            () = engine.signals.wanted.notified() => {}
            () = engine.device.appended(next, patience) => {}
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

    /// Reads and applies entries until there are no more.
    pub(super) async fn read_on(&self) -> Result<(), Error> {
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
                Absorbed::Behind => self.load_newest(false).await?,
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
            _ => Ok(Absorbed::End),
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
