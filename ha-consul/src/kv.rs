//! Reading, and sending transactions.

use std::collections::BTreeMap;

use bytes::Bytes;
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
        held(self.latch.as_ref()?, self.epoch.as_ref())
    }

    /// The greatest epoch that stands here.
    pub(crate) fn epoch(&self) -> u64 {
        let stored = self.epoch.as_ref().map_or(0, |pair| layout::epoch_of(pair, pair.modify_index));
        stored.max(self.held().map_or(0, |term| term.epoch))
    }

    /// What is stored as the epoch by whoever takes the latch next: more than all that is known, here and
    /// to this process. `None`: there is no greater one.
    pub(crate) fn next_epoch(&self, known: u64) -> Option<u64> {
        self.epoch().max(self.index).max(known).checked_add(1)
    }
}

/// The term that the latch is held under. It and its epoch were written at once, so under one index.
// Race: an operator raises the floor, for the terms to come, while somebody leads.
// Closed by: a floor that was written at another time is not this term's. The term keeps its number, and what is not
//            known of it makes it smaller, never greater.
// Cost if missed: the holder is taken for a later term, and a collection of orphans deletes states that it has written
//                 and is about to point to.
fn held(latch: &Pair, epoch: Option<&Pair>) -> Option<Term> {
    let index = latch.modify_index;
    let native = Native { session: latch.holder()?.to_owned(), index };
    let floor = epoch.filter(|pair| pair.modify_index == index);
    Some(native.term(floor.map_or(index, |pair| layout::epoch_of(pair, index))))
}

/// Reads a latch and its epoch as they stand together.
pub(crate) async fn read_latch(http: &Http, latch: &Latch) -> Result<LatchState, Failure> {
    let (latch_path, epoch_path) = layout::paths_of(latch);
    let both = [Operation::get(&latch_path), Operation::get(&epoch_path)];
    let answer = http.send(&Request::put("txn?consistent").body(encode(&both)?)).await?;
    if answer.status == 200 {
        let results = answer.json::<Transaction>()?.results.unwrap_or_default();
        let mut pairs: BTreeMap<String, Pair> = results.into_iter().map(|one| (one.kv.key.clone(), one.kv)).collect();
        if let (Some(latch), Some(epoch)) = (pairs.remove(&latch_path), pairs.remove(&epoch_path)) {
            let index = latch.modify_index.max(epoch.modify_index);
            return Ok(LatchState { latch: Some(latch), epoch: Some(epoch), index });
        }
        // Consul leaves out of the answer what may not be read. A single key is refused openly.
    } else if answer.status != 409 {
        return Err(answer.failure());
    }
    // One of them is absent, or may not be read: the transaction does not tell which.
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
    let pairs = pairs(answer, |key| key == path)?;
    Ok((pairs.into_iter().next(), index))
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
    let snapshot = snapshot(answer, below).map_err(failed)?;
    if snapshot.entries.is_empty() {
        prove_access(http, below).await.map_err(failed)?;
    }
    Ok(snapshot)
}

/// Tells a place that is empty from one that may not be read. Consul leaves out of a list what may not be read,
/// without a word; a single key is refused openly.
pub(crate) async fn prove_access(http: &Http, below: &Prefix) -> Result<(), Failure> {
    if below.as_str().is_empty() {
        return Ok(());
    }
    let probe = http.send(&Request::get(format!("kv/{below}access"))).await?;
    if probe.status == 404 { Ok(()) } else { probe.ok().map(drop) }
}

/// Whether that key may be read, be it there or not.
pub(crate) async fn prove_readable(http: &Http, key: &Key) -> Result<(), Failure> {
    get(http, &layout::path_of(key)).await.map(drop)
}

/// The entries of an answer to a list of that place, in the order of their keys.
pub(crate) fn snapshot(answer: Answer, below: &Prefix) -> Result<Snapshot, Failure> {
    let mark = Mark::from_native(answer.index.unwrap_or(0).max(1));
    let pairs = pairs(answer, |key| key.starts_with(below.as_str()))?;
    let epochs: BTreeMap<Prefix, &Pair> = pairs
        .iter()
        .filter_map(|pair| {
            let key = layout::key_at(&pair.key).filter(|key| key.last() == "epoch")?;
            Some((key.home(), pair))
        })
        .collect();
    let mut entries = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        let Some(key) = layout::key_at(&pair.key) else { continue };
        let is_latch = key.last() == "latch";
        let held = is_latch.then(|| held(pair, epochs.get(&key.home()).copied())).flatten();
        entries.push(entry(key, pair, held)?);
    }
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(Snapshot { entries, mark })
}

/// What an answer shows of the keys that it was asked for.
fn pairs(answer: Answer, asked: impl Fn(&str) -> bool) -> Result<Vec<Pair>, Failure> {
    if answer.filtered {
        let why = "the token may not read all of it, and Consul left something out; correct its policy";
        return Err(Failure::new(FailureKind::Denied, why));
    }
    match answer.status {
        // Consul's own answers have an index; those of something else, such as an empty list, have none.
        200 if answer.index.is_some() => {
            let pairs: Vec<Pair> = answer.json()?;
            if pairs.iter().all(|pair| asked(&pair.key)) { Ok(pairs) } else { Err(answer.not_consuls()) }
        }
        404 if answer.index.is_some() => Ok(Vec::new()),
        _ => Err(answer.failure()),
    }
}

fn entry(key: Key, pair: &Pair, held: Option<Term>) -> Result<Entry, Failure> {
    let value = match key.last() {
        // As its readers mean it, not as it is stored.
        "epoch" => Bytes::from(layout::epoch_of(pair, pair.modify_index).to_string()),
        _ => pair.bytes()?,
    };
    Ok(Entry { key, value, revision: Revision::from_native(pair.modify_index), held })
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
    // One that only checks changes nothing, and Consul does not put it into its log: unless it is told to
    // make sure, a leader that was deposed without knowing may still answer it.
    let answer = http.send(&Request::put("txn?consistent").body(encode(operations)?)).await?;
    match answer.status {
        200 => {
            let told = answer.json::<Transaction>()?;
            let refused = told.errors.is_some_and(|errors| !errors.is_empty());
            let pairs: Vec<Pair> = told.results.unwrap_or_default().into_iter().map(|result| result.kv).collect();
            // Something in between may answer everything with a success. Consul tells of each operation, in their order,
            // and by which write each key is what it is.
            let asked = operations.iter().filter_map(Operation::answered);
            let whole = asked.eq(pairs.iter().map(|pair| pair.key.as_str()));
            if refused || !whole || pairs.iter().any(|pair| pair.modify_index == 0) {
                return Err(answer.not_consuls());
            }
            Ok(Sent::Applied(pairs))
        }
        409 => {
            let refused = answer.json::<Transaction>()?.errors.unwrap_or_default();
            if let Some(denied) = refused.iter().find(|refused| refused.what.contains("Permission denied")) {
                let why = format!("{}; correct the token's policy", answer.shown_of(&denied.what));
                return Err(Failure::new(FailureKind::Denied, why));
            }
            if refused.is_empty() || refused.iter().any(|refused| refused.op_index >= operations.len()) {
                let why = format!("a refusal of nothing that was sent: {}; is this Consul?", answer.shown());
                return Err(Failure::new(FailureKind::Unknown, why));
            }
            Ok(Sent::Refused(refused.into_iter().map(|refused| (refused.op_index, refused.what)).collect()))
        }
        _ => Err(answer.failure()),
    }
}

fn encode(operations: &[Operation]) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(operations).map_err(|error| Failure::new(FailureKind::Invalid, error))
}
