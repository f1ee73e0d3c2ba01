//! The example program, run the way its documentation says.

use std::env::consts::EXE_SUFFIX;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::steps::{Context, TESTS, Verdict};
use crate::{metadata, process, servers};

const PACKAGE: &str = "stream-processor";
/// Enough to cross several checkpoints, little enough to take no time.
const ARGUMENTS: &str = "--events 100000 --json";
/// The same as processes, of which the leading one is killed.
const OVER_CONSUL: &str = "--backend consul --events 100000 --kill 2 --json";

/// Runs it small, as the tests have built it, in one process and over a real server; its last line of JSON must say that
/// it verified its own result.
///
/// # Errors
/// It could not be built, ended with a failure, or did not verify.
pub(crate) fn check(context: &mut Context) -> Result<Verdict, String> {
    if !context.member(PACKAGE).is_some_and(|member| member.binaries.contains(PACKAGE)) {
        return Ok(Verdict::Skipped(format!("the workspace has no binary `{PACKAGE}`")));
    }
    process::run(process::cargo(&context.root, &format!("{TESTS} --no-run --quiet")))?;
    let target = metadata::target_folder(&context.root)?;
    let program = target.join("debug").join(format!("{PACKAGE}{EXE_SUFFIX}"));
    run(context, &program, ARGUMENTS)?;
    match servers::check(context)? {
        Verdict::Passed => run(context, &program, OVER_CONSUL).map(|()| Verdict::Passed),
        Verdict::Skipped(why) => Ok(Verdict::Skipped(format!("it ran in one process only: {why}"))),
    }
}

fn run(context: &Context, program: &Path, arguments: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).current_dir(&context.root).stdin(Stdio::null());
    let mut output = String::new();
    process::stream(command, |line| {
        output.push_str(line);
        output.push('\n');
    })?;
    verified(&output, arguments)
}

fn verified(output: &str, arguments: &str) -> Result<(), String> {
    let mut objects =
        output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(Value::is_object);
    let last = objects.next_back().ok_or_else(|| format!("`{PACKAGE} {arguments}` printed no line of JSON"))?;
    match &last["verified"] {
        Value::Bool(true) => Ok(()),
        other => Err(format!("the last JSON line of `{PACKAGE} {arguments}` says `\"verified\":{other}`, not true")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_last_line_that_says_verified_passes() {
        assert_eq!(verified("text\n{\"verified\":false}\n{\"a\":1,\"verified\":true}\ntext\n", ""), Ok(()));
        for output in
            ["", "text", "true", "{\"verified\":false}", "{}", "{\"verified\":\"true\"}", "{\"verified\":true}\n{}"]
        {
            assert!(verified(output, "").is_err(), "{output}");
        }
    }
}
