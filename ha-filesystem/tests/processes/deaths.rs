//! Leaders that are killed: by the evidence of their lock where it is one, by silence where it is none.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ha_testkit::process::{Process, Stage, role};
use ha_testkit::run::block_on;
use ha_testkit::trials::nanoseconds;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::member::{Member, leads_after, numbers, play, relied_until, told_after, writes};
use crate::world::{ENDLESS, World, measured};

const DEATHS: usize = 6;

/// A member with a silence that no test waits for.
fn patient(w: &World, label: &str) -> Member {
    Member { silence: ENDLESS, ..w.member(label) }
}

/// The last term of a process that is dead: on a busy machine the first may have ended before.
fn last_term(dead: &Process) -> u64 {
    numbers(&dead.events(), "elected").into_iter().max().unwrap()
}

/// Whoever of the standbys leads next, taken out of them, and its token.
async fn next_leader(w: &World, standbys: &mut Vec<Process>, token: u64) -> (Process, u64) {
    let leads = |process: &Process| numbers(&process.events(), "elected").into_iter().max().filter(|now| *now > token);
    let find = || standbys.iter().enumerate().find_map(|(at, process)| Some((at, leads(process)?)));
    let (at, token) = w.until("a standby leads", find).await;
    (standbys.swap_remove(at), token)
}

#[test]
fn each_of_many_killed_leaders_is_followed_by_the_evidence_of_its_lock_also_one_that_lost_before() {
    block_on(async {
        // Fails if a standby that won after a lost attempt has no testimony: then nobody would know of its death for
        // an hour. And if only those know of a death who opened after, or before, the dead one had begun to lead.
        let w = World::in_memory();
        let spawn = |label: &str| patient(&w, label).spawn(&w.seam);
        // One that was there before anybody led, and campaigns when somebody does.
        let early = Member { campaigns_with: Some(w.path("go")), ..patient(&w, "early") }.spawn(&w.seam);
        early.told("there").await;
        let mut leader = spawn("first");
        let (_, mut token) = leads_after(&leader, 0).await;
        w.give("go");
        w.has_tried("early").await;
        let mut standbys = vec![early, spawn("late")];
        w.has_tried("late").await;
        let mut dead = Vec::new();
        for death in 0..DEATHS {
            writes(&leader, 5).await;
            let killed = leader.kill();
            leader.exited().await;
            let (next, next_token) = next_leader(&w, &mut standbys, token).await;
            let (at, _) = leads_after(&next, token).await;
            measured("leader killed, a former standby leads by the lock's evidence", killed, at);
            dead.push(std::mem::replace(&mut leader, next));
            token = next_token;
            // Twice as many come as went, until there are three: they lose against each other too.
            for more in 0..(3 - standbys.len()).min(2) {
                let label = format!("standby {death} {more}");
                standbys.push(spawn(&label));
                w.has_tried(&label).await;
            }
        }
        let standbys_led: usize = standbys.iter().map(|process| numbers(&process.events(), "elected").len()).sum();
        assert_eq!(standbys_led, 0, "who led had not died");
        dead.push(leader);
        drop(standbys);
        w.assert_nothing_is_lost_in(&patient(&w, "successor"), dead).await;
    });
}

#[test]
fn a_killed_leader_whose_lock_says_nothing_is_followed_by_silence_and_not_before_its_deadline() {
    block_on(async {
        // Fails if a leader whose death nobody can see is robbed while it could still rely on its leadership, or is
        // never followed. As on another host: nobody locks, the leader does not, its standby does not look.
        let variants = [(true, true), (true, false), (false, true)];
        let runs = variants.map(|(leader_ignores, standby_ignores)| async move {
            let w = World::in_memory();
            let mut leader = Member { ignore_locks: leader_ignores, ..w.member("leader") }.spawn(&w.seam);
            leads_after(&leader, 0).await;
            let standby = Member { ignore_locks: standby_ignores, ..w.member("standby") }.spawn(&w.seam);
            w.has_tried("standby").await;
            writes(&leader, 20).await;
            let killed = leader.kill();
            leader.exited().await;
            let (at, _) = leads_after(&standby, last_term(&leader)).await;
            measured("leader killed, its lock says nothing, the standby leads by silence", killed, at);
            let relied = relied_until(&leader.events());
            assert!(nanoseconds(at) >= relied, "{} ns too early", relied - nanoseconds(at));
            w.assert_nothing_is_lost(vec![leader, standby]).await;
        });
        futures_util::future::join_all(runs).await;
    });
}

