//! Running child processes and watching what they print.

use std::env;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Command, Stdio};

/// A call of the cargo that started this program, in the workspace's root; `words` are split at spaces.
pub(crate) fn cargo(root: &Path, words: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Children read no input: none of them asks, and a CI may have none to give.
    command.args(words.split_whitespace()).current_dir(root).stdin(Stdio::null());
    command
}

/// Runs to the end, with the child's output going where ours goes.
///
/// # Errors
/// The child could not be started or did not succeed; the message names the command line.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|error| not_started(&command, &error))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("`{}` ended with {status}", line(&command))),
    }
}

/// Runs to the end and returns its standard output; standard error goes where ours goes.
///
/// # Errors
/// As [`run`], and if the output is not UTF-8.
pub(crate) fn capture(mut command: Command) -> Result<String, String> {
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|error| not_started(&command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` ended with {}", line(&command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` printed something that is not UTF-8", line(&command)))
}

/// Runs to the end, passing standard output through line by line as it comes and showing each line to `watch`.
///
/// # Errors
/// As [`run`], and if the output could not be read or passed on.
pub(crate) fn stream(command: Command, watch: impl FnMut(&str)) -> Result<(), String> {
    stream_to(&mut stdout(), command, watch)
}

fn stream_to(to: &mut impl Write, mut command: Command, mut watch: impl FnMut(&str)) -> Result<(), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| not_started(&command, &error))?;
    let mut passed_on = Ok(());
    if let Some(output) = child.stdout.take() {
        passed_on = pass_on(BufReader::new(output), to, &mut watch);
    }
    if passed_on.is_err() {
        // The child may already have ended, which is what the call is for; its exit is collected below.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| not_started(&command, &error))?;
    passed_on.map_err(|error| format!("the output of `{}` was lost: {error}", line(&command)))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("`{}` ended with {status}", line(&command))),
    }
}

fn pass_on(mut output: impl BufRead, to: &mut impl Write, watch: &mut impl FnMut(&str)) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    // Bytes, not `lines()`: a test may print anything, and that must not end the watching.
    while output.read_until(b'\n', &mut bytes)? > 0 {
        to.write_all(&bytes)?;
        watch(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    Ok(())
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` could not be run: {error}", line(command))
}

/// The command line as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(words: &str) -> Command {
        let mut command = Command::new("git");
        command.args(words.split_whitespace());
        command
    }

    #[test]
    fn a_failing_child_is_an_error_that_names_its_command_line() {
        // Two different files: git says so by its exit status, and prints nothing.
        let words = "diff --no-index --quiet Cargo.toml src/main.rs";
        let streamed = stream_to(&mut Vec::new(), git(words), |_| ());
        for outcome in [run(git(words)), capture(git(words)).map(drop), streamed] {
            let message = outcome.unwrap_err();
            assert!(message.contains(&format!("git {words}")), "{message}");
        }
    }

    #[test]
    fn a_missing_program_is_an_error_and_not_a_panic() {
        let message = run(Command::new("no-such-program-exists")).unwrap_err();
        assert!(message.contains("could not be run"), "{message}");
    }

    #[test]
    fn output_is_captured_whole_and_streamed_by_lines() {
        let versions = || cargo(Path::new("."), "--version --verbose");
        let whole = capture(versions()).unwrap();
        let (mut passed_on, mut lines) = (Vec::new(), Vec::new());
        stream_to(&mut passed_on, versions(), |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(passed_on, whole.as_bytes());
        assert_eq!(lines, whole.lines().collect::<Vec<_>>());
        assert!(lines.len() > 1, "{lines:?}");
    }

    #[test]
    fn bytes_that_are_not_text_are_passed_on_and_do_not_end_the_watching() {
        let bytes = b"\xff\xfe\nlast";
        let (mut passed_on, mut seen) = (Vec::new(), Vec::new());
        let mut watch = |line: &str| seen.push(line.to_owned());
        pass_on(&bytes[..], &mut passed_on, &mut watch).unwrap();
        assert_eq!(passed_on, bytes);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1], "last");
    }
}
