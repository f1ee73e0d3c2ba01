//! Mutations that follow from a seed.

/// Numbers that break arithmetic.
const NUMBERS: [&str; 8] = [
    "-1",
    "0",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "1e400",
    "0.1",
    "99999999999999999999999",
];
/// Bytes that mean something to one decoder or another.
const WORDS: [&str; 10] = ["\0", "\n", "\"", "\\u0000", "{", "[[[[[[[[[[[[[[[[", "null", "%", "&a *a", "\u{FEFF}"];

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }
}

/// One to four mutations of one of these.
pub(crate) fn of(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        mutate(&mut bytes, corpus, &mut random);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(8) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.next() as u8,
        3 => bytes.truncate(at),
        4 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        5 => replace_number(bytes, NUMBERS[random.below(NUMBERS.len())]),
        6 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
        _ => {
            let end = (at + 1 + random.below(32)).min(bytes.len());
            let part = bytes[at.min(end)..end].to_vec();
            drop(bytes.splice(at..at, part));
        }
    }
}

/// The first number of all becomes this one.
fn replace_number(bytes: &mut Vec<u8>, number: &str) {
    let Some(from) = bytes.iter().position(u8::is_ascii_digit) else { return };
    let length = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    drop(bytes.splice(from..from + length, number.bytes()));
}