#[derive(Serialize, Deserialize)]
struct Parent {
    member: Member,
    /// When it is there, a child inherits all locks; when it is gone, that child ends.
    child_while: PathBuf,
}

/// Hands every open holder file to a child. Not by opening it again: the very lock is inherited.
fn inherit(journal: &Path, child_while: &Path) -> usize {
    let holders = std::fs::read_dir(journal.join(".ha-journal/holders")).unwrap().flatten();
    let holders: Vec<_> =
        holders.map(|holder| holder.metadata().unwrap()).map(|file| (file.dev(), file.ino())).collect();
    let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let mut inherited = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        // By the file, not its name: it was made under another one.
        let is_holder = |file: Metadata| holders.contains(&(file.dev(), file.ino()));
        if !std::fs::metadata(entry.path()).is_ok_and(is_holder) {
            continue;
        }
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        let lock = pidfd_getfd(&me, number, PidfdGetfdFlags::empty()).unwrap();
        let mut child = Command::new("sh");
        child.args(["-c", r#"while [ -e "$1" ]; do sleep 0.02; done"#, "sh"]).arg(child_while);
        drop(child.stdin(Stdio::from(lock)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        inherited += 1;
    }
    inherited
}

#[test]
fn parent() {
    role("deaths::parent", async |parent: Parent, stage: Stage| {
        let member = parent.member.clone();
        let handing_on = async {
            while !parent.child_while.exists() {
                stage.seam().sleep(std::time::Duration::from_millis(5)).await;
            }
            stage.tell("inherited", inherit(&parent.member.journal, &parent.child_while));
        };
        futures_util::join!(handing_on, play(member, stage.clone()));
    });
}

async fn with_a_child(w: &World, member: Member) -> Process {
    let parent = Parent { member, child_while: w.path("child") };
    let leader = Process::spawn(w.seam.clone(), "deaths::parent", &parent);
    leads_after(&leader, 0).await;
    w.give("child");
    assert!(leader.told("inherited").await.value.as_u64().unwrap() >= 1, "no lock to inherit");
    leader
}

#[test]
fn a_child_that_inherited_the_lock_of_a_killed_leader_leaves_it_to_silence() {
    block_on(async {
        // Fails if the leader's end is taken for the end of all that it began.
        let w = World::in_memory();
        let mut leader = with_a_child(&w, w.member("leader")).await;
        let standby = w.member("standby").spawn(&w.seam);
        w.has_tried("standby").await;
        writes(&leader, 5).await;
        leader.kill();
        leader.exited().await;
        let (at, _) = leads_after(&standby, last_term(&leader)).await;
        let relied = relied_until(&leader.events());
        assert!(
            nanoseconds(at) >= relied,
            "evidence although a child has the lock, {} ns early",
            relied - nanoseconds(at)
        );
        std::fs::remove_file(w.path("child")).unwrap();
        w.assert_nothing_is_lost(vec![leader, standby]).await;
    });
}

#[test]
fn the_end_of_the_last_child_is_the_evidence() {
    block_on(async {
        // Fails if a standby that looked while the child lived never looks again.
        let w = World::in_memory();
        let mut leader = with_a_child(&w, patient(&w, "leader")).await;
        let standby = patient(&w, "standby").spawn(&w.seam);
        w.has_tried("standby").await;
        let (_, token) = leads_after(&leader, 0).await;
        writes(&leader, 5).await;
        leader.kill();
        leader.exited().await;
        let ends = w.seam.now();
        assert!(numbers(&standby.events(), "elected").is_empty(), "the child lives");
        std::fs::remove_file(w.path("child")).unwrap();
        let (at, _) = leads_after(&standby, token).await;
        assert!(at >= ends, "it led while the child lived");
        w.assert_nothing_is_lost_in(&patient(&w, "successor"), vec![leader, standby]).await;
    });
}

#[test]
fn a_process_that_came_back_under_the_name_of_one_that_stands_still_waits_for_its_deadline() {
    block_on(async {
        // Fails if a label, a host name or a process id is taken for an identity: a container that is started again
        // has those of the one before.
        let w = World::in_memory();
        let mut before = w.member("same").spawn(&w.seam);
        let (_, token) = leads_after(&before, 0).await;
        writes(&before, 5).await;
        before.stop().await;
        let again = w.member("same").spawn(&w.seam);
        let (at, _) = leads_after(&again, token).await;
        let relied = relied_until(&before.events());
        assert!(nanoseconds(at) >= relied, "{} ns too early", relied - nanoseconds(at));
        let resumed = before.cont();
        told_after(&before, "lost", resumed).await;
        w.assert_nothing_is_lost(vec![before, again]).await;
    });
}
