mod findings;
mod trials;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ha::backend::ReadGuarantee;
use ha::inspect::Inspector;
use ha::seam::Moment;
use ha::wrap::Chroot;
use ha::{Error, ErrorKind};
use serde::Serialize;

use super::{cluster_name, code};
use crate::failure::{Failure, one_line};
use crate::open::Cluster;
use crate::output::{self, Colour, mark, plain};
use crate::time::bytes;

/// Clocks further apart than this confuse people who read logs; nothing else depends on them.
const CLOCKS_APART_MS: u64 = 5_000;
/// How many findings of one kind are told.
const TOLD_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
    Skipped,
}

#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    detail: String,
    findings: Vec<String>,
}

#[derive(Serialize)]
struct Diagnosis<'a> {
    cluster: String,
    backend: &'static str,
    healthy: bool,
    checks: &'a [Check],
}

pub(super) async fn run(
    cluster: &Cluster,
    read_only: bool,
    at_most: Duration,
    json: bool,
) -> Result<ExitCode, Failure> {
    let mut doctor = Doctor { cluster, at_most, checks: Vec::new(), json };
    doctor.examine(&cluster.inspector()?, read_only).await?;
    let failed = doctor.checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
    let warned = doctor.checks.iter().filter(|check| check.verdict == Verdict::Warning).count();
    if json {
        let (backend, checks) = (cluster.backend.profile().name, &doctor.checks);
        output::json(&Diagnosis { cluster: cluster_name(cluster), backend, healthy: failed == 0, checks })?;
    } else {
        output::print(&format!("\n{} checks, {failed} failed, {warned} warnings", doctor.checks.len()))?;
    }
    Ok(code(failed > 0))
}

struct Doctor<'a> {
    cluster: &'a Cluster,
    at_most: Duration,
    checks: Vec<Check>,
    json: bool,
}

impl Doctor<'_> {
    async fn examine(&mut self, inspector: &Inspector, read_only: bool) -> Result<(), Failure> {
        self.limits()?;
        let reached = self.latency().await?;
        if !reached {
            return Ok(());
        }
        self.format(inspector).await?;
        if read_only {
            for check in ["write to the store", "session", "state storage"] {
                self.tell(check, Verdict::Skipped, "--read-only".to_owned(), Vec::new())?;
            }
        } else {
            self.writes().await?;
            self.session().await?;
            self.round_trip().await?;
        }
        self.leaders(inspector).await?;
        let Some(contents) = self.entries(inspector).await? else { return Ok(()) };
        self.pointers(inspector, &contents).await?;
        self.orphans(inspector).await
    }

    fn tell(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        detail: String,
        findings: Vec<String>,
    ) -> Result<(), Failure> {
        let mut findings: Vec<String> = findings.iter().map(|finding| plain(finding)).collect();
        if findings.len() > TOLD_MAX && !self.json {
            let more = findings.len() - TOLD_MAX;
            findings.truncate(TOLD_MAX);
            findings.push(format!("and {more} more: hactl verify"));
        }
        if !self.json {
            let word = match verdict {
                Verdict::Ok => mark("ok", Colour::Green),
                Verdict::Warning => mark("warn", Colour::Yellow),
                Verdict::Failed => mark("FAIL", Colour::Red),
                Verdict::Skipped => mark("skip", Colour::Yellow),
            };
            let mut text = format!("{word} {check:<20} {}", plain(&detail));
            for finding in &findings {
                text.push_str(&format!("\n        {finding}"));
            }
            output::print(&text)?;
        }
        self.checks.push(Check { check, verdict, detail, findings });
        Ok(())
    }

    fn failed(&mut self, check: &'static str, error: &Error) -> Result<(), Failure> {
        self.tell(check, Verdict::Failed, one_line(error), Vec::new())
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let late =
            || Error::new(ErrorKind::Unavailable, "wait").because(format!("no answer within {:?}", self.at_most));
        self.cluster.seam.timeout(self.at_most, call).await.unwrap_or_else(|| Err(late()))
    }

    fn since(&self, start: Moment) -> Duration {
        self.cluster.seam.now().since(start)
    }

    /// The cluster's part of the store.
    fn inside(&self) -> Result<Chroot, Failure> {
        Ok(Chroot::new(Arc::clone(&self.cluster.backend), self.cluster.options.validate()?))
    }

    fn limits(&mut self) -> Result<(), Failure> {
        let profile = self.cluster.backend.profile();
        let detail = format!(
            "{}: values up to {}, commits up to {} operations and {}",
            profile.name,
            bytes(profile.value_bytes_max as u64),
            profile.commit_operations_max,
            bytes(profile.commit_bytes_max as u64)
        );
        match profile.reads {
            ReadGuarantee::Linearizable => self.tell("store", Verdict::Ok, detail, Vec::new()),
            _ => {
                let why = "its reads may lag behind: orphans are never collected here".to_owned();
                self.tell("store", Verdict::Warning, detail, vec![why])
            }
        }
    }
}
