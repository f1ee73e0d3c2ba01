//! What is shown of a healthy cluster, and that looking changes nothing.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use ha::HighAvailabilityServices;
use ha::backend::{Backend, Prefix};
use serde_json::json;

use crate::world::{On, World, finish_job, job, leads, program, run, store_job};

/// Every command that only reads, with what it needs.
const READING: [&[&str]; 7] = [
    &["status"],
    &["jobs"],
    &["checkpoints", "job-1"],
    &["results"],
    &["verify"],
    &["doctor", "--read-only"],
    &["gc", "--older-than", "0s", "--dry-run"],
];

async fn shows_a_cluster(on: On) -> Result<(), ha_testkit::Missing> {
    let world = World::new(on).await?;
    let empty = world.hactl(&["status"]).ended(1).said("nothing is stored for the cluster flink/prod");
    assert!(empty.out.contains("(vacant)"), "{empty:?}");

    let services = world.services("host-1").await;
    let leadership = leads(&services).await;
    leadership.publish("host-1:6123").await.unwrap();
    store_job(&leadership, &job("job-1"), 3).await;
    store_job(&leadership, &job("job-2"), 1).await;
    finish_job(&leadership, &job("job-2")).await;
    let before = world.inside().await.list(&Prefix::root()).await.unwrap().entries;

    let status = world.hactl(&["status", "--json"]).ended(0).json();
    let latch = &status["latches"][0];
    assert_eq!(status["cluster"], "flink/prod");
    assert_eq!(latch["epoch"], leadership.token().epoch());
    assert_eq!((&latch["holder"]["label"], &latch["holder"]["silence_ms"]), (&json!("host-1"), &json!(10_000)));
    assert_eq!(latch["components"][0]["address"], "host-1:6123");
    assert_eq!(latch["components"][0]["is_current"], true);
    let table = world.hactl(&["status"]).ended(0).out;
    for text in ["LEADER", "host-1", "dispatcher", "host-1:6123", &leadership.token().epoch().to_string()] {
        assert!(table.contains(text), "{text}: {table}");
    }

    let jobs = world.hactl(&["jobs", "--json"]).ended(0).json();
    let first = &jobs["jobs"][0];
    assert_eq!((&first["job"], &first["checkpoints"], &first["blobs"]), (&json!("job-1"), &json!(3), &json!(1)));
    assert_eq!((&first["next_checkpoint_id"], &first["has_plan"]), (&json!(4), &json!(true)));
    assert_eq!(jobs["jobs"][1]["result"]["status"], "FINISHED");
    let checkpoints = world.hactl(&["checkpoints", "job-1", "--json"]).ended(0).json();
    let ids: Vec<_> = checkpoints["checkpoints"].as_array().unwrap().iter().map(|one| one["id"].as_u64()).collect();
    assert_eq!(ids, [Some(1), Some(2), Some(3)]);
    let results = world.hactl(&["results", "--json"]).ended(0).json();
    assert_eq!(
        results["results"],
        json!([
            { "job": "job-2", "status": "FINISHED", "state": "dirty", "network_run_time_ms": 1234, "error": null }
        ])
    );
    world.hactl(&["checkpoints", "no-such-job"]).ended(5).said("nothing is stored of the job no-such-job");
    let verified = world.hactl(&["verify", "--json"]).ended(0).json();
    assert_eq!((&verified["pointers"], &verified["intact"]), (&json!(8), &json!(8)), "{verified}");

    for command in READING {
        let shown = world.hactl(command).ended(0);
        assert!(!shown.out.is_empty() && shown.err.is_empty(), "{command:?}: {shown:?}");
        assert!(!shown.out.contains('\x1b'), "no colours without a terminal: {shown:?}");
        world.hactl(&[command, &["--json"]].concat()).ended(0).json();
    }
    let after = world.inside().await.list(&Prefix::root()).await.unwrap().entries;
    assert_eq!(before, after, "looking has changed something");
    assert!(leadership.is_valid());

    // The doctor that writes takes away what it wrote.
    let doctor = world.hactl(&["doctor", "--json"]).ended(0).json();
    assert_eq!(doctor["healthy"], true, "{doctor}");
    let after = world.inside().await.list(&Prefix::root()).await.unwrap().entries;
    assert_eq!(before, after, "the doctor left something behind");
    assert_eq!(world.state_files("doctor"), [] as [std::path::PathBuf; 0]);
    services.close().await.unwrap();
    Ok(())
}

#[test]
fn everything_of_a_cluster_in_a_directory_is_shown_and_nothing_changed() {
    run(shows_a_cluster(On::Directory));
}

#[test]
fn everything_of_a_cluster_on_consul_is_shown_and_nothing_changed() {
    run(shows_a_cluster(On::Consul));
}

async fn watches(on: On) -> Result<(), ha_testkit::Missing> {
    let world = World::new(on).await?;
    let services = world.services("host-1").await;
    let leadership = leads(&services).await;
    let mut watching = program(&["--url", &world.url, "watch", "--json", "--count", "1"]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["latches"][0]["epoch"], leadership.token().epoch());
    leadership.resign().await.unwrap();
    let change: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(change["latches"][0]["epoch"], serde_json::Value::Null, "{change}");
    assert!(lines.next().is_none(), "it ends after one change");
    assert!(watching.wait().unwrap().success());
    services.close().await.unwrap();
    Ok(())
}

#[test]
fn a_change_of_leaders_is_told_to_who_watches_a_directory() {
    run(watches(On::Directory));
}

#[test]
fn a_change_of_leaders_is_told_to_who_watches_consul() {
    run(watches(On::Consul));
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    run(async {
        let world = World::new(On::Directory).await?;
        for arguments in [&["--url", &world.url, "status"][..], &["completions", "bash"], &["--help"]] {
            let mut command = program(arguments);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            let status = child.wait().unwrap();
            assert!(matches!(status.code(), Some(0 | 1)), "{status} {arguments:?}: {said}");
            assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{said}");
        }
        Ok(())
    });
}

#[test]
fn what_a_store_holds_cannot_speak_to_the_terminal() {
    run(async {
        let world = World::new(On::Directory).await?;
        let services = world.services("evil\x1b[2J\r\nlabel").await;
        let leadership = leads(&services).await;
        leadership.publish("\x1b]0;title\x07:1").await.unwrap();
        let shown = world.hactl(&["status"]).ended(0);
        assert!(!shown.out.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert_eq!(shown.out.lines().count(), 2, "{shown:?}");
        services.close().await.unwrap();
        Ok(())
    });
}
