//! The list of what is cancelled is the list of what there is: a function without a case fails here.

use std::collections::BTreeSet;
use std::path::Path;

use super::cases;

/// What is cancelled elsewhere, or is no operation of a service, with the reason.
const ELSEWHERE: [(&str, &str); 60] = [
    ("Backend::read", CONFORMANCE),
    ("Backend::list", CONFORMANCE),
    ("Backend::changed", CONFORMANCE),
    ("Backend::commit", CONFORMANCE),
    ("Backend::open_session", CONFORMANCE),
    ("Backend::close", CONFORMANCE),
    ("Session::try_acquire", CONFORMANCE),
    ("Session::release", CONFORMANCE),
    ("Session::ended", CONFORMANCE),
    ("Session::close", CONFORMANCE),
    ("Journal::publish", DEVICE),
    ("Journal::read", DEVICE),
    ("Journal::snapshots", DEVICE),
    ("Journal::read_snapshot", DEVICE),
    ("Journal::put_snapshot", DEVICE),
    ("Journal::sweep", DEVICE),
    ("Journal::appended", DEVICE),
    ("Journal::close", DEVICE),
    ("Witness::testify", DEVICE),
    ("Witness::death", DEVICE),
    ("open", OPENING),
    ("open_url", OPENING),
    ("Opener::open", OPENING),
    ("Opener::open_with", OPENING),
    ("Opener::open_client", OPENING),
    ("Opener::connect", OPENING),
    ("Store::connect", OPENING),
    ("Consul::connect", CONNECTING),
    ("Consul::prove_access", "one request of its own, after connecting"),
    ("connect", CONNECTING),
    ("FilesystemDevice::open", CONNECTING),
    ("FilesystemDevice::open_on", CONNECTING),
    ("termination", "a signal that comes meanwhile is lost, as it says, and nothing else"),
    ("JournalBackend::open", CONNECTING),
    ("JournalBackend::sessions", OPERATOR),
    ("JournalBackend::expire", OPERATOR),
    ("JournalBackend::revoke", OPERATOR),
    ("BackendConnector::connect_backend", OPENING),
    ("FactoryRegistry::create_ha_services", OPENING),
    ("FactoryRegistry::create_client_ha_services", OPENING),
    ("HighAvailabilityServicesFactory::create_ha_services", OPENING),
    ("HighAvailabilityServicesFactory::create_client_ha_services", OPENING),
    ("Committer::commit", BELOW),
    ("Committer::bar_late_creations", BELOW),
    ("Writer::commit", BELOW),
    ("DefaultCompletedCheckpointStore::recover", BELOW),
    ("DefaultBlobStore::discards_settled", SETTLED),
    ("DefaultExecutionPlanStore::discards_settled", SETTLED),
    ("Clock::sleep_until", "it is what everything here waits by"),
    ("Seam::sleep_until", "it is what everything here waits by"),
    ("Seam::sleep", "it is what everything here waits by"),
    ("Seam::timeout", "it drops what it is given, and nothing else"),
    ("Seam::compute", "snapshots of a journal, which is below half of the cases"),
    ("LeaderContender::grant_leadership", CALLBACK),
    ("LeaderContender::revoke_leadership", CALLBACK),
    ("LeaderContender::handle_error", CALLBACK),
    ("LeaderRetrievalListener::notify_leader", CALLBACK),
    ("LeaderRetrievalListener::handle_error", CALLBACK),
    ("CheckpointDiscarder::discard", CALLBACK),
    ("CleanableResource::global_cleanup", CALLBACK),
];
const CONFORMANCE: &str = "tests/backends.rs, on every backend";
const DEVICE: &str = "called by the engine of a journal alone, whose backend is cancelled by tests/backends.rs";
const CONNECTING: &str = "tests/backends.rs: connecting, on every backend";
const OPENING: &str = "it waits for the backend's own connecting and nothing else";
const OPERATOR: &str = "a commit or a read of the journal's backend, for operators";
const BELOW: &str = "what the stores are made of: each case that writes is one of it";
const SETTLED: &str = "it only waits, for the same as CompletedCheckpointStore::discards_settled";
const CALLBACK: &str = "the application's own, called by a task of the library";

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ends| ends == "rs") {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The name behind one of the words, up to what cannot be part of it.
fn after<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(words)?;
    Some(rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or(rest))
}

