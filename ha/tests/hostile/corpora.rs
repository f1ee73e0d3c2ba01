//! What is kept for the fuzz targets: for each decoder a folder of small inputs in `fuzz/corpus`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::decoders::ALL;

/// The largest input that is kept, and what all of them together may have. In bytes.
const INPUT_MAX: usize = 4096;
const ALL_MAX: usize = 500_000;
/// Set to anything: the test below writes what encoders make into the corpora.
const WRITE: &str = "WRITE_FUZZ_SEEDS";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let listed = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |path: PathBuf| path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
    listed.map(|entry| name(entry.expect("an entry of a folder").path())).collect()
}

/// The inputs of one decoder, by their names.
pub(crate) fn kept(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder().join("corpus").join(name);
    let read = |file: String| (file.clone(), std::fs::read(folder.join(&file)).expect("an input"));
    names_in(&folder).into_iter().map(read).collect()
}

#[test]
fn every_decoder_has_a_fuzz_target_and_every_target_a_decoder() {
    let names: BTreeSet<String> = ALL.iter().map(|decoder| decoder.name.to_owned()).collect();
    assert_eq!(names.len(), ALL.len(), "no name twice");
    assert_eq!(names_in(&folder().join("fuzz_targets")), names);
    assert_eq!(names_in(&folder().join("corpus")), names);
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[bin]]").count(), names.len(), "each target is in the manifest");
    for name in names {
        let target = std::fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("\"{name}\"")), "the target {name} tries another decoder");
        let path = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "{name} is not in the manifest");
    }
}

#[test]
fn every_corpus_is_small_and_has_what_is_read_and_what_is_refused() {
    if std::env::var_os(WRITE).is_some() {
        write_seeds();
    }
    let mut total = 0;
    for decoder in &ALL {
        let kept = kept(decoder.name);
        let read = kept.iter().filter(|(_, bytes)| (decoder.read)(bytes).is_ok()).count();
        assert!(read > 0, "nothing in the corpus of {} is read; run this test with {WRITE}=1", decoder.name);
        assert!(read < kept.len(), "nothing in the corpus of {} is refused", decoder.name);
        for (file, bytes) in &kept {
            assert!(bytes.len() <= INPUT_MAX, "{}/{file} has {} bytes", decoder.name, bytes.len());
            total += bytes.len();
        }
        // What an encoder writes is read.
        let seeds = (decoder.corpus)();
        assert!(seeds.iter().any(|bytes| (decoder.read)(bytes).is_ok()), "no seed of {} is read", decoder.name);
    }
    assert!(total <= ALL_MAX, "{total} bytes in all corpora");
}

/// Under the names that libFuzzer would not give them, so that nothing is taken away by it.
fn write_seeds() {
    for decoder in &ALL {
        let folder = folder().join("corpus").join(decoder.name);
        std::fs::create_dir_all(&folder).expect("the folder of a corpus");
        for bytes in (decoder.corpus)().iter().filter(|bytes| bytes.len() <= INPUT_MAX) {
            // FNV-1a: the same content has the same name.
            let hash = bytes
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
            std::fs::write(folder.join(format!("seed-{hash:016x}")), bytes).expect("an input");
        }
        // Whatever it is, this is not.
        std::fs::write(folder.join("seed-none"), [0xff, 0xfe, b'{']).expect("an input");
    }
}
