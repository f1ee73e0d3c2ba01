//! The program as two processes over a real agent: one leads, and when it is killed the other does.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::process::Stdio;
use std::time::Duration;

use ha_core::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::servers::consul::{Agent, Options};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(agent: &Agent) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leader"));
        command.env("CONSUL_HTTP_ADDR", agent.address()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What follows the words in the first line that begins with them.
    async fn says(&mut self, words: &str, seam: &Seam) -> String {
        let looking = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if let Some(rest) = line.strip_prefix(words) {
                    return rest.trim().to_owned();
                }
            }
            panic!("it ended before it said {words:?}");
        };
        seam.timeout(PATIENCE, looking).await.unwrap_or_else(|| panic!("waited in vain for {words:?}"))
    }

    async fn leads(&mut self, seam: &Seam) -> u64 {
        self.says("leading with fencing token", seam).await.parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_killed_the_other_process_leads_with_a_greater_token() {
    let seam = Seam::system();
    let agent = match Agent::start(seam.clone(), Options::developer()).await {
        Ok(agent) => agent,
        Err(Missing(what)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
            return eprintln!("SKIPPED: {what}");
        }
    };
    let mut first = Program::start(&agent);
    let token = first.leads(&seam).await;
    first.says("working under token", &seam).await;
    let mut second = Program::start(&agent);
    second.says("standing by", &seam).await;
    // By then the second knows the process of the first, most likely, and need not wait for its silence.
    for _ in 0..2 {
        first.says("working under token", &seam).await;
    }
    first.child.kill().await.unwrap();
    let next = second.leads(&seam).await;
    assert!(next > token, "{next} after {token}");

    // Asked to end, it hands over and ends well.
    let mut third = Program::start(&agent);
    third.says("standing by", &seam).await;
    let id = second.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(second.child.wait().await.unwrap().success());
    assert!(third.leads(&seam).await > next);
}
