//! Whatever is written is read as it was: `decode(encode(x)) == x`, and `encode(decode(b)) == b` where a format has one
//! spelling. Values are drawn; a failure names the seed. The journal's own formats have such tests beside them, too.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use ha::Configuration;
use ha::config::{ConfigOption, parse_duration, parse_memory_size};
use ha_core::backend::{Key, WriteId};
use ha_core::fuzzing::Draw;
use ha_core::record;

use super::decoders::{Sample, handle, stored, with_draw};

/// Runs the check with the draws of so many seeds.
fn with_each_seed(seeds: u64, check: impl Fn(&mut Draw<'_>)) {
    for seed in 0..seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| with_draw(seed, &check)));
        outcome.unwrap_or_else(|panic| {
            println!("seed {seed}");
            resume_unwind(panic)
        });
    }
}

#[test]
fn records_are_read_as_they_were_written() {
    with_each_seed(2000, |draw| {
        let (count, epoch, name) = (draw.number(), draw.number(), draw.text(40));
        let (body, id) =
            (Sample { name, count, state: draw.maybe(|_| handle()) }, WriteId::from_bits(draw.number(), draw.number()));
        let written = record::encode(&body, id, epoch).unwrap();
        let read = record::decode::<Sample>(&stored(&written)).unwrap();
        assert_eq!((&read.body, read.write_id, read.epoch), (&body, id, epoch));
        assert_eq!(record::encode(&read.body, read.write_id, read.epoch).unwrap(), written);
    });
}

#[test]
fn what_services_store_is_read_as_it_was_written() {
    with_each_seed(200, |draw| {
        for body in ha_core::fuzzing::drawn_bodies(draw) {
            ha_core::fuzzing::bodies(&body).expect("a record of one of the kinds");
        }
    });
}

#[test]
fn entries_and_snapshots_of_a_journal_are_read_as_they_were_written() {
    with_each_seed(200, |draw| {
        ha_core::fuzzing::journal_entry(&ha_core::fuzzing::drawn_entry(draw)).unwrap();
        ha_core::fuzzing::journal_snapshot(&ha_core::fuzzing::drawn_snapshot(draw)).unwrap();
    });
}

#[test]
fn names_are_found_again_in_the_keys_that_are_made_of_them() {
    with_each_seed(2000, ha_core::fuzzing::drawn_names);
}

#[test]
fn files_of_a_journal_are_found_again_by_their_names() {
    with_each_seed(2000, |draw| ha_filesystem::fuzzing::names_and_back(draw.number(), draw.number()));
}

#[test]
fn a_store_in_consul_answers_what_was_sent_to_it() {
    with_each_seed(1000, |draw| {
        let last = draw.of(&["latch", "epoch", "plan", "job-1"]);
        let key = Key::new(format!("{}/{}/{last}", draw.name(30), draw.name(30))).unwrap();
        ha_consul::fuzzing::path_and_back(&key);
        ha_consul::fuzzing::stored_and_back(&key, &draw.bytes(100), draw.number(), draw.number());
        ha_consul::fuzzing::term_and_back(draw.number(), &draw.name(36), draw.number());
    });
}

#[test]
fn a_greeting_is_heard_in_whatever_pieces_it_arrives() {
    let greeting = ha_core::fuzzing::GREETED;
    with_each_seed(1000, |draw| {
        let piece = draw.below(60) as usize;
        let after = draw.bytes(60);
        let said = [greeting.as_bytes(), &after].concat();
        assert!(ha_core::fuzzing::greeting(&said, piece), "in pieces of {piece}");
        let at = draw.below(greeting.len() as u64) as usize;
        let mut other = greeting.as_bytes().to_vec();
        other[at] ^= 1 << draw.below(8);
        assert!(!ha_core::fuzzing::greeting(&other, piece), "byte {at} is another");
        assert!(!ha_core::fuzzing::greeting(&said[..at], piece), "it ends after {at} bytes");
    });
}

/// Values for keys of options, as somebody may want to write them.
fn drawn_configuration(draw: &mut Draw<'_>) -> Vec<(&'static str, String)> {
    let keys: Vec<_> = ConfigOption::all().map(|option| option.key).filter(|key| !key.ends_with(".type")).collect();
    let mut given = vec![("high-availability.type", "consul".to_owned())];
    for _ in 0..draw.below(6) {
        let key = draw.of(&keys);
        if !given.iter().any(|(other, _)| *other == key) {
            given.push((key, draw.text(20)));
        }
    }
    given
}

fn assert_given(read: &Configuration, given: &[(&'static str, String)], text: &str) {
    for (key, value) in given {
        assert_eq!(read.get(key), Some(value.as_str()), "{key} in {text:?}");
    }
    assert_eq!(read.keys().count(), given.len(), "nothing else: {text:?}");
}

#[test]
fn settings_survive_a_url() {
    let escaped = |value: &str| value.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    with_each_seed(1000, |draw| {
        let given = drawn_configuration(draw);
        let query: Vec<_> = given[1..].iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let url = format!("consul://?{}", query.join("&"));
        assert_given(&Configuration::from_url(&url).unwrap(), &given, &url);
    });
}

#[test]
fn settings_survive_a_yaml_file_flat_and_nested() {
    // JSON texts are YAML texts, but for characters that YAML wants escaped.
    let quoted = |value: &str| {
        let json = serde_json::to_string(value).unwrap();
        json.chars()
            .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\U{:08x}", c as u32) })
            .collect::<String>()
    };
    with_each_seed(1000, |draw| {
        let given = drawn_configuration(draw);
        let mut text = String::new();
        for (key, value) in &given {
            let parts: Vec<_> = key.split('.').collect();
            let nested = draw.below(2) == 0;
            let parts = if nested { parts } else { vec![*key] };
            // Maps with the same key twice are no YAML, so each stands on one line, and only one of them is nested.
            let head = if nested && text.is_empty() { parts } else { vec![*key] };
            let (last, outer) = head.split_last().unwrap();
            let outer: String = outer.iter().map(|part| format!("{part}: {{")).collect();
            let ends = "}".repeat(head.len() - 1);
            text.push_str(&format!("{outer}{last}: {}{ends}\n", quoted(value)));
        }
        assert_given(&Configuration::from_yaml(&text, "drawn.yaml").unwrap(), &given, &text);
    });
}

#[test]
fn durations_and_sizes_are_what_was_written() {
    const TIMES: [(&str, u128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    with_each_seed(2000, |draw| {
        let (number, (unit, nanos)) = (draw.number() >> draw.below(64), draw.of(&TIMES));
        let gap = draw.of(&["", " ", "\t "]);
        let total = u128::from(number) * nanos;
        let expected = u64::try_from(total / 1_000_000_000)
            .ok()
            .map(|seconds| Duration::new(seconds, (total % 1_000_000_000) as u32));
        assert_eq!(parse_duration(&format!("{number}{gap}{unit}")).ok(), expected, "{number} {unit}");
        // What Consul is told is never less, and less than a millisecond more.
        let told = Duration::from_nanos(draw.number() >> draw.below(64));
        let read = parse_duration(&ha_consul::fuzzing::duration(told)).unwrap();
        assert!(read >= told && read - told < Duration::from_millis(1), "{told:?} became {read:?}");
        let (power, unit) = draw.of(&[(0, "b"), (10, "kb"), (20, "mb"), (30, "gb"), (40, "tb")]);
        let size = u64::try_from(u128::from(number) << power).ok();
        assert_eq!(parse_memory_size(&format!("{number}{gap}{unit}")).ok(), size, "{number} {unit}");
    });
}
