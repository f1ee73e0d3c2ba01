//! How keys, latches and terms stand in Consul.

use std::sync::Arc;

use ha_core::backend::{Key, Latch, Term};

use crate::wire::Pair;

/// What follows the key of a latch in Consul. It is what Consul's own `consul lock` appends to the
/// prefix that it is given, so `consul lock <root>/<cluster>/leader/latch …` and this library exclude
/// each other.
const LOCK: &str = "/.lock";
/// What Consul's own clients write into a lock's flags, and refuse a lock without.
pub(crate) const LOCK_FLAGS: u64 = 0x2ddc_cbc0_58a5_0c18;

/// The path of a key. Names hold nothing that a URL would have to escape.
pub(crate) fn path_of(key: &Key) -> String {
    match key.last() {
        "latch" => format!("{key}{LOCK}"),
        _ => key.to_string(),
    }
}

/// The key that stands at that path; `None` for what other programs have put there.
pub(crate) fn key_at(path: &str) -> Option<Key> {
    match path.strip_suffix(LOCK) {
        Some(latch) => Key::from_stored(latch).ok().filter(|key| key.last() == "latch"),
        None => Key::from_stored(path).ok().filter(|key| key.last() != "latch"),
    }
}

/// A term as Consul recognises it: which session holds the latch, by which write of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Native {
    pub(crate) session: String,
    pub(crate) index: u64,
}

impl Native {
    /// The term of that epoch.
    pub(crate) fn term(&self, epoch: u64) -> Term {
        Term { epoch, native: Arc::from(format!("{epoch}/{}/{}", self.session, self.index)) }
    }

    /// `None` for what is no term of this backend: nothing can be held under it.
    pub(crate) fn of(term: &Term) -> Option<Self> {
        let (epoch, rest) = term.native.split_once('/')?;
        let (session, index) = rest.split_once('/')?;
        let same = epoch.parse() == Ok(term.epoch);
        same.then(|| Some(Self { session: session.to_owned(), index: index.parse().ok()? })).flatten()
    }
}

/// The epoch of what was written under that index: the greater of the index and the number that is stored
/// beside the latch.
///
/// Consul's index is the backend's own growing number. It goes on where everything else goes back, when a
/// snapshot is restored or the key is removed, so it is what makes epochs grow. But a writer knows it
/// only afterwards. What it stores is a floor, a number that is at most the index of its own write, unless an
/// operator raised it to go on from the epochs of another store. What cannot be read counts as no floor.
pub(crate) fn epoch_of(floor: &Pair, index: u64) -> u64 {
    let text = floor.bytes().unwrap_or_default();
    let stored = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    stored.unwrap_or(0).max(index)
}

/// Where the keys of a latch stand: the latch itself, and its epoch.
pub(crate) fn paths_of(latch: &Latch) -> (String, String) {
    (path_of(latch.key()), path_of(&latch.epoch_key()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latch_is_the_lock_of_consuls_own_client_and_nothing_else_is_taken_for_it() {
        let latch = Key::new("flink/a/leader/latch").unwrap();
        assert_eq!(path_of(&latch), "flink/a/leader/latch/.lock");
        assert_eq!(key_at("flink/a/leader/latch/.lock"), Some(latch));
        assert_eq!(key_at("flink/a/leader/latch"), None);
        assert_eq!(key_at("flink/a/other/.lock"), None);
        assert_eq!(key_at("flink/a/größe"), None);
        assert_eq!(key_at("flink/a/folder/"), None);
    }

    #[test]
    fn a_term_whose_parts_do_not_fit_is_no_term() {
        let native = Native { session: "8ec0".into(), index: 7 };
        let term = native.term(9);
        assert_eq!(Native::of(&term), Some(native));
        assert_eq!(Native::of(&Term { epoch: 10, ..term }), None);
        for native in ["", "9", "9/x", "9/x/y", "session-1"] {
            assert_eq!(Native::of(&Term { epoch: 9, native: native.into() }), None);
        }
    }
}
