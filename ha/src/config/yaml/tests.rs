use super::*;

const SEED: &str = "\
# Use the Consul HA factory (required)
high-availability.type: consul

# Standard HA options (same as ZooKeeper HA)
high-availability.storageDir: hdfs:///flink/ha
high-availability.cluster-id: /default

# Consul-specific options
high-availability.consul.host: localhost
high-availability.consul.port: 8500
high-availability.consul.path.root: flink
high-availability.consul.path.leader: leader
high-availability.consul.path.execution-plans: execution-plans
high-availability.consul.path.jobs: jobs

# Optional: session and blocking query timeouts
high-availability.consul.session-ttl: 30s
high-availability.consul.blocking-query-wait: 30s
";

fn read(text: &str) -> Result<Configuration, Error> {
    Configuration::from_yaml(text, "config.yaml")
}

#[test]
fn the_example_that_the_project_grew_from_is_read_as_it_stands() {
    let settings = read(SEED).unwrap().settings().unwrap();
    assert_eq!(settings.mode.type_name(), "consul");
    assert_eq!((settings.options.root.as_str(), settings.options.cluster_id.as_str()), ("flink", "/default"));
    assert_eq!(settings.storage.unwrap().url, "hdfs:///flink/ha");
    let given: Vec<(&str, &str)> =
        settings.backend.names().map(|name| (name, settings.backend.get(name).unwrap())).collect();
    let expected =
        [("blocking-query-wait", "30000"), ("host", "localhost"), ("port", "8500"), ("session-ttl", "30000")];
    assert_eq!(given, expected);
}

#[test]
fn flat_and_nested_say_the_same() {
    let flat = "high-availability.type: consul\nhigh-availability.consul.host: a\nhigh-availability.consul.tls.verify: false\n";
    let nested = "high-availability:\n  type: consul\n  consul:\n    host: a\n    tls: {verify: false}\n";
    let mixed =
        "high-availability:\n  type: consul\n  consul.host: a\nhigh-availability.consul:\n  tls.verify: false\n";
    let settings = |text| read(text).unwrap().settings().unwrap();
    assert_eq!(settings(flat), settings(nested));
    assert_eq!(settings(flat), settings(mixed));
}

