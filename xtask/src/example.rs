//! The example program, run the way its documentation says.

use serde_json::Value;

use crate::steps::{Context, Verdict};
use crate::{process, servers};

const PACKAGE: &str = "stream-processor";
/// Enough to cross several checkpoints, little enough to take no time.
const ARGUMENTS: &str = "--events 100000 --json";
/// The same as processes, of which the leading one is killed.
const OVER_CONSUL: &str = "--backend consul --events 100000 --kill 2 --json";

/// Runs it small in release mode, in one process and over a real server; its last line of JSON must say that it verified
/// its own result.
///
/// # Errors
/// It could not be built, ended with a failure, or did not verify.
pub(crate) fn check(context: &mut Context) -> Result<Verdict, String> {
    if !context.member(PACKAGE).is_some_and(|member| member.binaries.contains(PACKAGE)) {
        return Ok(Verdict::Skipped(format!("the workspace has no binary `{PACKAGE}`")));
    }
    run(context, ARGUMENTS)?;
    match servers::check(context)? {
        Verdict::Passed => run(context, OVER_CONSUL).map(|()| Verdict::Passed),
        Verdict::Skipped(why) => Ok(Verdict::Skipped(format!("it ran in one process only: {why}"))),
    }
}

fn run(context: &Context, arguments: &str) -> Result<(), String> {
    let words = format!("run --release --quiet --package {PACKAGE} -- {arguments}");
    let mut output = String::new();
    process::stream(process::cargo(&context.root, &words), |line| {
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
