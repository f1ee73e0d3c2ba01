//! Those who only follow, while what they have not read yet is swept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{Backend, Commit, Expect, Key, Mark, Outcome, Scope};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_filesystem::{FilesystemDevice, FilesystemSettings};
use ha_testkit::process::{Process, Stage, role};
use ha_testkit::run::block_on;
use serde::{Deserialize, Serialize};

use crate::member::numbers;
use crate::world::{World, heavy, measured};

const COMMITS: u64 = 10_000;
/// A snapshot, and a sweep behind it, after so many entries.
const POINT: u64 = 16;
const ASK_EVERY: Duration = Duration::from_millis(5);

#[derive(Serialize, Deserialize)]
struct Follower {
    directory: PathBuf,
    /// When it is there, the last commit has been acknowledged.
    written: PathBuf,
}

async fn open(directory: PathBuf, seam: &Seam) -> Arc<JournalBackend> {
    let device = FilesystemDevice::open(FilesystemSettings::at(directory), seam.clone()).await.unwrap();
    let options = JournalOptions::default().with_points(POINT, 1 << 20);
    JournalBackend::open(Arc::new(device), seam.clone(), options).await.unwrap()
}

fn key() -> Key {
    Key::new("number").unwrap()
}

/// The number that is stored now.
async fn number(backend: &JournalBackend) -> u64 {
    let entry = backend.read(&key()).await.unwrap();
    entry.map_or(0, |entry| std::str::from_utf8(&entry.value).unwrap().parse().unwrap())
}

#[test]
fn follower() {
    role("following::follower", async |follower: Follower, stage: Stage| {
        let backend = open(follower.directory, stage.seam()).await;
        let following = async {
            let mut mark = Mark::UNSEEN;
            loop {
                let change = backend.changed(&Scope::Key(key()), &mark).await.unwrap();
                mark = change.mark();
                stage.tell("followed", number(&backend).await);
            }
        };
        let reading = async {
            loop {
                let all = follower.written.exists();
                // Asked after the last commit was acknowledged, or before: what it says, it says.
                stage.tell(if all { "read at the end" } else { "read" }, number(&backend).await);
                stage.seam().sleep(ASK_EVERY).await;
            }
        };
        futures_util::join!(following, reading);
    });
}

/// Never goes back, and sees the end.
fn assert_forwards(process: &Process, who: &str) {
    let events = process.events();
    for name in ["followed", "read", "read at the end"] {
        let told = numbers(&events, name);
        assert!(told.is_sorted(), "{who} went back: {name} {told:?}");
    }
    let end = numbers(&events, "read at the end");
    assert!(end.iter().all(|number| *number == COMMITS), "{who} read an old state after the last commit: {end:?}");
    assert!(!end.is_empty());
}

#[test]
fn a_follower_and_a_sleeper_see_the_end_and_never_go_back_while_ten_thousand_commits_are_swept() {
    block_on(async {
        // Fails if a reader goes on in a history that was swept, takes a swept number for the end, or is deaf after a
        // long sleep.
        let _turn = heavy().await;
        let w = World::in_memory();
        let follower = || Follower { directory: w.path("journal"), written: w.path("written") };
        let writer = open(w.path("journal"), &w.seam).await;
        let mut expect = Expect::Absent;
        let mut write = async |from: u64, to: u64| {
            for number in from..=to {
                let value = Bytes::from(number.to_string());
                let commit = Commit::new(w.seam.write_id()).put(key(), expect, value);
                let outcome = writer.commit(&commit).await.unwrap();
                let Outcome::Applied { revisions } = outcome else { panic!("{number}: {outcome:?}") };
                expect = Expect::Revision(revisions[0]);
            }
        };
        let awake = Process::spawn(w.seam.clone(), "following::follower", &follower());
        let mut sleeper = Process::spawn(w.seam.clone(), "following::follower", &follower());
        write(1, 100).await;
        for process in [&awake, &sleeper] {
            process
                .until("it follows", |events| (numbers(events, "followed").last() == Some(&100)).then_some(()))
                .await;
        }
        // It sleeps and wakes, in the middle of all, and once more to the end.
        for (from, to) in [(101, 4_000), (4_001, COMMITS)] {
            sleeper.stop().await;
            write(from, to).await;
            if to == COMMITS {
                w.give("written");
            }
            let resumed = sleeper.cont();
            let end = |events: &[_]| (numbers(events, "followed").last() == Some(&to)).then_some(());
            sleeper.until("the sleeper sees the last state", end).await;
            measured("sleeper resumed, sees the last state", resumed, w.seam.now());
            awake.until("the follower sees the last state", end).await;
        }
        for (process, who) in [(&awake, "the follower"), (&sleeper, "the sleeper")] {
            process.told("read at the end").await;
            assert_forwards(process, who);
        }
        let seen = numbers(&awake.events(), "followed").len();
        assert!(seen > 100, "the follower saw only {seen} of {COMMITS} states: it did not follow");
        let is_bounded = || {
            let entries = std::fs::read_dir(w.path("journal/.ha-journal/entries")).unwrap().count();
            (entries < 200).then_some(entries)
        };
        let entries = w.until("what was swept is gone", is_bounded).await;
        ha_testkit::run::tell(format_args!(
            "{COMMITS} commits, the follower saw {seen} states, {entries} entries are left"
        ));
    });
}
