use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes as hexadecimal text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hex(String);

impl Hex {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
        Self(text)
    }

    /// The bytes; `None` if it is no such text.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        let mut bytes = Vec::with_capacity(self.0.len() / 2);
        for pair in self.0.as_bytes().chunks(2) {
            let &[high, low] = pair else { return None };
            bytes.push((digit(high)? << 4) | digit(low)?);
        }
        Some(Bytes::from(bytes))
    }
}

fn digit(text: u8) -> Option<u8> {
    match text {
        b'0'..=b'9' => Some(text - b'0'),
        b'a'..=b'f' => Some(text - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_back_and_nothing_else_is_taken_for_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Hex::new(&all).bytes().unwrap(), all);
        assert_eq!(Hex::new(&[]).bytes().unwrap(), Vec::new());
        for text in ["0", "000", "0g", "+1", "0X", "é", "AB"] {
            assert_eq!(Hex(text.into()).bytes(), None, "{text}");
        }
    }
}
