//! Bytes from outside never panic, and what comes of them is in proportion to them. The same entry points are fuzzed in
//! `fuzz/`; here, each gets some thousand mutations of what it can read.

mod corpora;
mod decoders;
mod mutations;
mod round_trips;
mod sources;

use decoders::{ALL, Sample, stored};
use ha_core::backend::WriteId;
use ha_core::record;

/// Mutations for each decoder.
const MUTATIONS: u64 = 4000;
/// The longest text of an error.
const ERROR_MAX: usize = 4096;

fn withstands(name: &str) {
    let decoder = ALL.iter().find(|decoder| decoder.name == name).expect("a decoder");
    let mut corpus = (decoder.corpus)();
    corpus.extend(corpora::kept(name).into_iter().map(|(_, bytes)| bytes));
    let readable = corpus.iter().filter(|bytes| (decoder.read)(bytes).is_ok()).count();
    let (mut read, mut refused) = (0, 0);
    for seed in 0..MUTATIONS {
        let bytes = mutations::of(&corpus, seed);
        match (decoder.read)(&bytes) {
            Ok(()) => read += 1,
            Err(why) => {
                refused += 1;
                assert!(!why.is_empty() && why.len() <= ERROR_MAX, "{name}, seed {seed}: {} bytes of error", why.len());
            }
        }
    }
    println!(
        "{name}: {readable} of {} in the corpus are read; of {MUTATIONS} mutations {read}, {refused} refused",
        corpus.len()
    );
    assert!(refused > 0, "{name}: nothing was refused");
    assert!(peak_mib() < 512, "{name}: {} MiB for inputs of some hundred bytes", peak_mib());
}

/// The most memory that this process ever had, where the system tells.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

macro_rules! withstand {
    ($($name:ident)*) => {
        /// What is tried here, in the order of the list.
        const TRIED: &[&str] = &[$(stringify!($name)),*];
        mod mutated {
            $(#[test]
            fn $name() {
                super::withstands(stringify!($name));
            })*
        }
    };
}

withstand!(record bodies key stored_name state_handle journal_entry journal_snapshot journal_files presence identity greeting
    consul_answer consul_layout yaml url environment duration memory_size);

#[test]
fn every_decoder_is_tried_here() {
    let names: Vec<_> = ALL.iter().map(|decoder| decoder.name).collect();
    assert_eq!(names, TRIED);
}

#[test]
fn an_error_about_a_long_text_is_short_with_all_that_is_below_it() {
    // Fails if an error quotes what was found, whole. Each text stands where another thing is wanted.
    let long = "x".repeat(20_000);
    for decoder in &ALL {
        for bytes in (decoder.corpus)() {
            let text = String::from_utf8_lossy(&bytes);
            let first = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
            for hostile in [
                text.replacen("\"format\":1", &format!("\"format\":\"{long}\""), 1),
                text.replacen("\":", &format!("{long}\":"), 1),
                text.replacen("\"body\":{", &format!("\"body\":{{\"{long}\":1,"), 1),
                format!("{}\"{long}\"{}", &text[..first], &text[first..]),
                format!("{text}{long}"),
            ] {
                let Err(why) = (decoder.read)(hostile.as_bytes()) else { continue };
                // A handle is read by itself here alone: elsewhere it stands in a record. A file's one line may be quoted.
                let is_bare = decoder.name == "state_handle";
                assert!(is_bare || why.len() <= 2 * ERROR_MAX, "{}: {} bytes of error", decoder.name, why.len());
            }
        }
    }
}

#[test]
fn unknown_fields_of_a_record_are_passed_over() {
    let written =
        record::encode(&Sample { name: "n".into(), count: 1, state: None }, WriteId::from_bits(1, 2), 3).unwrap();
    let text = String::from_utf8(written.to_vec()).unwrap();
    let grown = text.replacen("\"count\":1", "\"count\":1,\"later\":{\"more\":[]}", 1);
    assert_ne!(grown, text);
    assert_eq!(record::decode::<Sample>(&stored(grown.as_bytes())).unwrap().body.count, 1);
}
