use std::fmt;

use crate::backend::Name;

/// Under which latch and epoch a state is written. It stands in the name of the state, so that a later leader
/// can tell which states can never get a pointer any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    /// `None`: the process's one latch. Else the name of an independent one.
    pub(crate) latch: Option<Name>,
    pub(crate) epoch: u64,
}

/// Who may delete a state that nothing points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody but who knows of it: it was written under no leadership, or a latch of an unusual place.
    Unknown,
    /// A later leader of that latch.
    Term(Tag),
    /// Nobody: it is a user's, or a policy may retain it after its pointer is gone.
    Kept(Tag),
}

impl Origin {
    /// The same, of a state that no collection may delete.
    pub(crate) fn kept(self) -> Self {
        match self {
            Self::Term(tag) => Self::Kept(tag),
            other => other,
        }
    }

    /// The name of a state: `[keep-][<latch>.]<epoch>-<place>-<random>`, or the random part alone. `place` tells
    /// clusters apart that were given one folder.
    pub(super) fn name(&self, place: &str, random: &str) -> String {
        match self {
            _ if place.is_empty() => random.to_owned(),
            Self::Unknown => random.to_owned(),
            Self::Term(tag) => format!("{tag}-{place}-{random}"),
            Self::Kept(tag) => format!("keep-{tag}-{place}-{random}"),
        }
    }

    /// The tag of a state that a collection may delete. `None` for all that was not named by
    /// [`Origin::name`] with [`Origin::Term`] and this place.
    pub(crate) fn collectable(name: &str, place: &str) -> Option<Tag> {
        let (rest, random) = name.rsplit_once('-')?;
        let (tag, of) = rest.rsplit_once('-')?;
        let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let ours = !place.is_empty() && of == place && random.len() == 32 && is_hex(random);
        // A latch whose own name begins like this is taken for kept: that deletes nothing.
        if !ours || tag.starts_with("keep-") {
            return None;
        }
        let (latch, epoch) = match tag.rsplit_once('.') {
            Some((latch, epoch)) => (Some(Name::new(latch).ok()?), epoch),
            None => (None, tag),
        };
        let parsed = Tag { latch, epoch: epoch.parse().ok()? };
        // One tag has one spelling.
        (parsed.to_string() == tag).then_some(parsed)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.latch {
            Some(latch) => write!(f, "{latch}.{}", self.epoch),
            None => self.epoch.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "00ff00ff";
    const RANDOM: &str = "0123456789abcdef0123456789abcdef";

    fn tag(latch: Option<&str>, epoch: u64) -> Tag {
        Tag { latch: latch.map(|latch| Name::new(latch).unwrap()), epoch }
    }

    #[test]
    fn a_tag_survives_the_round_trip_whatever_the_latch_is_called() {
        for latch in [None, Some("shard-1"), Some("7"), Some("a.b.9"), Some("x-1-2"), Some("-"), Some("_.")] {
            for epoch in [1, 10, u64::MAX] {
                let tag = tag(latch, epoch);
                let name = Origin::Term(tag.clone()).name(PLACE, RANDOM);
                assert_eq!(Origin::collectable(&name, PLACE), Some(tag), "{name}");
                assert_eq!(Origin::collectable(&name, "00ff00fe"), None, "another cluster's");
                assert_eq!(Origin::collectable(&name, ""), None);
            }
        }
    }

    #[test]
    fn what_is_kept_untagged_or_foreign_is_never_collected() {
        let kept = Origin::Term(tag(None, 3)).kept().name(PLACE, RANDOM);
        let latch_like_kept = Origin::Term(tag(Some("keep-x"), 3)).name(PLACE, RANDOM);
        let untagged = Origin::Unknown.name(PLACE, RANDOM);
        let foreign = [
            "",
            "-",
            "--",
            "part-0001",
            "3",
            "3-00ff00ff",
            "3-00ff00ff-0123",
            "+3-00ff00ff-0123456789abcdef0123456789abcdef",
            "03-00ff00ff-0123456789abcdef0123456789abcdef",
            "3-00ff00ff-0123456789ABCDEF0123456789abcdef",
            "a/b.3-00ff00ff-0123456789abcdef0123456789abcdef",
            ".3-00ff00ff-0123456789abcdef0123456789abcdef",
            "99999999999999999999-00ff00ff-0123456789abcdef0123456789abcdef",
            "é.3-00ff00ff-0123456789abcdef0123456789abcdef",
        ];
        for name in [kept, latch_like_kept, untagged].iter().map(String::as_str).chain(foreign) {
            assert_eq!(Origin::collectable(name, PLACE), None, "{name}");
        }
    }
}
