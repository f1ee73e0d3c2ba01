//! Permissions that are taken from processes that run. Root has all of them, so the processes are somebody else's.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ha_testkit::process::{Process, role};
use ha_testkit::run::block_on;
use rustix::process::getuid;

use crate::full_disk::{assert_recovers, ends_refused};
use crate::member::{play, writes};
use crate::world::World;

const ROLE: &str = "rights::unprivileged";

/// This very program, as a user who has no rights.
fn as_nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(std::env::current_exe().unwrap());
    command
}

#[test]
fn unprivileged() {
    if getuid().is_root() && std::env::var("HA_TESTKIT_ROLE").is_ok_and(|part| part.contains(ROLE)) {
        // The same process goes on as somebody else.
        panic!("no other user: {}", as_nobody().args(std::env::args_os().skip(1)).exec());
    }
    role(ROLE, play);
}

fn allow(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder of the journal cannot be used for a while, with those permissions.
async fn deny(folder: &str, mode: u32) {
    let is_root = getuid().is_root();
    if is_root && !as_nobody().arg("--list").output().is_ok_and(|output| output.status.success()) {
        return ha_testkit::run::tell(format_args!(
            "SKIPPED: no process of another user can be started here, and root is denied nothing"
        ));
    }
    let w = World::in_memory();
    std::fs::create_dir(w.path("journal")).unwrap();
    for path in ["", "journal", "states"] {
        allow(&w.path(path), 0o777);
    }
    let spawn = |label: &str| Process::spawn(w.seam.clone(), ROLE, &w.member(label));
    let leader = spawn("leader");
    writes(&leader, 10).await;
    let standby = spawn("standby");
    standby.told("there").await;
    let folder = w.path("journal/.ha-journal").join(folder);
    let from = w.seam.now();
    allow(&folder, mode);
    ends_refused(&leader, "Denied", "access denied", from).await;
    assert!(standby.events().iter().all(|event| event.name != "leading"), "somebody leads who can write nothing");
    let again = w.seam.now();
    allow(&folder, 0o777);
    assert_recovers(&w, &w.member("successor"), vec![leader, standby], again).await;
}

#[test]
fn where_entries_may_not_be_made_any_more_the_leader_steps_down_and_all_goes_on_when_they_may() {
    // Fails if a missing permission is taken for an unknown outcome or a lost race, or ends a handle for good.
    block_on(deny("entries", 0o555));
}

#[test]
fn where_nothing_may_be_staged_any_more_the_leader_steps_down_and_all_goes_on_when_it_may() {
    block_on(deny("staged", 0o555));
}

#[test]
fn where_nothing_may_be_looked_at_any_more_the_leader_steps_down_and_all_goes_on_when_it_may() {
    block_on(deny("", 0o000));
}
