//! The list of decoders is the list of what reads: a source that begins to read something, and stands in no line here, fails.

use std::collections::BTreeSet;
use std::path::Path;

use super::decoders::ALL;

/// Where the sources are that read bytes from outside.
const CRATES: [&str; 5] = ["ha-core", "ha-consul", "ha-filesystem", "ha-embedded", "ha"];
/// How reading looks.
const READS: [&str; 9] = [
    "serde_json::from_",
    "from_utf8",
    ".parse()",
    ".parse::<",
    "_radix(",
    "from_le_bytes",
    "from_be_bytes",
    "STANDARD.decode",
    "Parser::new",
];

/// Each source that reads, and the decoders that reach it.
const TRIED: [(&str, &[&str]); 22] = [
    ("ha-core/src/journal/frame.rs", &["journal_entry", "journal_snapshot"]),
    ("ha-core/src/blob/key.rs", &["stored_name"]),
    ("ha-core/src/blob/pointer.rs", &["bodies", "stored_name"]),
    ("ha-core/src/blob/default_store.rs", &["stored_name"]),
    ("ha-core/src/backend/commit.rs", &["record"]),
    ("ha-core/src/record.rs", &["record", "bodies"]),
    ("ha-core/src/state/origin.rs", &["stored_name"]),
    ("ha-core/src/state/options.rs", &["url", "yaml"]),
    ("ha-core/src/checkpoint/pointer.rs", &["bodies"]),
    ("ha-core/src/evidence/mod.rs", &["identity"]),
    ("ha-consul/src/address.rs", &["consul_layout"]),
    ("ha-consul/src/http/answer.rs", &["consul_answer"]),
    ("ha-consul/src/layout.rs", &["consul_layout", "consul_answer"]),
    ("ha-consul/src/wire.rs", &["consul_answer"]),
    ("ha-consul/src/settings/named.rs", &["url", "yaml"]),
    ("ha-filesystem/src/identity.rs", &["journal_files"]),
    ("ha-filesystem/src/names.rs", &["journal_files"]),
    ("ha-filesystem/src/settings.rs", &["url", "yaml"]),
    ("ha/src/config/value.rs", &["duration", "memory_size"]),
    ("ha/src/config/url.rs", &["url"]),
    ("ha/src/config/settings.rs", &["url", "yaml", "environment"]),
    ("ha/src/config/yaml.rs", &["yaml"]),
];

/// What is tried elsewhere, or has nothing that could go wrong, with the reason.
const ELSEWHERE: [(&str, &str); 11] = [
    ("ha-core/src/election/elector/asked.rs", "one number, or nothing"),
    ("ha-core/src/state/failure.rs", "the three digits of a status, or nothing"),
    ("ha-core/src/state/cloud/answers.rs", "ha-testkit/tests/state_answers: what object stores may answer"),
    ("ha-consul/src/http/agent.rs", "one number of a header, or nothing"),
    ("ha-consul/src/http/access.rs", "the errors of a transaction, as consul_answer reads them"),
    ("ha-consul/src/http/limits.rs", "one number of an agent's refusal, or nothing"),
    ("ha-consul/src/http/token.rs", "the operator's own file, of which all is taken or refused"),
    ("ha-consul/src/settings/mod.rs", "an address of the settings, which consul_layout reads"),
    ("ha-filesystem/src/witness.rs", "three plain fields of a record that the journal has checked, or nothing"),
    ("ha-embedded/src/hooks.rs", "the number of a session, which a test names"),
    ("ha-embedded/src/standalone/factory.rs", "one number of the settings"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The sources below that folder that read something, tests left out.
fn reading(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "tests" | "fuzzing") {
                reading(&path, found);
            }
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "fuzzing.rs" {
            let source = std::fs::read_to_string(&path).expect("a source");
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            if lines.any(|line| READS.iter().any(|reads| line.contains(reads))) {
                let path = path.strip_prefix(root()).expect("a path below the root");
                found.insert(path.to_str().expect("a name in letters").replace('\\', "/"));
            }
        }
    }
}

#[test]
fn whatever_reads_bytes_is_tried_or_has_a_reason_not_to_be() {
    let mut there = BTreeSet::new();
    for name in CRATES {
        reading(&root().join(name).join("src"), &mut there);
    }
    assert!(there.len() > 25, "the sources are not read as they are written any more: {there:?}");
    let tried = TRIED.iter().map(|(path, _)| *path);
    let known = tried.chain(ELSEWHERE.iter().map(|(path, _)| *path));
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    let missing: Vec<_> = there.difference(&known).collect();
    let stale: Vec<_> = known.difference(&there).collect();
    assert!(missing.is_empty(), "without a decoder (decoders.rs) or a reason to have none: {missing:#?}");
    assert!(stale.is_empty(), "gone, or they read no more: {stale:#?}");
    let decoders: BTreeSet<&str> = ALL.iter().map(|decoder| decoder.name).collect();
    for (path, by) in TRIED {
        assert!(!by.is_empty() && by.iter().all(|name| decoders.contains(name)), "{path}: {by:?}");
    }
}
