use super::*;

const FILE: &str = "\
high-availability:
  type: consul
  cluster-id: /prod
  storageDir: file:///shared/ha
  session.silence: 3 s
  presence.bind: off
  jobmanager.port: 50000-50010,50100
  consul: {host: 10.0.0.1, port: 8501, acl-token: t, session-ttl: 30s}
execution.checkpointing.num-retained: 5
";

fn read(text: &str, words: &[&str]) -> Result<Arguments, Unfit> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let words: Vec<&str> = words.iter().map(|word| if *word == "FILE" { path.as_str() } else { word }).collect();
    Arguments::read(std::iter::once("stream-processor").chain(words))
}

#[test]
fn a_file_says_all_that_the_command_line_does_not() {
    let demo = read(FILE, &["--config", "FILE"]).unwrap().demo;
    assert_eq!((demo.backend.as_str(), demo.endpoint.as_str()), ("consul", "10.0.0.1:8501"));
    assert_eq!((demo.liveness.silence_ms, demo.liveness.presence), (3_000, Presence::Off));
    assert_eq!(demo.configured.backend.names().collect::<Vec<_>>(), ["acl-token", "session-ttl"]);
    assert_eq!(demo.configured.storage.unwrap().url, "file:///shared/ha");
    assert_eq!(demo.storage.as_deref(), Some("file:///shared/ha"));
    assert_eq!(demo.configured.cluster.as_deref(), Some("prod"));
    let Some(Command::JobManager(manager)) = read(FILE, &["job-manager", "--config", "FILE"]).unwrap().command else {
        panic!("another command")
    };
    assert_eq!((manager.cluster.cluster_id.as_str(), manager.liveness.silence_ms), ("prod", 3_000));
    assert_eq!(manager.cluster.configured.retained(), 5);
    assert_eq!(manager.cluster.configured.ports, Some(vec![50_000..=50_010, 50_100..=50_100]));
}

#[test]
fn the_command_line_counts_over_the_file() {
    let words =
        ["--config", "FILE", "--endpoint", "b:1", "--silence-ms", "500", "--presence", "auto", "--storage", "s3://b"];
    let demo = read(FILE, &words).unwrap().demo;
    assert_eq!(demo.storage.as_deref(), Some("s3://b"));
    assert_eq!((demo.backend.as_str(), demo.endpoint.as_str()), ("consul", "b:1"));
    assert_eq!((demo.liveness.silence_ms, demo.liveness.presence), (500, Presence::Auto));
    assert_eq!(demo.configured.backend.get("acl-token"), Some("t"));
    // Another backend: what the file says of its own does not concern it.
    let demo = read(FILE, &["--config", "FILE", "--backend", "filesystem"]).unwrap().demo;
    assert_eq!((demo.backend.as_str(), demo.endpoint.as_str()), ("filesystem", ""));
    assert_eq!(demo.configured.backend, BackendSettings::new());
    let words = ["status", "--config", "FILE", "--cluster-id", "mine"];
    let Some(Command::Status(status)) = read(FILE, &words).unwrap().command else { panic!("another command") };
    assert_eq!((status.client.cluster.cluster_id.as_str(), status.client.cluster.backend.as_str()), ("mine", "consul"));
}

#[test]
fn an_address_on_the_command_line_is_the_only_one_listened_at() {
    let words = ["job-manager", "--config", "FILE", "--listen", "127.0.0.1:6123"];
    let Some(Command::JobManager(manager)) = read(FILE, &words).unwrap().command else { panic!("another command") };
    assert_eq!(manager.cluster.configured.ports, None);
    assert_eq!(Configured::default().retained(), 2);
}

#[test]
fn without_a_file_nothing_changes_and_one_that_is_not_in_order_is_told() {
    let demo = read("", &[]).unwrap().demo;
    assert_eq!(
        (demo.backend.as_str(), demo.endpoint.as_str(), demo.configured.clone()),
        ("embedded", "", Configured::default())
    );
    assert_eq!(demo.storage, None);
    let demo = read("parallelism.default: 3\n", &["--config", "FILE"]).unwrap().demo;
    assert_eq!((demo.backend.as_str(), demo.configured.storage), ("embedded", None));
    let error = read("high-availability.typ: consul\n", &["--config", "FILE"]).unwrap_err();
    assert!(error.to_string().contains("`high-availability.type`"), "{error}");
    let error = read("", &["--config", "no-such-file.yaml"]).unwrap_err();
    assert!(error.to_string().contains("no-such-file.yaml"), "{error}");
}
