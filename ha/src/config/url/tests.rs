use super::*;

fn read(url: &str) -> Vec<(String, String)> {
    let read = Configuration::from_url(url).unwrap();
    read.keys().map(|key| (key.trim_start_matches(HA).to_owned(), read.get(key).unwrap().to_owned())).collect()
}

#[test]
fn each_part_of_a_url_is_a_setting() {
    let expect = |url: &str, pairs: &[(&str, &str)]| {
        let expected: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read(url), expected, "{url}");
    };
    expect(
        "consul://localhost:8500/flink?cluster-id=/prod&session-ttl=10s",
        &[
            ("cluster-id", "/prod"),
            ("consul.host", "localhost"),
            ("consul.port", "8500"),
            ("consul.session-ttl", "10s"),
            ("path.root", "flink"),
            ("type", "consul"),
        ],
    );
    expect("consul://", &[("type", "consul")]);
    expect("consul://:8501", &[("consul.port", "8501"), ("type", "consul")]);
    expect("consul://[::1]", &[("consul.host", "[::1]"), ("type", "consul")]);
    expect("consul://[::1]:9/", &[("consul.host", "[::1]"), ("consul.port", "9"), ("type", "consul")]);
    expect("CONSUL://a:1,b:2/x/y/", &[("consul.address", "a:1,b:2"), ("path.root", "x/y"), ("type", "CONSUL")]);
    expect(
        "filesystem:///shared/a%20b?storageDir=s3://bucket/x%26y&high-availability.path.root=r",
        &[
            ("filesystem.directory", "/shared/a b"),
            ("path.root", "r"),
            ("storageDir", "s3://bucket/x&y"),
            ("type", "filesystem"),
        ],
    );
    expect(
        "none://?leader-address.rest_server=http://h:1&num-retained=2"
            .replace("num-retained", "execution.checkpointing.num-retained")
            .as_str(),
        &[
            ("execution.checkpointing.num-retained", "2"),
            ("standalone.leader-address.rest_server", "http://h:1"),
            ("type", "none"),
        ],
    );
    expect(
        "my-store://host:1/flink?x.y=1+2&cluster-id=a",
        &[
            ("cluster-id", "a"),
            ("my-store.address", "host:1"),
            ("my-store.x.y", "1+2"),
            ("path.root", "flink"),
            ("type", "my-store"),
        ],
    );
}

#[test]
fn what_is_no_url_of_ours_is_refused_and_never_shown() {
    for (url, word) in [
        ("", "scheme://"),
        ("localhost:8500", "scheme://"),
        ("://x", "scheme://"),
        ("1consul://x", "scheme://"),
        ("con sul://x", "scheme://"),
        ("consul://me:s3cret@host", "no password"),
        ("consul://me:s3cret/x@host/flink", "no password"),
        ("consul://me:x/s3cret@host:8500/flink?session-ttl=10s", "no password"),
        ("consul://me:x?s3cret@host/flink?session-ttl=10s", "no password"),
        ("consul://host?sesion-ttl=s3cret", "`session-ttl`"),
        ("consul://host?clusterid=s3cret", "`cluster-id`"),
        ("consul://host?s3cret", "name=value"),
        ("consul://host?acl-token=%zz", "hexadecimal"),
        ("consul://host?acl-token=%f", "hexadecimal"),
        ("consul://host?acl-token=%ff", "UTF-8"),
        ("consul://host#s3cret", "%23"),
        ("consul://host?host=s3cret", "another value"),
        ("filesystem://shared/ha", "filesystem:///absolute"),
        ("embedded://host", "no host"),
        ("zookeeper://host:2181", "no host"),
    ] {
        let error = Configuration::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
        assert!(error.to_string().contains(word), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    let long = format!("consul://{}", "x".repeat(1_000_000));
    assert!(Configuration::from_url(&long).unwrap_err().to_string().len() < 500);
}
