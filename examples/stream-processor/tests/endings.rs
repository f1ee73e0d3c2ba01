//! The program comes to an end, whatever happens to its files meanwhile.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ha::seam::Seam;

fn start(arguments: &[&str], output: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_stream-processor"))
        .args(arguments)
        .arg("--output")
        .arg(output)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Whether it ended well; `None` if it had to be killed after two minutes.
async fn ended_well(mut child: Child) -> Option<bool> {
    let seam = Seam::system();
    let give_up = seam.now() + Duration::from_secs(120);
    while seam.now() < give_up {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return Some(status.success());
        }
        seam.sleep(Duration::from_millis(10)).await;
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it was killed");
    None
}

fn write_lines(input: &Path, lines: u32) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(input).unwrap());
    for line in 0..lines {
        writeln!(file, "{line}").unwrap();
    }
    file.into_inner().unwrap();
}

async fn until_it_is_there(path: &Path) {
    let seam = Seam::system();
    let give_up = seam.now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(seam.now() < give_up, "{} does not appear", path.display());
        seam.sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_input_that_vanishes_once_it_was_handed_in_is_not_missed() {
    // Fails if a later leader reads the file and not the blob.
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("input"), directory.path().join("output"));
    write_lines(&input, 100_000);
    let child = start(&["--input", input.to_str().unwrap(), "--kill", "3"], &output);
    // The engine makes it once the job has begun.
    until_it_is_there(&output.join("pending")).await;
    std::fs::remove_file(&input).unwrap();
    assert_eq!(ended_well(child).await, Some(true), "what was handed in is stored");
}

#[tokio::test]
async fn an_output_that_cannot_be_written_any_more_ends_the_program_with_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("input"), directory.path().join("output"));
    write_lines(&input, 300_000);
    let child = start(&["--input", input.to_str().unwrap(), "--kill", "100"], &output);
    until_it_is_there(&output.join("pending")).await;
    std::fs::rename(&output, directory.path().join("elsewhere")).unwrap();
    std::fs::write(&output, "no directory").unwrap();
    assert_eq!(ended_well(child).await, Some(false), "it must end, and not with success");
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_that_is_asked_to_end_leaves_no_temporary_file() {
    let directory = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stream-processor"))
            .args(["--events", "50000000"])
            .env("TMPDIR", directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        let seam = Seam::system();
        while common::names(directory.path()).is_empty() {
            seam.sleep(Duration::from_millis(1)).await;
        }
        let told = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
        let status = child.wait().expect("it ends");
        assert!(status.code().is_some_and(|code| code > 128), "{status}");
        assert_eq!(common::names(directory.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_command_that_never_could_work_on_this_backend_says_what_can() {
    for arguments in [&["worker"][..], &["status"], &["submit", "--job", "a", "--output", "nowhere"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_stream-processor"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        for way_out in ["Run the demo", "--job-manager HOST:PORT", "a backend that several processes share"] {
            assert!(errors.contains(way_out), "{arguments:?}: {errors}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_input_that_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (pipe, output) = (directory.path().join("pipe"), directory.path().join("output"));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
    for input in [pipe.to_str().unwrap(), directory.path().to_str().unwrap(), "/dev/zero"] {
        assert_eq!(ended_well(start(&["--input", input], &output)).await, Some(false), "{input}");
    }
}
