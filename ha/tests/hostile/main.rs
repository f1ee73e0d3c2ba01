//! Bytes from outside never panic, and what comes of them is in proportion to them. The same entry points are fuzzed in
//! `fuzz/`; here, each gets some thousand mutations of what it can read.

mod decoders;
mod mutations;

use decoders::{ALL, Sample, stored};
use ha_core::backend::WriteId;
use ha_core::record;

/// Mutations for each decoder.
const MUTATIONS: u64 = 6000;
/// The longest text of an error.
const ERROR_MAX: usize = 4096;

fn withstands(name: &str) {
    let decoder = ALL.iter().find(|decoder| decoder.name == name).expect("a decoder");
    let corpus = (decoder.corpus)();
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

withstand!(record state_handle journal_entry journal_snapshot presence identity consul_answer yaml url duration memory_size);

#[test]
fn every_decoder_has_a_corpus_a_test_and_a_fuzz_target() {
    let names: Vec<_> = ALL.iter().map(|decoder| decoder.name).collect();
    assert_eq!(names, TRIED);
    let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for decoder in &ALL {
        let (name, corpus) = (decoder.name, (decoder.corpus)());
        assert!(corpus.iter().any(|bytes| bytes.len() > 1), "{name} has no corpus");
        let readable = corpus.iter().any(|bytes| (decoder.read)(bytes).is_ok());
        assert!(readable || name == "state_handle", "nothing in the corpus of {name} can be read");
        let target = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("\"{name}\"")), "the target {name} tries another decoder");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in the manifest");
    }
}

#[test]
fn records_are_read_as_they_were_written() {
    for seed in 0..2000 {
        let mut random = mutations::Random::new(seed);
        let (count, epoch) = (random.next(), random.next());
        let name = (0..random.next() % 40).filter_map(|_| char::from_u32(random.next() as u32 % 0x11_0000)).collect();
        let state = random.next().is_multiple_of(2).then(decoders::handle);
        let (body, id) = (Sample { name, count, state }, WriteId::from_bits(random.next(), random.next()));
        let read = record::decode::<Sample>(&stored(&record::encode(&body, id, epoch).unwrap())).unwrap();
        assert_eq!((read.body, read.write_id, read.epoch), (body, id, epoch), "seed {seed}");
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
