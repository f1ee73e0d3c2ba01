use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ha_core::backend::{Acquire, Ended, Holder, Key, Latch, Mark, Scope, Term};
use ha_core::{Error, ErrorKind};

use super::Living;
use crate::kv::{self, LatchState, Sent};
use crate::layout::{self, LOCK_FLAGS, Native};
use crate::wire::{Operation, Pair};

/// How often an attempt begins anew because somebody else was faster.
const TRIES: usize = 8;

/// The latches that a session has tried for.
#[derive(Debug, Default)]
pub(super) struct Taken(Mutex<BTreeMap<Key, Attempt>>);

/// How far one attempt came.
#[derive(Debug, Clone)]
enum Attempt {
    /// A transaction that would raise the epoch to this was sent.
    Sent(u64),
    /// Won under this term.
    Won(Term),
}

impl Taken {
    fn attempts(&self) -> MutexGuard<'_, BTreeMap<Key, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn try_acquire(
        &self,
        living: &Living,
        latch: &Latch,
        holder: &Bytes,
        over: Option<&Term>,
    ) -> Result<Acquire, Error> {
        let ended = |why: &str| Error::new(ErrorKind::SessionEnded, "acquire").at(latch).because(why);
        for _ in 0..TRIES {
            if living.cell.has_ended() {
                return Err(ended("open another session"));
            }
            let http = &living.inner.http;
            let state = kv::read_latch(http, latch).await.map_err(|failure| failure.of_read("acquire", latch))?;
            if let Some(decided) = self.decide(living, latch, &state, over)? {
                return Ok(decided);
            }
            let epoch = next_epoch(living, latch, &state)?;
            // Noted before it is sent: the future may be dropped, and the request arrive all the same.
            let before = self.attempts().insert(latch.key().clone(), Attempt::Sent(epoch));
            let operations = operations(living, latch, &state, holder, epoch);
            let sent = kv::transact(http, &operations).await.map_err(|failure| failure.of_write("acquire", latch))?;
            match sent {
                Sent::Applied(pairs) => return self.won(living, latch, epoch, &pairs),
                Sent::Refused(refused) => {
                    // This one certainly was not applied. What became of one before it may still be unknown.
                    self.put_back(latch, before);
                    let says = |text: &str| refused.iter().any(|(_, why)| why.contains(text));
                    if says("invalid session") {
                        living.cell.end(Ended::Revoked);
                        return Err(ended("Consul knows it no more; open another one"));
                    }
                    if says("lock delay") {
                        return Err(Error::new(ErrorKind::Unavailable, "acquire")
                            .at(latch)
                            .because("Consul's lock-delay keeps it free for a while; trying again"));
                    }
                }
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "acquire").at(latch).because("others were faster each time; try again"))
    }

    fn put_back(&self, latch: &Latch, before: Option<Attempt>) {
        let mut attempts = self.attempts();
        match before {
            Some(before) => drop(attempts.insert(latch.key().clone(), before)),
            None => drop(attempts.remove(latch.key())),
        }
    }

    /// What is decided by what stands there; `None` if the latch can be tried for.
    fn decide(
        &self,
        living: &Living,
        latch: &Latch,
        state: &LatchState,
        over: Option<&Term>,
    ) -> Result<Option<Acquire>, Error> {
        let lost = || {
            Error::new(ErrorKind::SessionEnded, "acquire")
                .at(latch)
                .because("this session has held the latch before; open another one")
        };
        let held = state.held();
        let ours = held.as_ref().and_then(Native::of).is_some_and(|native| native.session == living.id());
        let mut attempts = self.attempts();
        match (attempts.get(latch.key()).cloned(), held) {
            (Some(Attempt::Won(term)), Some(held)) if ours && held == term => Ok(Some(Acquire::Won(term))),
            (Some(Attempt::Won(_)), _) => Err(lost()),
            // Its answer was lost, and it was applied.
            (Some(Attempt::Sent(_)), Some(held)) if ours => {
                attempts.insert(latch.key().clone(), Attempt::Won(held.clone()));
                Ok(Some(Acquire::Won(held)))
            }
            // Race: the attempt may have been applied, and lost since.
            // Closed by: it would have raised the epoch.
            // Cost if missed: a session that takes a latch twice.
            (Some(Attempt::Sent(epoch)), _) if state.epoch() >= epoch => Err(lost()),
            (_, Some(held)) if over != Some(&held) => {
                let value = state.latch.as_ref().map(Pair::bytes).transpose();
                let value = value.map_err(|failure| failure.of_read("acquire", latch))?.unwrap_or_default();
                let (wait, seen) = (Scope::Key(latch.key().clone()), Mark::from_native(state.index.max(1)));
                Ok(Some(Acquire::Held { by: Holder { term: held, value }, wait, seen }))
            }
            _ => Ok(None),
        }
    }

    fn won(&self, living: &Living, latch: &Latch, epoch: u64, pairs: &[Pair]) -> Result<Acquire, Error> {
        let path = layout::path_of(latch.key());
        // The last answer for the key: an unlocking may stand before the locking.
        let Some(index) = pairs.iter().rev().find(|pair| pair.key == path).map(|pair| pair.modify_index) else {
            return Err(Error::new(ErrorKind::Indeterminate, "acquire")
                .at(latch)
                .because("Consul applied the transaction and does not say what it wrote; attempt again"));
        };
        let epoch = epoch.max(index);
        living.inner.epochs.saw(latch, epoch);
        let term = Native { session: living.id().to_owned(), index }.term(epoch);
        self.attempts().insert(latch.key().clone(), Attempt::Won(term.clone()));
        Ok(Acquire::Won(term))
    }
}

