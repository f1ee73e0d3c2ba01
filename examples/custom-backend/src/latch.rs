//! Taking and letting go of a latch, inside of a transaction.

use bytes::Bytes;
use ha_core::backend::{Acquire, Holder, Latch, Scope, Term};
use ha_core::{Error, ErrorKind};

use crate::core::Core;
use crate::tables::Tables;

// guide: acquire
/// One attempt of a session. The inner error refuses it; the outer one is the disk's.
pub(crate) fn acquire(
    tables: &mut Tables<'_>,
    core: &Core,
    id: u64,
    latch: &Latch,
    holder: &Bytes,
    over: Option<&Term>,
) -> Result<Result<Acquire, Error>, Error> {
    let ended = |why: &str| Ok(Err(Error::new(ErrorKind::SessionEnded, "acquire").at(latch).because(why)));
    // The sessions are locked for a look at a time, never while the disk is read.
    let Some(taken) = core.sessions().get(id).map(|living| living.taken.contains(latch)) else {
        return ended("the session is over; open another one");
    };
    let held = tables.holder(latch.key())?;
    // Its own latch once more: the answer to the first attempt may have been lost.
    if let Some((_, term)) = held.as_ref().filter(|(session, _)| *session == id) {
        return Ok(Ok(Acquire::Won(term.clone())));
    }
    // Before looking at who holds it: a session that has lost the latch must not wait for it.
    if taken {
        return ended("this session has held the latch before; open another one");
    }
    if let Some((_, term)) = held.filter(|(_, term)| over != Some(term)) {
        let value = tables.read(latch.key())?.map_or_else(Bytes::new, |entry| entry.value);
        let (by, wait) = (Holder { term, value }, Scope::Key(latch.key().clone()));
        return Ok(Ok(Acquire::Held { by, wait, seen: tables.mark() }));
    }
    // Race: the session ends between the look above and the commit of this transaction.
    // Closed by: whoever ends it notes that its latches are to be freed, by the next transaction at the latest.
    // Cost if missed: a latch whose holder is gone, and that nobody can ever take.
    if core.sessions().get(id).map(|living| living.taken.insert(latch.clone())).is_none() {
        return ended("the session is over; open another one");
    }
    // Free, or to be taken over: in both cases this one step ends the old term and begins the new.
    let term = tables.hold(latch.key(), id)?;
    tables.put(latch.key(), holder)?;
    tables.put(&latch.epoch_key(), term.epoch.to_string().as_bytes())?;
    Ok(Ok(Acquire::Won(term)))
}
// guide: end

/// Frees the latch if that session holds it.
pub(crate) fn release(tables: &mut Tables<'_>, id: u64, latch: &Latch) -> Result<(), Error> {
    match tables.holder(latch.key())? {
        Some((session, _)) if session == id => tables.free(latch.key()),
        _ => Ok(()),
    }
}
