//! Requests as calls on a backend and on its sessions: what does not depend on who serves them.

use ha_core::backend::{Backend, Session};
use ha_core::{Error, ErrorKind};
use serde::Serialize;

use super::hex::Hex;
use super::wire::{self, Answer, WireCommit, WireEntry, WireSnapshot, WireTerm};

pub(crate) fn malformed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, operation).because("the request is malformed; nothing was done")
}

pub(crate) async fn read(handle: &dyn Backend, key: &str) -> Result<Answer, Error> {
    let key = wire::key(key).ok_or_else(|| malformed("read"))?;
    Ok(Answer::Entry(handle.read(&key).await?.as_ref().map(WireEntry::new)))
}

pub(crate) async fn list(handle: &dyn Backend, below: &str) -> Result<Answer, Error> {
    let below = wire::prefix(below).ok_or_else(|| malformed("list"))?;
    Ok(Answer::Snapshot(WireSnapshot::new(&handle.list(&below).await?)))
}

pub(crate) async fn commit(handle: &dyn Backend, commit: WireCommit) -> Result<Answer, Error> {
    let commit = commit.commit().ok_or_else(|| malformed("commit"))?;
    Ok(Answer::committed(&handle.commit(&commit).await?))
}

pub(crate) async fn acquire(
    session: &dyn Session,
    home: &str,
    holder: &Hex,
    over: Option<WireTerm>,
) -> Result<Answer, Error> {
    let latch = wire::latch(home).ok_or_else(|| malformed("acquire"))?;
    let holder = holder.bytes().ok_or_else(|| malformed("acquire"))?;
    let over = over.map(WireTerm::term);
    Ok(Answer::acquired(&session.try_acquire(&latch, holder, over.as_ref()).await?))
}

pub(crate) async fn release(session: &dyn Session, home: &str) -> Result<Answer, Error> {
    let latch = wire::latch(home).ok_or_else(|| malformed("release"))?;
    session.release(&latch).await.map(|()| Answer::Done)
}

/// The bytes of an answer, or of the refusal to give one that is too long; `None` if there is neither.
pub(crate) fn framed<T: Serialize>(answer: Answer, message: impl Fn(Answer) -> T) -> Option<Vec<u8>> {
    let too_long = |error: std::io::Error| {
        let error = Error::new(ErrorKind::Unsupported, "answer").because(format!("{error}; ask for less at once"));
        wire::frame(&message(Answer::failed(&error)))
    };
    wire::frame(&message(answer)).or_else(too_long).ok()
}
