//! The program comes to an end, whatever happens to its files meanwhile.

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

/// Whether it ended well; `None` if it had to be killed after half a minute.
async fn ended_well(mut child: Child) -> Option<bool> {
    let seam = Seam::system();
    let give_up = seam.now() + Duration::from_secs(30);
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

#[tokio::test]
async fn an_input_that_vanishes_before_a_recovery_ends_the_program_with_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("input"), directory.path().join("output"));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&input).unwrap());
    for line in 0..300_000 {
        writeln!(file, "{line}").unwrap();
    }
    file.into_inner().unwrap();
    let child = start(&["--input", input.to_str().unwrap(), "--kill", "100"], &output);
    // The engine makes it once the job has begun.
    let seam = Seam::system();
    while !output.join("pending").exists() {
        seam.sleep(Duration::from_millis(1)).await;
    }
    std::fs::remove_file(&input).unwrap();
    assert_eq!(ended_well(child).await, Some(false), "it must end, and not with success");
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