/// Each public asynchronous function of a source: of public traits and of types. What is not indented stands for itself.
fn functions(source: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), None);
    for line in source.lines() {
        if let Some(name) = after(line, "pub trait ") {
            inside = Some((name, "    async fn "));
        } else if line.starts_with("impl") {
            // Methods of a trait are counted with the trait.
            let of = line.trim_start_matches("impl").trim_start_matches("<'_>").trim_start();
            let of = of.split('<').next().unwrap_or(of).split_whitespace().next().unwrap_or(of);
            inside = (!line.contains(" for ")).then_some((of, "    pub async fn "));
        } else if line == "}" {
            inside = None;
        }
        // A future without the word: what is told in one line, and that is how they are written.
        let words = line.trim_start().strip_prefix("pub fn ");
        let answers_one = |rest: &&str| rest.split_once("->").is_some_and(|(_, answer)| answer.contains("Future"));
        if let Some(name) = words.filter(answers_one).and_then(|rest| after(rest, "")) {
            found.push(name.to_owned());
        }
        if let Some(name) = after(line, "pub async fn ") {
            found.push(name.to_owned());
        }
        if let Some((of, words)) = inside
            && let Some(name) = after(line, words)
        {
            found.push(format!("{of}::{name}"));
        }
    }
    found
}

#[test]
fn every_public_function_that_can_be_cancelled_is() {
    let mut all = Vec::new();
    for name in ["ha-core", "ha-consul", "ha-filesystem", "ha-embedded", "ha"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"), &mut all);
    }
    let there: BTreeSet<String> = all.iter().flat_map(|source| functions(source)).collect();
    assert!(there.len() > 80, "the sources are not read as they are written any more: {there:?}");
    let cases = [cases::elections(), cases::stores(), cases::endings()].concat_names();
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| (*name).to_owned());
    let known: BTreeSet<String> = cases.into_iter().chain(elsewhere).collect();
    let missing: Vec<_> = there.difference(&known).collect();
    let stale: Vec<_> = known.difference(&there).collect();
    assert!(missing.is_empty(), "without a case (tests/cancel/cases.rs) or a reason to have none: {missing:#?}");
    assert!(stale.is_empty(), "gone, or renamed: {stale:#?}");
    // What is said to be cancelled on every backend is.
    let backends = include_str!("../backends.rs");
    for name in ELSEWHERE.iter().filter(|(_, why)| *why == CONFORMANCE).map(|(name, _)| name) {
        let called = name.replacen("Backend::", "self.backend.", 1).replacen("Session::", "self.session.", 1);
        assert!(backends.contains(&format!("{called}(")), "{name} is not called by tests/backends.rs");
    }
}

trait Names {
    fn concat_names(self) -> Vec<String>;
}

impl Names for [Vec<cases::Case>; 3] {
    fn concat_names(self) -> Vec<String> {
        self.into_iter().flatten().map(|case| case.name.to_owned()).collect()
    }
}

#[test]
fn functions_are_found_where_they_stand() {
    let source = "pub trait A: Send {\n    async fn one(&self);\n    fn two(&self);\n}\nimpl A for B {\n    async fn one(&self) {}\n}\nimpl B {\n    pub async fn three() {}\n    pub(crate) async fn four() {}\n}\npub async fn five() {}\npub fn six() -> impl Future<Output = ()> {}\npub fn seven(of: impl Future) -> u8 {}\n";
    assert_eq!(functions(source), ["A::one", "B::three", "five", "six"]);
}
