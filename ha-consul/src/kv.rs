//! Reading, and sending transactions.

use ha_core::Error;
use ha_core::backend::{Entry, Key, Latch, Mark, Prefix, Revision, Snapshot, Term};

use crate::http::{Answer, Failure, FailureKind, Http, Request};
use crate::layout::{self, Native};
use crate::wire::{Operation, Pair, Transaction};

/// What stands in a latch.
#[derive(Debug)]
pub(crate) struct LatchState {
    pub(crate) latch: Option<Pair>,
    pub(crate) epoch: Option<Pair>,
    /// Consul's index when this was read: no write that it shows is later.
    pub(crate) index: u64,
}

impl LatchState {
    /// The term that the latch is held under.
    pub(crate) fn held(&self) -> Option<Term> {
        held(self.latch.as_ref()?, self.stored_epoch())
    }

    pub(crate) fn stored_epoch(&self) -> Option<u64> {
        self.epoch.as_ref().and_then(|pair| layout::epoch_of(&pair.bytes().ok()?))
    }

    /// The epoch of whoever takes the latch next.
    ///
    /// Consul's index is the backend's own growing number. An epoch is never greater than the index of the
    /// write that raised it, so that also where the stored one was removed the next is greater than all.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.stored_epoch().map_or(0, |stored| stored.saturating_add(1)).max(self.index.saturating_add(1))
    }
}

fn held(latch: &Pair, epoch: Option<u64>) -> Option<Term> {
    let native = Native { session: latch.holder()?.to_owned(), index: latch.modify_index };
    Some(native.term(epoch?))
}

/// Reads a latch and its epoch as they stand together.
pub(crate) async fn read_latch(http: &Http, latch: &Latch) -> Result<LatchState, Failure> {
    let (latch_path, epoch_path) = layout::paths_of(latch);
    let both = [Operation::get(&latch_path), Operation::get(&epoch_path)];
    let answer = http.send(&Request::put("txn?consistent").body(encode(&both)?)).await?;
    if answer.status == 200 {
        let results = answer.json::<Transaction>()?.results.unwrap_or_default();
        let mut pairs = results.into_iter().map(|result| result.kv);
        let (latch, epoch) = (pairs.next(), pairs.next());
        let index = [&latch, &epoch].iter().filter_map(|pair| Some(pair.as_ref()?.modify_index)).max().unwrap_or(0);
        return Ok(LatchState { latch, epoch, index });
    }
    if answer.status != 409 {
        return Err(answer.failure());
    }
    // One of them is absent, or may not be read: there the transaction does not tell which.
    //
    // Race: the latch may be taken between the two reads.
    // Closed by: the epoch is read first and only raised; whoever takes the latch expects exactly it.
    // Cost if missed: two terms of one epoch.
    let (epoch, at_epoch) = get(http, &epoch_path).await?;
    let (latch, at_latch) = get(http, &latch_path).await?;
    Ok(LatchState { latch, epoch, index: at_epoch.max(at_latch) })
}

/// Reads one key; of an absent one the index of everything.
async fn get(http: &Http, path: &str) -> Result<(Option<Pair>, u64), Failure> {
    let answer = http.send(&Request::get(format!("kv/{path}?consistent"))).await?;
    let index = answer.index.unwrap_or(0);
    Ok((pairs(answer)?.into_iter().next(), index))
}

/// Reads one key.
pub(crate) async fn read(http: &Http, key: &Key) -> Result<Option<Entry>, Error> {
    let failed = |failure: Failure| failure.of_read("read", key);
    if key.last() == "latch" {
        let latch = Latch::below(&key.home());
        let state = read_latch(http, &latch).await.map_err(failed)?;
        let held = state.held();
        return state.latch.map(|pair| entry(key.clone(), &pair, held).map_err(failed)).transpose();
    }
    let (pair, _) = get(http, &layout::path_of(key)).await.map_err(failed)?;
    pair.map(|pair| entry(key.clone(), &pair, None).map_err(failed)).transpose()
}

/// Reads all keys below a place.
pub(crate) async fn list(http: &Http, below: &Prefix) -> Result<Snapshot, Error> {
    let failed = |failure: Failure| failure.of_read("list", below);
    let answer = http.send(&Request::get(format!("kv/{below}?recurse&consistent"))).await.map_err(failed)?;
    let snapshot = snapshot(answer).map_err(failed)?;
    if snapshot.entries.is_empty() && !below.as_str().is_empty() {
        // Consul leaves out of a list what may not be read, without a word. A single key is refused openly.
        let probe = http.send(&Request::get(format!("kv/{below}access"))).await.map_err(failed)?;
        if probe.status != 404 {
            probe.ok().map_err(failed)?;
        }
    }
    Ok(snapshot)
}

/// The entries of an answer to a list, in the order of their keys.
pub(crate) fn snapshot(answer: Answer) -> Result<Snapshot, Failure> {
    let mark = Mark::from_native(answer.index.unwrap_or(0).max(1));
    let pairs = pairs(answer)?;
    let epochs: std::collections::BTreeMap<Prefix, u64> = pairs
        .iter()
        .filter_map(|pair| {
            let key = layout::key_at(&pair.key).filter(|key| key.last() == "epoch")?;
            Some((key.home(), layout::epoch_of(&pair.bytes().ok()?)?))
        })
        .collect();
    let mut entries = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        let Some(key) = layout::key_at(&pair.key) else { continue };
        let epoch = (key.last() == "latch").then(|| epochs.get(&key.home()).copied()).flatten();
        let held = epoch.and_then(|epoch| held(pair, Some(epoch)));
        entries.push(entry(key, pair, held)?);
    }
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(Snapshot { entries, mark })
}

fn pairs(answer: Answer) -> Result<Vec<Pair>, Failure> {
    match answer.status {
        // Consul's own answers have an index; those of something else, such as an empty list, have none.
        200 if answer.index.is_some() => answer.json(),
        404 if answer.index.is_some() => Ok(Vec::new()),
        _ => Err(answer.failure()),
    }
}

fn entry(key: Key, pair: &Pair, held: Option<Term>) -> Result<Entry, Failure> {
    Ok(Entry { key, value: pair.bytes()?, revision: Revision::from_native(pair.modify_index), held })
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Applied; what its operations answered.
    Applied(Vec<Pair>),
    /// Not applied: operation and reason, all of them.
    Refused(Vec<(usize, String)>),
}

/// Sends a transaction, once.
pub(crate) async fn transact(http: &Http, operations: &[Operation]) -> Result<Sent, Failure> {
    let answer = http.send(&Request::put("txn").body(encode(operations)?)).await?;
    match answer.status {
        200 => {
            let results = answer.json::<Transaction>()?.results.unwrap_or_default();
            Ok(Sent::Applied(results.into_iter().map(|result| result.kv).collect()))
        }
        409 => {
            let refused = answer.json::<Transaction>()?.errors.unwrap_or_default();
            if let Some(denied) = refused.iter().find(|refused| refused.what.contains("Permission denied")) {
                let why = format!("{}; correct the token's policy", denied.what);
                return Err(Failure::new(FailureKind::Denied, why));
            }
            if refused.is_empty() {
                return Err(Failure::new(FailureKind::Unknown, "a refusal without a reason; is this Consul?"));
            }
            Ok(Sent::Refused(refused.into_iter().map(|refused| (refused.op_index, refused.what)).collect()))
        }
        _ => Err(answer.failure()),
    }
}

fn encode(operations: &[Operation]) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(operations).map_err(|error| Failure::new(FailureKind::Invalid, error))
}
