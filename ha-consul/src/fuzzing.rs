//! Entry points of decoders that are not public, for tests with hostile bytes. No part of the library's interface: it
//! is there with the cargo feature `fuzzing` alone, which nothing but tests and `fuzz/` asks for.

use crate::wire::{Pair, SessionId, Transaction};

/// Reads what an agent answers to a transaction, to a reading and to a new session; the most bytes that came of it.
///
/// # Errors
/// None of these can be read; why not.
pub fn answer(bytes: &[u8]) -> Result<usize, String> {
    let of = |pair: &Pair| Ok::<_, String>(pair.bytes().map_err(|e| e.why)?.len() + pair.holder().map_or(0, str::len));
    let transaction = serde_json::from_slice::<Transaction>(bytes).map_err(|e| e.to_string()).and_then(|answer| {
        let refused =
            answer.errors.iter().flatten().map(|refused| refused.what.len() + usize::from(refused.op_index > 0));
        let refused: usize = refused.sum();
        answer.results.iter().flatten().try_fold(refused, |sum, applied| Ok::<_, String>(sum + of(&applied.kv)?))
    });
    let listed = serde_json::from_slice::<Vec<Pair>>(bytes).map_err(|e| e.to_string());
    let listed = listed.and_then(|pairs| pairs.iter().try_fold(0, |sum, pair| Ok::<_, String>(sum + of(pair)?)));
    let session = serde_json::from_slice::<SessionId>(bytes).map_err(|e| e.to_string());
    let session = session.and_then(|session| Ok(session.checked().map_err(|e| e.why)?.len()));
    transaction.or(listed).or(session)
}
