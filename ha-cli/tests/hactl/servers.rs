//! Servers that are dead, foreign or forbidden: one line each, and a status that tells.

use ha::HighAvailabilityServices;
use ha::seam::Seam;
use ha_testkit::servers::consul::{Agent, Options};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use crate::world::{On, World, leads, run, run_with};

/// Every command that contacts a cluster.
const ALL: [&[&str]; 10] = [
    &["status"],
    &["watch", "--count", "1"],
    &["jobs"],
    &["checkpoints", "job"],
    &["results"],
    &["step-down"],
    &["doctor"],
    &["verify"],
    &["gc", "--older-than", "1d"],
    &["cleanup", "--all", "--yes"],
];

fn each(url: &str, code: i32) {
    for command in ALL {
        let ran = run_with(&[&["--url", url], command].concat());
        let command = command.join(" ");
        // A doctor tells what it found, instead of giving up.
        if ran.code == 1 && command == "doctor" {
            assert!(ran.out.contains("FAIL"), "{ran:?}");
            continue;
        }
        eprintln!("{command}: {}", ran.err.trim_end());
        ran.ended(code).said("");
    }
}

fn storage() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let url = format!("file://{}", folder.path().to_str().unwrap());
    (folder, url)
}

#[test]
fn a_dead_server_is_told_on_one_line() {
    run(async {
        let (_folder, storage) = storage();
        // Bound, so that nothing else comes there, and nobody listens.
        let dead = TcpSocket::new_v4().unwrap();
        dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = dead.local_addr().unwrap().port();
        each(&format!("consul://127.0.0.1:{port}/flink?storageDir={storage}"), 3);
        Ok(())
    });
}

#[test]
fn a_foreign_server_is_told_on_one_line() {
    run(async {
        let (_folder, storage) = storage();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answering = async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let page = "<html>It works!</html>";
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        };
        let _server = Seam::system().spawn(answering);
        each(&format!("consul://127.0.0.1:{port}/flink?storageDir={storage}"), 3);
        Ok(())
    });
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    run(async {
        let (_folder, storage) = storage();
        // Connections are taken by the kernel, and nobody ever reads from them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("consul://{}/flink?storageDir={storage}", listener.local_addr().unwrap());
        for command in [&["status"][..], &["step-down"], &["gc", "--older-than", "1d"]] {
            run_with(&[&["--url", &url, "--timeout", "1s"], command].concat()).ended(3).said("");
        }
        Ok(())
    });
}

#[test]
fn a_key_that_is_deprecated_is_told_on_one_line_with_the_one_that_takes_its_place() {
    run(async {
        let world = World::new(On::Directory).await?;
        let (store, states) = (world.folder.path().join("store"), world.states());
        let file = world.folder.path().join("old.yaml");
        let text = format!(
            "high-availability: filesystem\nhigh-availability.storageDir: file://{}\nhigh-availability.filesystem.directory: {}\n",
            states.to_str().unwrap(),
            store.to_str().unwrap()
        );
        std::fs::write(&file, text).unwrap();
        let ran = run_with(&["--config", file.to_str().unwrap(), "jobs", "--json"]).ended(0);
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
        assert!(ran.err.starts_with("hactl: warning: high-availability (") && ran.err.contains("old.yaml"), "{ran:?}");
        assert!(ran.err.contains("`high-availability.type`"), "{ran:?}");
        assert!(ran.json()["jobs"].is_array(), "the output is as ever");
        Ok(())
    });
}

#[test]
fn a_server_that_refuses_access_is_told_on_one_line() {
    run(async {
        let agent = Agent::start(Seam::system(), Options::developer().with_acl()).await?;
        let (_folder, storage) = storage();
        let url = format!("consul://{}/flink?storageDir={storage}", agent.address());
        each(&url, 4);
        each(&format!("{url}&acl-token=00000000-dead-beef-0000-000000000000"), 4);
        let readers = agent.token(r#"key_prefix "flink/" { policy = "read" }"#).await;
        let url = format!("{url}&acl-token={readers}");
        run_with(&["--url", &url, "status"]).ended(1);
        run_with(&["--url", &url, "jobs"]).ended(0);
        run_with(&["--url", &url, "verify"]).ended(0);
        let doctor = run_with(&["--url", &url, "doctor"]).ended(0);
        assert!(doctor.out.contains("warn  write to the store"), "{doctor:?}");
        let ran = run_with(&["--url", &url, "cleanup", "--all", "--yes"]).ended(4).said("");
        assert!(!ran.err.contains(&readers), "a token is never shown: {ran:?}");
        Ok(())
    });
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    run(async {
        let (folder, storage) = storage();
        let absent = folder.path().join("typo");
        each(&format!("filesystem://{}?storageDir={storage}", absent.to_str().unwrap()), 3);
        assert!(!absent.exists());
        let world = World::new(On::Directory).await?;
        let url = world.url.replace("/states", "/stats");
        run_with(&["--url", &url, "status"]).ended(3).said("the state storage is not there");
        assert!(!world.folder.path().join("stats").exists());
        Ok(())
    });
}

#[test]
fn a_command_line_or_a_configuration_that_is_not_right_is_told_and_nothing_done() {
    run(async {
        run_with(&["status"]).ended(2).said("no cluster was named");
        run_with(&["--url", "consul://127.0.0.1:1/flink?sesion-ttl=10s", "status"]).ended(2).said("sesion-ttl");
        let secret = run_with(&["--url", "consul://me:s3cret@127.0.0.1:1/flink", "status"]).ended(2);
        assert!(!secret.err.contains("s3cret"), "{secret:?}");
        for wrong in
            [&["statsu"][..], &["gc"], &["gc", "--older-than", "5"], &["checkpoints"], &["--no-such", "status"]]
        {
            let ran = run_with(wrong).ended(2);
            assert!(ran.out.is_empty() && ran.err.starts_with("error: "), "{ran:?}");
        }
        assert!(run_with(&["--help"]).ended(0).out.contains("Exit status"));
        for shell in ["bash", "zsh", "fish"] {
            assert!(run_with(&["completions", shell]).ended(0).out.contains("step-down"), "{shell}");
        }
        Ok(())
    });
}

#[test]
fn a_file_and_variables_say_where_the_cluster_is() {
    run(async {
        let world = World::new(On::Directory).await?;
        let services = world.services("host-1").await;
        let leadership = leads(&services).await;
        let (store, states) = (world.folder.path().join("store"), world.states());
        let file = world.folder.path().join("config.yaml");
        let text = format!(
            "high-availability:\n  type: filesystem\n  storageDir: file://{}\n  cluster-id: elsewhere\nhigh-availability.filesystem.directory: {}\n",
            states.to_str().unwrap(),
            store.to_str().unwrap()
        );
        std::fs::write(&file, text).unwrap();
        let ran = run_with(&["--config", file.to_str().unwrap(), "status"]).ended(1);
        assert!(ran.err.contains("there are: prod"), "the id of a cluster that there is: {ran:?}");
        let output = crate::world::program(&["--config", file.to_str().unwrap(), "status"])
            .env("HA_CLUSTER_ID", "prod")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        run_with(&["--config", "/no/such/file.yaml", "status"]).said("/no/such/file.yaml");
        leadership.resign().await.unwrap();
        services.close().await.unwrap();
        Ok(())
    });
}
