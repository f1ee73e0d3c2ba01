//! What a leader and a standby cost while nothing happens.

use std::path::Path;
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::seam::Seam;
use ha_testkit::bench::Result;
use ha_testkit::bench::cluster::{Member as _, lead};
use ha_testkit::process::{Process, Stage, role as play};
use ha_testkit::trials::Member as _;
use serde::{Deserialize, Serialize};

use crate::member::Member;

/// Several heartbeats.
const WATCHED: Duration = Duration::from_secs(30);
/// Until whatever the start brings about is over.
const SETTLED: Duration = Duration::from_secs(2);

/// What one process used up.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Used {
    /// Milliseconds of processor time.
    cpu_ms: f64,
    /// How often its threads were woken.
    wakes: f64,
    entries: f64,
}

/// What was counted at a leader and at a standby.
pub(crate) struct Counted {
    leader: Used,
    standby: Used,
}

/// The role of either: it contends, and tells what it used up while it was watched.
pub(crate) fn role() {
    play("resting", async |member: Member, stage: Stage| {
        let resting = async {
            let services = member.services(&Seam::system()).await?;
            let contending = lead(&member, &services);
            let watching = async {
                stage.seam().sleep(SETTLED).await;
                let before = used(&member)?;
                stage.seam().sleep(WATCHED).await;
                let after = used(&member)?;
                let (cpu_ms, wakes) = (after.cpu_ms - before.cpu_ms, after.wakes - before.wakes);
                stage.tell("rested", Used { cpu_ms, wakes, entries: after.entries - before.entries });
                Result::Ok(())
            };
            let held = async {
                // Whoever leads keeps it until it was watched.
                let leadership = contending.await?;
                stage.tell("leading", ());
                std::future::pending::<()>().await;
                drop(leadership);
                Result::Ok(())
            };
            match futures_util::future::select(std::pin::pin!(watching), std::pin::pin!(held)).await {
                futures_util::future::Either::Left((watched, _)) => watched?,
                futures_util::future::Either::Right((held, _)) => held?,
            }
            services.close().await?;
            Result::Ok(())
        };
        if let Err(error) = resting.await {
            stage.tell("failed", error.to_string());
        }
    });
}

pub(crate) async fn watch(below: &Path) -> Result<Counted> {
    let seam = Seam::system();
    let member = Member::new(below, "leader");
    let leader = Process::spawn(seam.clone(), "resting", &member);
    leader.told("leading").await;
    let standby = Process::spawn(seam, "resting", &member.other("standby"));
    let rested = |event: ha_testkit::process::Event| serde_json::from_value(event.value);
    let leader = rested(leader.told("rested").await)?;
    let standby = rested(standby.told("rested").await)?;
    Ok(Counted { leader, standby })
}

/// So far, by what the system tells; zeros where it tells nothing.
fn used(member: &Member) -> Result<Used> {
    let (mut cpu_ms, mut wakes) = (0.0, 0.0);
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten() {
        let thread = thread?.path();
        let text = |name: &str| std::fs::read_to_string(thread.join(name)).unwrap_or_default();
        // Nanoseconds on a processor come first.
        cpu_ms += number(&text("schedstat"), 0) / 1e6;
        let status = text("status");
        let switches = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:"));
        wakes += number(switches.unwrap_or_default(), 1);
    }
    let entries = std::fs::read_dir(member.directory.join(".ha-journal/entries"))?.count() as f64;
    Ok(Used { cpu_ms, wakes, entries })
}

fn number(text: &str, at: usize) -> f64 {
    text.split_whitespace().nth(at).and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

impl Counted {
    pub(crate) fn print(&self) {
        println!("\nAt rest, a second, over {WATCHED:?} (goal: a leader writes at most one entry a second)");
        println!("{:<52} {:>8} {:>8}", "", "leader", "standby");
        let rate = |total: f64| total / WATCHED.as_secs_f64();
        let line = |what: &str, of: fn(&Used) -> f64| {
            println!("{what:<52} {:>8.2} {:>8.2}", rate(of(&self.leader)), rate(of(&self.standby)));
        };
        line("entries of the journal, of both together", |used| used.entries);
        line("milliseconds of processor time", |used| used.cpu_ms);
        line("wake-ups of threads", |used| used.wakes);
    }
}
