//! Everything in the library that reads bytes from outside, in one list: what `main.rs` tries within bounds, and what
//! the targets in `fuzz/` try for as long as one likes.

use bytes::Bytes;
use ha::Configuration;
use ha_core::backend::{Entry, Key, Revision, WriteId};
use ha_core::fuzzing::Draw;
use ha_core::record::{self, Body};
use ha_core::state::StateHandle;
use serde::{Deserialize, Serialize};

use super::mutations::Random;

/// One decoder.
pub(crate) struct Decoder {
    /// Also that of its target in `fuzz/`.
    pub(crate) name: &'static str,
    /// Reads the bytes; an error says what is wrong with them.
    pub(crate) read: fn(&[u8]) -> Result<(), String>,
    /// What it can read, to begin with.
    pub(crate) corpus: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const ALL: [Decoder; 18] = [
    Decoder { name: "record", read: read_record, corpus: records },
    Decoder { name: "bodies", read: |bytes| told(ha_core::fuzzing::bodies(bytes)), corpus: bodies },
    Decoder { name: "key", read: |bytes| told(ha_core::fuzzing::key(bytes)), corpus: keys },
    Decoder { name: "stored_name", read: |bytes| told(ha_core::fuzzing::stored_name(bytes)), corpus: stored_names },
    Decoder { name: "state_handle", read: read_handle, corpus: handles },
    Decoder { name: "journal_entry", read: |bytes| told(ha_core::fuzzing::journal_entry(bytes)), corpus: entries },
    Decoder {
        name: "journal_snapshot",
        read: |bytes| told(ha_core::fuzzing::journal_snapshot(bytes)),
        corpus: snapshots,
    },
    Decoder { name: "journal_files", read: |bytes| told(ha_filesystem::fuzzing::file(bytes)), corpus: files },
    Decoder { name: "presence", read: |bytes| told(ha_core::fuzzing::presence(bytes)), corpus: holders },
    Decoder { name: "identity", read: read_identity, corpus: identities },
    Decoder { name: "greeting", read: read_greeting, corpus: greetings },
    Decoder { name: "consul_answer", read: read_answer, corpus: answers },
    Decoder { name: "consul_layout", read: ha_consul::fuzzing::layout, corpus: places },
    Decoder { name: "yaml", read: read_yaml, corpus: yaml },
    Decoder { name: "url", read: read_url, corpus: urls },
    Decoder { name: "environment", read: read_environment, corpus: variables },
    Decoder { name: "duration", read: read_duration, corpus: durations },
    Decoder { name: "memory_size", read: read_size, corpus: sizes },
];

/// A body as services have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) count: u64,
    pub(crate) state: Option<StateHandle>,
}

impl Body for Sample {
    const KIND: &'static str = "sample";
}

/// With all that is below it, as it is logged.
fn whole(error: ha_core::Error) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(&error);
    while let Some(error) = below {
        text.push_str(&format!(": {error}"));
        below = error.source();
    }
    text
}

fn told<T>(read: Result<T, ha_core::Error>) -> Result<(), String> {
    read.map(drop).map_err(whole)
}

/// As it would stand in a store.
pub(crate) fn stored(value: &[u8]) -> Entry {
    let key = Key::new("jobs/1/record").expect("a key");
    Entry { key, value: Bytes::copy_from_slice(value), revision: Revision::from_native(1), held: None }
}

fn read_record(bytes: &[u8]) -> Result<(), String> {
    let entry = stored(bytes);
    // What finds out about unknown outcomes reads records of every kind.
    let id = record::write_id_of(&entry);
    let read = record::decode::<Sample>(&entry).map_err(whole)?;
    assert_eq!(id, Some(read.write_id));
    let again = record::encode(&read.body, read.write_id, read.epoch).expect("what was read was written once");
    let second = record::decode::<Sample>(&stored(&again)).expect("what was just written");
    assert_eq!((second.body, second.write_id, second.epoch), (read.body, read.write_id, read.epoch));
    Ok(())
}

fn read_handle(bytes: &[u8]) -> Result<(), String> {
    let handle: StateHandle = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let refused = handle.verify(b"another state").map_err(|error| error.to_string());
    assert!(refused.is_err_and(|why| why.len() < 4096), "the state that it leads to is not this one");
    let again = serde_json::to_vec(&handle).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<StateHandle>(&again).ok(), Some(handle));
    Ok(())
}

