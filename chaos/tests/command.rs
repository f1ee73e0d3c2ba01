//! The program itself: what it says, and what is left of it.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ha_testkit::run::block_on;

/// How long the machine may take for what takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

fn chaos(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    // Everything that it starts has this folder in its environment, and puts its files there.
    command.args(words.split_whitespace()).env("TMPDIR", folder).env("CARGO_TARGET_DIR", folder.join("target"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let seam = ha::seam::Seam::system();
    let began = seam.now();
    while !so() {
        assert!(seam.now().since(began) < PATIENCE, "waited in vain: {what}");
        seam.sleep(Duration::from_millis(50)).await;
    }
}

/// Processes with that folder in their environment.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a path of ours").as_bytes();
    let all = std::fs::read_dir("/proc").expect("a Linux").filter_map(|entry| Some(entry.ok()?.path()));
    let ours = all.filter(|process| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.windows(folder.len()).any(|part| part == folder)
    });
    ours.map(|process| process.display().to_string()).collect()
}

fn lives(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nothing_is_left_after(end: impl FnOnce(&mut Child)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keep = folder.path().join("keep");
    let words = format!("--backend filesystem --seconds 600 --seed 3 --workers 2 --keep {}", keep.display());
    let mut program = Killed(chaos(folder.path(), &words).spawn().expect("the program starts"));
    block_on(async {
        until("workers are there", || lives(&keep) >= 2).await;
        end(&mut program.0);
        drop(program);
        until("all processes are gone", || processes(folder.path()).is_empty()).await;
    });
    let left = std::fs::read_dir(folder.path()).expect("a folder of ours");
    let left: Vec<_> = left.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    assert_eq!(left, ["keep"]);
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("a Linux");
    assert!(!mounts.contains(folder.path().to_str().expect("a path of ours")), "{mounts}");
}

#[test]
fn a_program_that_is_killed_leaves_no_process_mount_or_folder() {
    nothing_is_left_after(|program| program.kill().unwrap());
}

#[test]
fn a_program_that_is_interrupted_leaves_no_process_mount_or_folder() {
    nothing_is_left_after(|program| {
        let asked = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
        assert!(asked.success());
        assert!(!program.wait().unwrap().success(), "an interrupted run proves nothing");
    });
}

#[test]
fn a_run_that_finds_something_fails_says_how_to_do_it_again_and_draws_it() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let words = "--backend filesystem --seconds 8 --seed 5 --workers 3 --silence-ms 2000 --only long-pause";
    let words = format!("{words} --sabotage endless-deadline --page {}", page.display());
    let output = chaos(folder.path(), &words).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["broken: silence is patient", "cargo xtask chaos --backend filesystem", "--sabotage endless-deadline"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("silence is patient") && page.contains("long-pause"));
}

#[test]
fn words_that_are_not_understood_are_an_error_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = chaos(folder.path(), "--backend etcd").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--backend consul"));
}
