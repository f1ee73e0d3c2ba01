use std::fmt;

use bytes::Bytes;

/// Makes values of numbers that somebody draws: small and simple ones, and those at the edges of what there is.
pub struct Draw<'a>(&'a mut dyn FnMut() -> u64);

impl fmt::Debug for Draw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draw")
    }
}

impl<'a> Draw<'a> {
    /// Of these numbers: each is any of 64 bits.
    pub fn new(next: &'a mut dyn FnMut() -> u64) -> Self {
        Self(next)
    }

    /// A number below that one; 0 below 0.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.0)() % end.max(1)
    }

    /// Any number, and the least and the greatest often.
    pub fn number(&mut self) -> u64 {
        match self.below(5) {
            0 => 0,
            1 => u64::MAX,
            2 => self.below(100),
            _ => (self.0)(),
        }
    }

    /// Any number of 128 bits.
    pub fn wide(&mut self) -> u128 {
        u128::from(self.number()) << 64 | u128::from(self.number())
    }

    /// One of these.
    ///
    /// # Panics
    /// There is none.
    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or_default()].clone()
    }

    /// That, or nothing.
    pub fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    /// Text of at most that many characters, of which many mean something to one format or another.
    pub fn text(&mut self, most: u64) -> String {
        const SPECIAL: [char; 24] = [
            '\0',
            '\n',
            '\r',
            '\t',
            ' ',
            '"',
            '\'',
            '\\',
            '/',
            '%',
            '&',
            '#',
            '?',
            '=',
            '+',
            ':',
            ',',
            '{',
            '[',
            '*',
            '-',
            '\u{2028}',
            '\u{feff}',
            '\u{10ffff}',
        ];
        let mut character = || match self.below(3) {
            0 => self.of(&SPECIAL),
            1 => char::from(b'a' + self.below(26) as u8),
            _ => char::from_u32(self.below(0x11_0000) as u32).unwrap_or('\u{e9}'),
        };
        let mut text = String::new();
        for _ in 0..most {
            text.push(character());
        }
        let cut = self.below(most + 1) as usize;
        text.chars().take(cut).collect()
    }

    /// A name of 1 to that many characters that can stand in a key.
    pub fn name(&mut self, most: u64) -> String {
        const FIRST: &str = "ABCXYZabcxyz0189-_";
        let first = self.of(&FIRST.chars().collect::<Vec<_>>());
        let all: Vec<char> = FIRST.chars().chain(['.']).collect();
        let more = (0..self.below(most)).map(|_| self.of(&all)).collect::<String>();
        format!("{first}{more}")
    }

    /// At most that many bytes.
    pub fn bytes(&mut self, most: u64) -> Bytes {
        (0..self.below(most + 1)).map(|_| self.below(256) as u8).collect()
    }
}