fn read_identity(bytes: &[u8]) -> Result<(), String> {
    ha_core::fuzzing::identity(bytes).then_some(()).ok_or_else(|| "no identity".to_owned())
}

fn read_answer(bytes: &[u8]) -> Result<(), String> {
    let read = ha_consul::fuzzing::answer(bytes)?;
    assert!(read <= 2 * bytes.len(), "{read} bytes came of {}", bytes.len());
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

fn read_yaml(bytes: &[u8]) -> Result<(), String> {
    let read = Configuration::from_yaml(text(bytes)?, "hostile.yaml").map_err(|error| error.to_string())?;
    told(read.settings())
}

fn read_url(bytes: &[u8]) -> Result<(), String> {
    let read = Configuration::from_url(text(bytes)?).map_err(|error| error.to_string())?;
    told(read.settings())
}

/// A variable in each line.
fn read_environment(bytes: &[u8]) -> Result<(), String> {
    // One of them names a file, and any could be named.
    let variables =
        text(bytes)?.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name != "HA_CONFIG");
    let read = Configuration::from_variables(variables).map_err(|error| error.to_string())?;
    told(read.settings())
}

fn read_greeting(bytes: &[u8]) -> Result<(), String> {
    let piece = bytes.last().map_or(1, |last| usize::from(*last % 64));
    let greeted = ha_core::fuzzing::greeting(bytes, piece);
    assert_eq!(greeted, bytes.starts_with(ha_core::fuzzing::GREETED.as_bytes()), "in pieces of {piece}");
    greeted.then_some(()).ok_or_else(|| "another greeting".to_owned())
}

fn read_duration(bytes: &[u8]) -> Result<(), String> {
    told(ha::config::parse_duration(text(bytes)?))
}

fn read_size(bytes: &[u8]) -> Result<(), String> {
    told(ha::config::parse_memory_size(text(bytes)?))
}