/// What to store as the epoch.
///
/// This process also counts on from what it has seen itself. Where all of Consul's data were lost, its index
/// begins anew, and nothing but those who were there knows of earlier epochs.
fn next_epoch(living: &Living, latch: &Latch, state: &LatchState) -> Result<u64, Error> {
    let known = living.inner.epochs.saw(latch, state.epoch());
    state.next_epoch(known).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "acquire")
            .at(latch.epoch_key())
            .because("the stored epoch is the greatest number there is; store the last true one")
    })
}

/// Takes the latch and raises its epoch, in one step. Where a session still stands in it (whose term is
/// to be ended, or whose lock somebody has written over), that one is put out first.
fn operations(living: &Living, latch: &Latch, state: &LatchState, holder: &[u8], epoch: u64) -> Vec<Operation> {
    let (latch_path, epoch_path) = layout::paths_of(latch);
    let mut operations = Vec::with_capacity(4);
    if let Some(pair) = &state.latch
        && let Some(session) = pair.session.as_deref().filter(|session| !session.is_empty())
    {
        operations.push(Operation::check_index(&latch_path, pair.modify_index));
        operations.push(Operation::unlock(&latch_path, session, LOCK_FLAGS));
    }
    operations.push(Operation::lock(&latch_path, living.id(), holder, LOCK_FLAGS));
    let index = state.epoch.as_ref().map_or(0, |pair| pair.modify_index);
    let flags = living.inner.seam.random_u64();
    operations.push(Operation::cas(epoch_path, index, epoch.to_string().as_bytes(), flags));
    operations
}

/// Lets go of the latch if the session holds it.
pub(super) async fn release(living: &Arc<Living>, latch: &Latch) -> Result<(), Error> {
    let operations = [Operation::unlock(layout::path_of(latch.key()), living.id(), LOCK_FLAGS)];
    let http = living.inner.renewals.clone();
    let sent = living.where_it_is_renewed(async move { kv::transact(&http, &operations).await }).await;
    match sent.map_err(|failure| failure.of_write("release", latch))? {
        // Refused: it is not held by this session.
        Sent::Applied(_) | Sent::Refused(_) => Ok(()),
    }
}
