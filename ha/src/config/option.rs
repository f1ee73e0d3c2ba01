use std::fmt;

use super::options;

/// What the text of an option's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number from 0.
    Number,
    /// As many as a number says, or `infinite`.
    Attempts,
    /// A time in Flink's forms, see [`parse_duration`](super::parse_duration).
    Duration,
    /// A number of bytes in Flink's forms, see [`parse_memory_size`](super::parse_memory_size).
    MemorySize,
    /// A port, ranges of ports, or several of them: `0`, `50010`, `50000-50010,50100`.
    Ports,
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Attempts => "number or `infinite`",
            Self::Duration => "duration",
            Self::MemorySize => "memory size",
            Self::Ports => "ports",
            Self::OneOf(words) => return write!(f, "one of {}", words.join(", ")),
        })
    }
}

/// Another name of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// The name.
    pub key: &'static str,
    /// Whether its use is warned of: the option's own key says the same better.
    pub deprecated: bool,
}

/// A deprecated name.
pub(super) const fn deprecated(key: &'static str) -> Alias {
    Alias { key, deprecated: true }
}

/// A name that is as good as the option's own.
pub(super) const fn also(key: &'static str) -> Alias {
    Alias { key, deprecated: false }
}

/// What becomes of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// It sets something.
    Set,
    /// It has no effect here, and the log says so; why.
    Nothing(&'static str),
    /// One of these values says what is the case anyway; any other is refused, and why.
    Fixed(&'static [&'static str], &'static str),
}

/// An option that can be configured: the one place that says what there is. Parsing, validation, hints and
/// `docs/configuration.md` come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigOption {
    /// Its own key.
    pub key: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Its default as text; empty if it has none.
    pub default: &'static str,
    /// What it means, in one sentence or two.
    pub meaning: &'static str,
    /// Its other names.
    pub aliases: &'static [Alias],
    /// Whether its value is never shown.
    pub secret: bool,
    /// What becomes of its value.
    pub effect: Effect,
}

impl ConfigOption {
    /// An option of that key, kind, default and meaning.
    pub(super) const fn new(key: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Self {
        Self { key, kind, default, meaning, aliases: &[], secret: false, effect: Effect::Set }
    }

    /// With these other names.
    pub(super) const fn named(self, aliases: &'static [Alias]) -> Self {
        Self { aliases, ..self }
    }

    /// One whose value is never shown.
    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// One whose value has that effect.
    pub(super) const fn effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    /// All options of this library's own, in the order of the document. Those of the state storage are
    /// [`STORAGE_KEYS`](crate::state::STORAGE_KEYS).
    pub fn all() -> impl Iterator<Item = &'static Self> {
        options::GROUPS.iter().flat_map(|group| group.options)
    }

    /// Every name that it has, its own first.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.key).chain(self.aliases.iter().map(|alias| alias.key))
    }

    /// The option of that name, in the case that it is written in.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        Self::all().find(|option| option.keys().any(|known| known == key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_means_two_options() {
        let mut seen = BTreeSet::new();
        for key in ConfigOption::all().flat_map(ConfigOption::keys) {
            assert!(seen.insert(key), "{key} stands twice in the table");
        }
    }

    #[test]
    fn every_option_says_what_it_means_in_whole_sentences() {
        for option in ConfigOption::all() {
            assert!(option.meaning.ends_with('.') && option.meaning.len() > 20, "{}", option.key);
        }
    }
}