fn of(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn handle() -> StateHandle {
    serde_json::from_slice(&handles()[0]).expect("a handle")
}

fn records() -> Vec<Vec<u8>> {
    let samples = [
        Sample { name: String::new(), count: 0, state: None },
        Sample { name: "\"\\\u{0}\u{1F600}".into(), count: u64::MAX, state: Some(handle()) },
    ];
    let encode =
        |sample: &Sample| record::encode(sample, WriteId::from_bits(1, u64::MAX), 7).expect("a record").to_vec();
    samples.iter().map(encode).collect()
}

/// Draws that follow from a seed.
pub(crate) fn with_draw<T>(seed: u64, make: impl FnOnce(&mut Draw<'_>) -> T) -> T {
    let mut random = Random::new(seed);
    make(&mut Draw::new(&mut || random.next()))
}

fn bodies() -> Vec<Vec<u8>> {
    (0..3).flat_map(|seed| with_draw(seed, ha_core::fuzzing::drawn_bodies)).map(|body| body.to_vec()).collect()
}

fn keys() -> Vec<Vec<u8>> {
    let long = vec!["0123456789abcdef"; 40].join("/");
    of(&["leader/latch", "latches/a.b/latch", "jobs/1/checkpoints/0000000000000000007", "a", "a//b", "../a", "", &long])
}

fn stored_names() -> Vec<Vec<u8>> {
    let (random, place) = ("0123456789abcdef".repeat(2), ha_core::fuzzing::PLACE);
    let states = ["7", "a.b.7", "keep-7", "07", "18446744073709551615"].map(|tag| format!("{tag}-{place}-{random}"));
    let blob = format!("{}-5", "ab".repeat(32));
    states.into_iter().chain([random, blob, String::new()]).map(String::into_bytes).collect()
}

fn files() -> Vec<Vec<u8>> {
    of(&[
        r#"{"format":1,"id":"000000000000000000000000000000ff"}"#,
        "00000000000000000007",
        "00000000000000000007-00000000000000000003",
        "000000000000000000000000000000ff",
        "session-1",
        "lost+found",
    ])
}

fn greetings() -> Vec<Vec<u8>> {
    of(&[ha_core::fuzzing::GREETED, "HA-PRESENCE 2 ", "HTTP/1.1 400 Bad Request\r\n", ""])
}

fn places() -> Vec<Vec<u8>> {
    of(&[
        "flink/a/leader/latch/.lock",
        "flink/a/leader/epoch",
        "9/8ec0b1f2-0000-1111-2222-333344445555/7",
        "http://[::1]:8500",
        "10.0.0.1",
        "unix:///run/c.sock",
        "a b:1",
    ])
}

fn variables() -> Vec<Vec<u8>> {
    of(&[
        "HA_TYPE=embedded\nHA_CLUSTER_ID=prod\nHA_STORAGE_DIR=memory:///\n",
        "HA_URL=consul://127.0.0.1:8500/root?storageDir=memory:///\nHA_SESSION_SILENCE=10 s\n",
        "HA_SERVICE_HOST=10.0.0.1\nHA_PORT=tcp://10.0.0.1:80\n",
        "HA_CLUSTER_IDD=prod\n",
        "PATH=/bin\n",
    ])
}

fn handles() -> Vec<Vec<u8>> {
    of(&[
        concat!(
            r#"{"uri":"file:///state/a/b","length":13,"#,
            r#""sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#
        ),
        r#"{"uri":"","length":18446744073709551615,"sha256":"","unknown":[]}"#,
    ])
}

fn entries() -> Vec<Vec<u8>> {
    let drawn = (0..4).map(|seed| with_draw(seed, ha_core::fuzzing::drawn_entry));
    ha_core::fuzzing::journal_entries().expect("entries").into_iter().chain(drawn).map(|entry| entry.to_vec()).collect()
}

fn snapshots() -> Vec<Vec<u8>> {
    let drawn = (0..4).map(|seed| with_draw(seed, ha_core::fuzzing::drawn_snapshot));
    let begun = ha_core::fuzzing::journal_snapshots().expect("snapshots");
    begun.into_iter().chain(drawn).map(|snapshot| snapshot.to_vec()).collect()
}

fn holders() -> Vec<Vec<u8>> {
    ha_core::fuzzing::holders().expect("records").iter().map(|record| record.to_vec()).collect()
}

fn identities() -> Vec<Vec<u8>> {
    of(&[
        "000000000000000700000000000000ff",
        r#"{"address":"127.0.0.1:80","identity":"000000000000000700000000000000ff"}"#,
        r#"{"address":"[::1]:65535","identity":"000000000000000700000000000000ff"}"#,
    ])
}

fn answers() -> Vec<Vec<u8>> {
    of(&[
        r#"{"Results":[{"KV":{"LockIndex":1,"Key":"a/latch","Flags":5,"Value":"eA==","CreateIndex":1,"ModifyIndex":9,"Session":"6f-1"}}],"Errors":null}"#,
        r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"failed index check for key \"a\", current modify index 9 != 8"}]}"#,
        r#"[{"LockIndex":0,"Key":"a/b","Flags":1,"Value":null,"CreateIndex":1,"ModifyIndex":18446744073709551615}]"#,
        r#"{"ID":"adf4238a-882b-9ddc-4a9d-5b6758e4159e"}"#,
        "[]",
    ])
}

fn yaml() -> Vec<Vec<u8>> {
    of(&[
        "high-availability.type: embedded\nhigh-availability.cluster-id: prod\n",
        "high-availability:\n  type: embedded\n  storageDir: \"memory:///\"\n",
        "a: &x {b: 1}\nc: *x\n",
        "# only a remark\n",
        "high-availability: {type: 'NONE'}\n",
    ])
}

fn urls() -> Vec<Vec<u8>> {
    of(&[
        "embedded:///?cluster-id=prod",
        "consul://127.0.0.1:8500/root?cluster-id=prod&storageDir=memory:///",
        "consul://[::1]:8500/a%2Fb?cluster-id=%F0%9F%98%80",
        "file:///var/ha?cluster-id=prod",
        "none:",
    ])
}

fn durations() -> Vec<Vec<u8>> {
    of(&["30s", "1 min", "500 ms", "10000", "2 d", "7 h", "9 us", "1 ns", "18446744073709551615 d", "", " 1  s "])
}

fn sizes() -> Vec<Vec<u8>> {
    of(&["1 mb", "64 kb", "1024", "2 g", "1 tb", "9 bytes", "18446744073709551615 tb", "", "0"])
}