#[test]
fn every_error_names_the_line_of_its_key() {
    for (text, line, word) in [
        ("a: b\nhigh-availability.clusterid: x\n", 2, "did you mean `high-availability.cluster-id`?"),
        ("high-availability:\n\n  consul:\n    sesion-ttl: 1s\n", 4, "`high-availability.consul.session-ttl`"),
        ("high-availability.type: consul\nhigh-availability: zookeeper\n", 2, "config.yaml:1"),
        ("high-availability.cluster-id: a\nhigh-availability:\n  cluster-id: b\n", 3, "config.yaml:1"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("- a\n- b\n", 1, "key: value"),
        ("just text\n", 1, "key: value"),
        ("? {a: b}\n: c\n", 1, "a key is a text"),
        ("a: &x {b: c}\nhigh-availability: *x\n", 2, "write it out"),
        ("a: b\nc: [d\n", 3, "no YAML"),
    ] {
        let error = read(text).and_then(|read| read.settings()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(&format!("config.yaml:{line}")), "{text:?}: {error}");
        assert!(error.to_string().contains(word), "{text:?}: {error}");
    }
}

#[test]
fn keys_of_a_whole_flink_are_passed_over() {
    let text = "\
jobmanager.rpc.address: host-1
taskmanager: {numberOfTaskSlots: 4, memory.process.size: 1728m}
parallelism.default: 1
env.java.opts.all: --add-exports=java.base/sun.net.util=ALL-UNNAMED
pipeline.jars: [a;b, c]
state.backend.type: hashmap
state.checkpoints.dir: s3://bucket/x
execution.checkpointing.interval: 3min
high-availability.zookeeper.quorum: localhost:2181
blob.fetch.retries: 5
rest:
  address: localhost
  list:
    - {a: [1, {b: c}]}
base: &base {x: y}
more: {<<: *base}
parallelism.default: 2
";
    let settings = read(text).unwrap().settings().unwrap();
    assert_eq!(settings, Configuration::new().settings().unwrap());
}

#[test]
fn options_of_the_storage_are_read_and_a_slip_in_one_is_told() {
    let text = "high-availability.type: none\ns3.endpoint: http://127.0.0.1:9000\ns3.secret.key: hidden\ns3.access-key: a\n\
                s3:\n  entropy.key: _x_\n  path.style.access: true\n";
    let settings = read(text).unwrap().settings().unwrap();
    let storage = settings.storage.unwrap();
    assert_eq!(storage.options.get("s3.secret-key"), Some("hidden"), "by another name");
    assert_eq!(storage.options.names().count(), 4);
    assert!(!format!("{storage:?}").contains("hidden"));
    for (text, word) in [
        ("s3.endpont: x\n", "`s3.endpoint`"),
        ("s3.path.style.access: maybe\n", "config.yaml:1"),
        ("high-availability.storage.part-size: 1 mb\n", "5 mb"),
        ("s3.secret-key: hidden\ns3.secret.key: secret\n", "another value"),
    ] {
        let error = read(text).and_then(|read| read.settings()).unwrap_err();
        assert!(error.to_string().contains(word) && !error.to_string().contains("hidden"), "{error}");
    }
}

#[test]
fn a_key_without_a_value_is_absent_and_a_list_is_its_items() {
    let text = "\
high-availability.type: ~
high-availability.cluster-id:
high-availability.path.root: null
high-availability.session.label: \"\"
name: &a some-label
high-availability.handicap: &h 3 s
high-availability.consul.address: [a, b]
";
    let configuration = read(text).unwrap();
    assert_eq!(configuration.get("high-availability.type"), None);
    assert_eq!(configuration.get("high-availability.session.label"), Some(""));
    assert_eq!(configuration.get("high-availability.consul.address"), Some("a,b"));
    let settings = configuration.settings().unwrap();
    assert_eq!(settings.options.handicap.as_secs(), 3);
    let repeated = read("a: &x /prod\nhigh-availability.cluster-id: *x\n").unwrap();
    assert_eq!(repeated.get("high-availability.cluster-id"), Some("/prod"));
    for empty in ["", "# nothing\n", "---\n", "\u{feff}", "{}"] {
        assert_eq!(read(empty).unwrap(), Configuration::new(), "{empty:?}");
    }
}

#[test]
fn what_would_grow_without_end_is_refused() {
    let deep = "{a: ".repeat(1_000);
    assert!(read(&deep).is_err(), "by the parser, which has a bound of its own for these");
    let deep: String = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(read(&deep).unwrap_err().to_string().contains("deeper"));
    assert!(read(&"[".repeat(100_000)).is_err());
    let laughs = format!("a: &x {}\nb: [{}]\n", "x".repeat(10_000), "*x, ".repeat(1_000));
    assert!(read(&laughs).unwrap_err().to_string().contains("longer than"));
    let large = "a: b\n".repeat(300_000);
    assert!(read(&large).unwrap_err().to_string().contains("larger than"));
}

#[test]
fn long_keys_of_many_values_count_each_time() {
    // Each value's full key is a third of the file.
    let values: String = (0..50_000).map(|number| format!("{number}: 1, ")).collect();
    let bomb = format!("? {}\n: {{{values}}}\n", "x".repeat(300_000));
    assert!(read(&bomb).unwrap_err().to_string().contains("longer than"));
    let nested: String = (0..60).map(|depth| format!("{}{}:\n", " ".repeat(depth), "x".repeat(15_000))).collect();
    assert!(read(&nested).is_err());
}

#[test]
fn nothing_that_is_repeated_by_a_name_is_lost_or_becomes_a_text() {
    let text =
        "a: &none ~\nhigh-availability.cluster-id: *none\nb: &text \"null\"\nhigh-availability.path.root: *text\n";
    let read_back = read(text).unwrap();
    assert_eq!(read_back.get("high-availability.cluster-id"), None);
    assert_eq!(read_back.get("high-availability.path.root"), Some("null"));
    // What is merged into the settings would be theirs.
    for text in [
        "base: &base {high-availability.type: consul}\n<<: *base\n",
        "<<: {high-availability.type: consul}\n",
        "base: &base {high-availability.type: consul}\n<<: [*base]\n",
        "base: &base {type: consul}\nhigh-availability:\n  <<: *base\n",
        "high-availability.consul:\n  <<: {host: a}\n",
    ] {
        let error = read(text).unwrap_err();
        assert!(error.to_string().contains("config.yaml:") && error.to_string().contains("`<<`"), "{text:?}: {error}");
    }
}

/// A service that were to run without an election for a letter too few.
#[test]
fn a_slip_in_what_all_keys_begin_with_is_no_key_of_others() {
    for text in [
        "high-availabilty.type: consul\n",
        "High-Availability.type: consul\n",
        "high_availability:\n  type: consul\n",
        "highavailability:\n  consul: {host: a}\n",
        "hight-availability: consul\n",
    ] {
        let error = read(text).and_then(|read| read.settings()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
        assert!(error.to_string().contains("did you mean `high-availability"), "{text:?}: {error}");
    }
}

#[test]
fn a_mark_of_the_byte_order_at_the_beginning_is_none_of_a_key() {
    let read = read("\u{feff}high-availability.type: consul\n").unwrap();
    assert_eq!(read.get("high-availability.type"), Some("consul"));
}

/// Parts of every text that the parsers here look at, put together by a generator whose seed is in the message.
#[test]
fn no_text_makes_it_panic() {
    let parts = [
        "high-availability",
        ".",
        ":",
        " ",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "'",
        "\"",
        "|",
        ">",
        "#",
        "!",
        "!!str ",
        "%YAML 1.2\n",
        "---",
        "...",
        "? ",
        "<<",
        "~",
        ",",
        "consul",
        "type",
        "\t",
        "\u{0}",
        "\u{feff}",
        "\u{85}",
        "é",
        "🙂",
        "\\x",
        "\r",
        "cluster-id: a",
        "storageDir: file:///x",
        "s3.access-key: k",
        "- - -",
        "0x1",
        "`",
        "@",
    ];
    for seed in 0..300u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        let text: String = (0..next() % 60).map(|_| parts[next() % parts.len()]).collect();
        let tried = std::panic::catch_unwind(|| {
            if let Err(error) = read(&text).and_then(|read| read.settings()) {
                assert!(error.to_string().len() < 2_000);
            }
            let _ = Configuration::from_url(&text).and_then(|read| read.settings());
            let _ = Configuration::from_url(&format!("consul://{text}")).and_then(|read| read.settings());
            let _ = Configuration::new().with(&text, text.as_str()).settings();
            let _ = Configuration::from_variables([(format!("HA_{text}"), text.as_str())]);
        });
        assert!(tried.is_ok(), "seed {seed}: {text:?}");
    }
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let kind = |path: &Path| Configuration::from_yaml_file(path).unwrap_err().kind();
    assert_eq!(kind(&folder.path().join("none.yaml")), ErrorKind::NotFound);
    assert_eq!(kind(folder.path()), ErrorKind::Unavailable);
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, b"a: \xff\n").unwrap();
    assert_eq!(kind(&path), ErrorKind::Invalid);
    std::fs::write(&path, "a: b\n".repeat(300_000)).unwrap();
    assert!(Configuration::from_yaml_file(&path).unwrap_err().to_string().contains("larger than"));
    std::fs::write(&path, SEED).unwrap();
    let read = Configuration::from_yaml_file(&path).unwrap();
    assert_eq!(read.get("high-availability.type"), Some("consul"));
}
