use std::fmt;

/// What stands for an entry in the model: a small number. 0 is none, [`TORN`] is a file whose content was lost.
pub(crate) type Entry = u8;

/// A number of the journal.
pub(crate) type Number = u8;

/// A file that has its name and not its content.
pub(crate) const TORN: Entry = 15;

/// The entries 1, 2, 3, … that somebody believes in: the state of the journal, as far as the model cares. Four bits
/// each, so that a state of the model is small and quickly compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub(crate) struct History(u32);

impl History {
    pub(crate) fn len(self) -> Number {
        (32 - self.0.leading_zeros()).div_ceil(4) as Number
    }

    /// The entry of a number; 0 if it ends before.
    pub(crate) fn get(self, number: Number) -> Entry {
        (self.0 >> (4 * (number - 1)) & 15) as Entry
    }

    pub(crate) fn next(self) -> Number {
        self.len() + 1
    }

    pub(crate) fn and(self, entry: Entry) -> Self {
        Self(self.0 | u32::from(entry) << (4 * self.len()))
    }

    /// Its first entries.
    pub(crate) fn up_to(self, number: Number) -> Self {
        Self(self.0 & !(u32::MAX << (4 * number)))
    }

    pub(crate) fn starts_with(self, other: Self) -> bool {
        self.up_to(other.len()) == other
    }

    pub(crate) fn longer(self, other: Self) -> Self {
        if other.len() > self.len() { other } else { self }
    }

    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> {
        (1..=self.len()).map(move |number| self.get(number))
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}
