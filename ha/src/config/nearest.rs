//! The closest of several names to a misspelt one.

use std::fmt;

/// How many names are looked at by their whole length; longer words are nobody's misspelling of ours.
const WORD_BYTES_MAX: usize = 128;

/// The candidate that the word is most likely a misspelling of, if one is near enough; the first of equals.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.to_ascii_lowercase());
    let (name, away) = candidates.map(|name| (name, distance(name))).min_by_key(|(_, away)| *away)?;
    let near = (name.len() / 4).max(2);
    (away <= near).then_some(name)
}

/// `; did you mean …?`, or nothing.
pub(crate) struct DidYouMean<T>(pub(crate) Option<T>);

impl<T: fmt::Display> fmt::Display for DidYouMean<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let known = ["high-availability.cluster-id", "high-availability.consul.session-ttl", "cleanup-strategy"];
        let near = |word: &str| nearest(word, known.into_iter());
        assert_eq!(near("high-availability.clsuter-id"), Some(known[0]));
        assert_eq!(near("high-availability.consul.sesion-ttl"), Some(known[1]));
        assert_eq!(near("HIGH-AVAILABILITY.CLUSTER_ID"), Some(known[0]));
        assert_eq!(near("parallelism.default"), None);
        assert_eq!(near(&"x".repeat(1_000_000)), None);
    }
}
