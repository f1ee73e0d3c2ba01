//! Entry points of decoders that are not public, for tests with hostile bytes. No part of the library's interface: it
//! is there with the cargo feature `fuzzing` alone, which nothing but tests and `fuzz/` asks for.

use bytes::Bytes;
use ha_core::backend::{Key, Term};
use serde_json::{Value, json};

use crate::address::Address;
use crate::http::Answer;
use crate::layout::{Native, epoch_of, key_at, path_of};
use crate::wire::{Operation, Pair, SessionId, Transaction, go_duration};

/// Reads what an agent answers to a transaction, to a reading and to a new session; the most bytes that came of it.
///
/// # Errors
/// None of these can be read; why not, as it is shown.
pub fn answer(bytes: &[u8]) -> Result<usize, String> {
    let answer = Answer::of_body(Bytes::copy_from_slice(bytes));
    let of = |pair: &Pair| {
        let _its_number = epoch_of(pair, pair.modify_index);
        let known = key_at(&pair.key).map_or(0, |key| key.as_str().len());
        Ok::<_, String>(pair.bytes().map_err(|e| e.why)?.len() + pair.holder().map_or(0, str::len) + known)
    };
    let transaction = answer.json::<Transaction>().map_err(|e| e.why).and_then(|answer| {
        let refused =
            answer.errors.iter().flatten().map(|refused| refused.what.len() + usize::from(refused.op_index > 0));
        let refused: usize = refused.sum();
        answer.results.iter().flatten().try_fold(refused, |sum, applied| Ok::<_, String>(sum + of(&applied.kv)?))
    });
    let listed = answer.json::<Vec<Pair>>().map_err(|e| e.why);
    let listed = listed.and_then(|pairs| pairs.iter().try_fold(0, |sum, pair| Ok::<_, String>(sum + of(pair)?)));
    let session = answer.json::<SessionId>().map_err(|e| e.why);
    let session = session.and_then(|session| Ok(session.checked().map_err(|e| e.why)?.len()));
    transaction.or(listed).or(session)
}

/// Reads a path, the native part of a term and the address of an agent: what the backend itself writes in one spelling
/// is read as the same.
///
/// # Errors
/// It is neither a path of a key nor an address.
pub fn layout(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let epoch = text.split('/').next().and_then(|epoch| epoch.parse().ok()).unwrap_or_default();
    if let Some(native) = Native::of(&Term { epoch, native: text.into() }) {
        assert_eq!(Native::of(&native.term(epoch)), Some(native), "a term");
    }
    let address = Address::parse(text).map_err(|error| error.to_string());
    if let Ok(address) = &address {
        assert_eq!(Address::parse(&address.to_string()).ok().as_ref(), Some(address), "an address");
    }
    match key_at(text) {
        Some(key) => assert_eq!(path_of(&key), text, "a key"),
        None => drop(address?),
    }
    Ok(())
}

/// The path of that key leads to it, and to no other.
///
/// # Panics
/// It does not: that is what is looked for.
pub fn path_and_back(key: &Key) {
    assert_eq!(key_at(&path_of(key)).as_ref(), Some(key));
}

/// What is sent to have that value stored, answered as Consul answers it: the same key and the same bytes.
///
/// # Panics
/// It is not: that is what is looked for.
pub fn stored_and_back(key: &Key, value: &[u8], index: u64, flags: u64) {
    let sent = serde_json::to_value(Operation::cas(path_of(key), index, value, flags)).expect("an operation is JSON");
    let sent = &sent["KV"];
    assert_eq!((&sent["Index"], &sent["Flags"]), (&json!(index), &json!(flags)));
    // Of an empty value Consul says that there is none.
    let value_shown = if sent["Value"] == "" { Value::Null } else { sent["Value"].clone() };
    let shown = json!([{ "LockIndex": 0, "Key": sent["Key"], "Flags": flags, "Value": value_shown, "CreateIndex": 1,
                         "ModifyIndex": index }]);
    let answer = Answer::of_body(shown.to_string().into());
    let read: Vec<Pair> = answer.json().map_err(|failure| failure.why).expect("what Consul answers");
    assert_eq!(read[0].bytes().map_err(|failure| failure.why).as_deref(), Ok(value));
    assert_eq!((key_at(&read[0].key).as_ref(), read[0].modify_index), (Some(key), index));
}

/// A term of these parts is recognised in what is stored of it.
///
/// # Panics
/// It is not: that is what is looked for.
pub fn term_and_back(epoch: u64, session: &str, index: u64) {
    let native = Native { session: session.to_owned(), index };
    assert_eq!(Native::of(&native.term(epoch)), Some(native));
}

/// A duration as Consul is told it.
#[must_use]
pub fn duration(duration: std::time::Duration) -> String {
    go_duration(duration)
}
