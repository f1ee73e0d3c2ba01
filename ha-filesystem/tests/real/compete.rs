use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use ha_core::journal::{Journal, Published};
use ha_core::seam::Seam;
use ha_testkit::process::{Process, role};

use crate::{open, text};

const HANDLES: u64 = 8;
const NUMBERS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_number_has_one_winner_and_everybody_reads_the_same() {
    // Fails if two handles win one number, or a loser's file shows up where it lost.
    let directory = tempfile::tempdir().unwrap();
    let seam = Seam::system();
    let (sender, mut results) = tokio::sync::mpsc::channel(HANDLES as usize);
    let mut tasks = Vec::new();
    for handle in 0..HANDLES {
        let (path, sender) = (directory.path().to_owned(), sender.clone());
        tasks.push(seam.spawn(async move {
            let device = open(&path).await.unwrap();
            let (mut next, mut won, mut attempt) = (1, Vec::new(), 0);
            while next <= NUMBERS {
                let bytes = text(&format!("{handle}:{attempt}"));
                let entry = u128::from(handle << 32 | attempt);
                match device.publish(next, entry, &bytes).await.unwrap() {
                    Published::Won { floor: 0 } => {
                        won.push((next, bytes));
                        attempt += 1;
                        next += 1;
                    }
                    Published::Won { floor } => panic!("a floor of {floor} out of nothing"),
                    Published::Taken => {
                        let read = device.read(next).await.unwrap().entries;
                        assert!(!read.is_empty(), "{next} is taken and cannot be read");
                        next += read.len() as u64;
                    }
                }
            }
            sender.send(won).await.unwrap();
        }));
    }
    drop(sender);
    let mut won = Vec::new();
    while let Some(more) = results.recv().await {
        won.extend(more);
    }
    won.sort();
    let device = open(directory.path()).await.unwrap();
    let read = device.read(1).await.unwrap().entries;
    assert_eq!(read.len() as u64, won.len() as u64);
    assert_eq!(read, won.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>());
    assert_eq!(won.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=read.len() as u64).collect::<Vec<_>>());
    drop(tasks);
}

#[tokio::test]
async fn whoever_waits_for_a_number_hears_of_it_and_of_one_that_is_there() {
    // Fails if a waiter sleeps over a number, or waits for one that exists.
    let directory = tempfile::tempdir().unwrap();
    let one = Arc::new(open(directory.path()).await.unwrap());
    let other = open(directory.path()).await.unwrap();
    let long = Duration::from_secs(600);
    for number in 1..=20 {
        let waiting = one.appended(number, long);
        let publishing = async {
            assert_eq!(other.publish(number, u128::from(number), &text("x")).await, Ok(Published::Won { floor: 0 }));
        };
        tokio::join!(waiting, publishing);
        one.appended(number, long).await;
    }
    one.appended(21, Duration::from_millis(1)).await;
    // A close wakes whoever waits.
    tokio::join!(one.appended(21, long), one.close());
}

/// How often each thread of the device in this process went to sleep so far.
fn switches() -> BTreeMap<OsString, u64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let is_ours = |name: String| name.starts_with("ha-fs");
    let ours = tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(is_ours));
    let count = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary"))?;
        Some((task.file_name(), line.split_whitespace().nth(1)?.parse().ok()?))
    };
    ours.filter_map(count).collect()
}

const RESTING: &str = "compete::resting";
const SECONDS: u64 = 4;

#[test]
fn resting() {
    role(RESTING, |directory: std::path::PathBuf, stage| async move {
        let device = open(&directory).await.unwrap();
        let before = switches();
        device.appended(1, Duration::from_secs(SECONDS)).await;
        // Threads that only opened it may have ended meanwhile.
        let wakes = switches().into_iter().map(|(thread, now)| now - before.get(&thread).unwrap_or(&0));
        stage.tell("wakes", wakes.sum::<u64>());
        std::future::pending().await
    });
}

#[tokio::test]
async fn at_rest_nothing_turns() {
    // Fails if waiting costs more than a look now and then. A process of its own: only its threads are counted.
    let directory = tempfile::tempdir().unwrap();
    let process = Process::spawn(Seam::system(), RESTING, &directory.path());
    let wakes = process.told("wakes").await.value.as_u64().unwrap();
    ha_testkit::run::tell(format_args!("a handle that waits: {wakes} wakes of its threads in {SECONDS} s"));
    // A look each second. A thread that turns would wake thousands of times.
    assert!(wakes < 100 * SECONDS, "{wakes}");
}
