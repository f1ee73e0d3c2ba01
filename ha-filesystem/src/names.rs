//! The names of files. What is named otherwise is not ours: it is never read and never deleted.

use ha_core::journal::SnapshotName;

/// As many digits as the largest number has, so that names sort as numbers do.
const DIGITS: usize = 20;

pub(crate) fn entry(number: u64) -> String {
    format!("{number:020}")
}

pub(crate) fn parse_entry(name: &str) -> Option<u64> {
    // `parse` would take a sign.
    let ours = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    if ours { name.parse().ok() } else { None }
}

pub(crate) fn snapshot(name: SnapshotName) -> String {
    format!("{:020}-{:020}", name.number, name.floor)
}

pub(crate) fn parse_snapshot(name: &str) -> Option<SnapshotName> {
    let (number, floor) = name.split_once('-')?;
    let name = SnapshotName { number: parse_entry(number)?, floor: parse_entry(floor)? };
    // A floor at or above its own number would let a journal be swept that nothing leads to.
    (name.floor < name.number).then_some(name)
}

/// A name for a staged file, of 128 random bits.
pub(crate) fn staged(high: u64, low: u64) -> String {
    format!("{high:016x}{low:016x}")
}

pub(crate) fn is_staged(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a session's name can be that of a file.
pub(crate) fn is_holder(session: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=128).contains(&session.len()) && !session.starts_with('.') && session.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_numbers_and_survive_the_round_trip() {
        let numbers = [1, 9, 10, 99, 100, u64::from(u32::MAX), u64::MAX];
        let names: Vec<String> = numbers.iter().map(|number| entry(*number)).collect();
        assert!(names.is_sorted());
        assert!(names.iter().zip(numbers).all(|(name, number)| parse_entry(name) == Some(number)));
        let name = SnapshotName { number: u64::MAX, floor: 17 };
        assert_eq!(parse_snapshot(&snapshot(name)), Some(name));
        assert!(is_staged(&staged(u64::MAX, 0)) && is_staged(&staged(0, 1)));
    }

    #[test]
    fn every_other_name_is_foreign() {
        let long = "0".repeat(21);
        let digits = "99999999999999999999";
        for name in ["", "1", "+0000000000000000001", "0000000000000000000a", "٠٠٠٠٠٠٠٠٠٠", &long, digits, "lost+found"]
        {
            assert_eq!(parse_entry(name), None, "{name}");
        }
        let one = entry(1);
        for name in [one.clone(), format!("{one}-"), format!("{one}-{one}"), format!("{one}-{}", entry(2))] {
            assert_eq!(parse_snapshot(&name), None, "{name}");
        }
        for name in ["", "0123456789abcdef0123456789ABCDEF", "0123456789abcdef0123456789abcde", ".nfs0001"] {
            assert!(!is_staged(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a\0b", "é", &"x".repeat(129)] {
            assert!(!is_holder(name), "{name}");
        }
        assert!(is_holder("0b54e54f-b351-4a0b-a7a1-6cc7a5e4f1f1"));
    }
}
