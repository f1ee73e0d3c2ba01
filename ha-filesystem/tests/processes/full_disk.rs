//! A small disk that fills up, or is mounted read-only, under a leader and its standby.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use ha_core::seam::Moment;
use ha_testkit::process::{Event, Process};
use ha_testkit::run::block_on;

use crate::member::{Member, checkpoints, told_after, writes};
use crate::world::{World, found};

const REMOUNTS_MAX: usize = 1000;

/// A file system in memory, unmounted when it is dropped, after a panic too.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, and a line that says so, where the machine does not allow it.
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        if !run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(disk.path())) {
            ha_testkit::run::tell("SKIPPED: this machine does not let us mount a small file system");
            return None;
        }
        Some(disk)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that there is, to the last byte.
    fn fill(&self) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        for bytes in [64 << 10, 4096, 1] {
            while ballast.write_all(&vec![1; bytes]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }

    fn remount(&self, how: &str) {
        // Refused while a file is open to be written, as for a moment in each commit.
        let remount = || run(Command::new("mount").args(["-o", how]).arg(self.path()));
        assert!((0..REMOUNTS_MAX).any(|_| remount()), "{how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The ids of checkpoints that were refused as certainly not written, and what the refusals said.
pub(crate) fn refused(events: &[Event]) -> Vec<(u64, String, String)> {
    let refused = events.iter().filter(|event| event.name == "refused");
    let text = |event: &Event, name: &str| event.value[name].as_str().unwrap().to_owned();
    refused.map(|event| (event.value["id"].as_u64().unwrap(), text(event, "kind"), text(event, "text"))).collect()
}

/// Waits until a write was refused that way, and the leadership is over.
pub(crate) async fn ends_refused(leader: &Process, kind: &str, why: &str, from: Moment) {
    let is_told = |events: &[Event]| {
        refused(events).iter().any(|(_, told, text)| told == kind && text.contains(why)).then_some(())
    };
    leader.until(&format!("a write is refused: {kind}, {why}"), is_told).await;
    told_after(leader, "lost", from).await;
}

/// Somebody leads again by itself, nothing acknowledged is lost, and nothing is there that was refused for certain.
pub(crate) async fn assert_recovers(w: &World, successor: &Member, mut processes: Vec<Process>, from: Moment) {
    let writes = |process: &Process| {
        let mut events = process.events().into_iter();
        events.any(|event| event.name == "acknowledged" && event.at >= from)
    };
    w.until("somebody leads and writes again", || processes.iter().any(writes).then_some(())).await;
    let mut certainly_not = BTreeSet::new();
    let mut acknowledged = BTreeSet::new();
    for process in &mut processes {
        process.kill();
        process.exited().await;
        let events = process.events();
        let kinds = ["Unavailable", "Denied", "NotLeader", "Fenced"];
        certainly_not
            .extend(refused(&events).into_iter().filter(|(_, kind, _)| kinds.contains(&&**kind)).map(|it| it.0));
        acknowledged.extend(crate::member::acknowledged(&events));
    }
    // Tried again later under the same number, perhaps by another one.
    certainly_not.retain(|id| !acknowledged.contains(id));
    let services = successor.services(&w.seam).await;
    let leadership = w.leadership(&services).await;
    let found = found(&checkpoints(&leadership).await.unwrap()).await;
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let there: Vec<_> = certainly_not.intersection(&found).collect();
    ha_testkit::run::tell(format_args!(
        "{} acknowledged, {} refused for certain",
        acknowledged.len(),
        certainly_not.len()
    ));
    // Tried again in the moment in which the leader was killed, perhaps.
    let next = acknowledged.last().unwrap() + 1;
    assert!(there.iter().all(|id| **id == next), "refused for certain, and there: {there:?}; {next} was under way");
    ha_core::HighAvailabilityServices::close(&services).await.unwrap();
}

async fn suffer(kind: &str, why: &str, begin: impl FnOnce(&SmallDisk), end: impl FnOnce(&SmallDisk)) {
    let Some(disk) = SmallDisk::mount() else { return };
    let w = World::in_memory();
    // Without locks: their files stay open, and would keep the disk from being made read-only.
    let journal = disk.path().join("journal");
    let member = |label: &str| Member { journal: journal.clone(), ignore_locks: true, ..w.member(label) };
    let leader = member("leader").spawn(&w.seam);
    writes(&leader, 10).await;
    let standby = member("standby").spawn(&w.seam);
    standby.told("there").await;
    let from = w.seam.now();
    begin(&disk);
    ends_refused(&leader, kind, why, from).await;
    let again = w.seam.now();
    let led = standby.events().iter().any(|event| event.name == "leading");
    assert!(!led, "somebody leads who can write nothing");
    end(&disk);
    assert_recovers(&w, &member("successor"), vec![leader, standby], again).await;
}

#[test]
fn on_a_full_disk_writes_are_refused_for_certain_the_leader_steps_down_and_all_goes_on_when_there_is_room() {
    // Fails if a write that did not fit counts, its outcome is unknown, or a process must be started anew.
    block_on(suffer("Unavailable", "make room", SmallDisk::fill, SmallDisk::make_room));
}

#[test]
fn on_a_disk_that_becomes_read_only_the_leader_steps_down_and_all_goes_on_when_it_can_be_written() {
    let (begin, end) = (|disk: &SmallDisk| disk.remount("remount,ro"), |disk: &SmallDisk| disk.remount("remount,rw"));
    block_on(suffer("Unavailable", "read-only", begin, end));
}
