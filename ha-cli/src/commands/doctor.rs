use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ha::backend::{Commit, Expect, Key, Outcome, ReadGuarantee, SessionOptions};
use ha::inspect::{Contents, Depth, Inspector, Leaders, Prospect};
use ha::seam::Moment;
use ha::wrap::Chroot;
use ha::{Error, ErrorKind};
use serde::Serialize;

use super::{cluster_name, code, nothing_here};
use crate::failure::{Failure, one_line};
use crate::open::Cluster;
use crate::output::{self, Colour, mark, plain};
use crate::time::{bytes, rough};

/// How many reads the latency is taken from.
const READS: usize = 7;
/// A median above this is slow for a store that holds leaders' sessions.
const SLOW: Duration = Duration::from_millis(250);
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

    /// Whether the store answers at all.
    async fn latency(&mut self) -> Result<bool, Failure> {
        let inside = self.inside()?;
        let key = Key::new("leader/barrier")?;
        let mut took = Vec::new();
        for _ in 0..READS {
            let start = self.cluster.seam.now();
            if let Err(error) = self.within(ha::backend::Backend::read(&inside, &key)).await {
                self.failed("read", &error)?;
                return Ok(false);
            }
            took.push(self.since(start));
        }
        took.sort();
        let (median, worst) = (took[READS / 2], took[READS - 1]);
        let verdict = if median > SLOW { Verdict::Warning } else { Verdict::Ok };
        let detail = format!("median of {READS} reads {:.1} ms, worst {:.1} ms", ms(median), ms(worst));
        self.tell("read", verdict, detail, Vec::new())?;
        Ok(true)
    }

    async fn format(&mut self, inspector: &Inspector) -> Result<(), Failure> {
        match self.within(inspector.format()).await {
            Ok(format) => self.tell("format", Verdict::Ok, format!("the cluster writes format {format}"), Vec::new()),
            Err(error) => self.failed("format", &error),
        }
    }

    /// A record of our own, put and removed.
    async fn writes(&mut self) -> Result<(), Failure> {
        let (inside, seam) = (self.inside()?, self.cluster.seam.clone());
        let key = Key::new(format!("doctor/{}", seam.uuid().simple()))?;
        let value = format!(r#"{{"format":1,"kind":"doctor","write_id":"{}","epoch":0,"body":null}}"#, seam.write_id());
        let put = Commit::new(seam.write_id()).put(key.clone(), Expect::Absent, value.into());
        let start = seam.now();
        let written = self.within(ha::backend::Backend::commit(&inside, &put)).await;
        let took = self.since(start);
        match written {
            Ok(Outcome::Applied { revisions }) => {
                let revision =
                    revisions.first().copied().ok_or_else(|| Failure::other("a commit without revisions"))?;
                let remove = Commit::new(seam.write_id()).remove(key.clone(), revision);
                match self.within(ha::backend::Backend::commit(&inside, &remove)).await {
                    Ok(_) => {
                        let detail = format!("one record put and removed, {:.1} ms", ms(took));
                        self.tell("write to the store", Verdict::Ok, detail, Vec::new())
                    }
                    Err(error) => self.failed("write to the store", &error),
                }
            }
            Ok(other) => self.tell(
                "write to the store",
                Verdict::Failed,
                format!("a new key was refused: {other:?}"),
                Vec::new(),
            ),
            // What is not allowed to this tool may be allowed to those who lead.
            Err(error) if error.kind() == ErrorKind::Denied => {
                self.tell("write to the store", Verdict::Warning, one_line(&error), Vec::new())
            }
            Err(error) => self.failed("write to the store", &error),
        }
    }

    async fn session(&mut self) -> Result<(), Failure> {
        let (label, silence) = ("hactl doctor".to_owned(), self.cluster.options.session.silence);
        let options = SessionOptions { label, silence };
        let opened = self.within(self.cluster.backend.open_session(&options)).await;
        match opened {
            Ok(session) => {
                let left = session.valid_until().moment().since(self.cluster.seam.now());
                let closed = self.within(session.close()).await;
                let left = rough(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
                match closed {
                    Ok(()) => self.tell("session", Verdict::Ok, format!("opened, good for {left}, closed"), Vec::new()),
                    Err(error) => self.failed("session", &error),
                }
            }
            Err(error) if error.kind() == ErrorKind::Denied => {
                self.tell("session", Verdict::Warning, one_line(&error), Vec::new())
            }
            Err(error) => self.failed("session", &error),
        }
    }

    /// A state of our own, written, read, and deleted; and what the storage says of the time.
    async fn round_trip(&mut self) -> Result<(), Failure> {
        let (storage, seam) = (self.cluster.storage.clone(), self.cluster.seam.clone());
        let folder = [ha::backend::Name::new("doctor")?];
        let text = format!("hactl doctor {}", seam.uuid());
        let start = seam.now();
        let trip = async {
            let handle = storage.write(&folder, text.clone().into()).await?;
            let read = storage.read(&handle).await;
            let modified = storage.modified_unix_ms(&handle).await;
            storage.discard(&handle).await?;
            read.and(modified)
        };
        match self.within(trip).await {
            Ok(modified) => {
                let apart = seam.unix_ms().abs_diff(modified);
                let detail = format!("{}: written, read and deleted, {:.1} ms", storage.base(), ms(self.since(start)));
                self.tell("state storage", Verdict::Ok, detail, Vec::new())?;
                let (verdict, detail) = match apart > CLOCKS_APART_MS {
                    true => (Verdict::Warning, format!("storage and this machine are {} apart", rough(apart))),
                    false => (Verdict::Ok, "storage and this machine agree".to_owned()),
                };
                self.tell("clock", verdict, detail, Vec::new())
            }
            Err(error) if error.kind() == ErrorKind::Denied => {
                self.tell("state storage", Verdict::Warning, one_line(&error), Vec::new())
            }
            Err(error) => self.failed("state storage", &error),
        }
    }

    async fn leaders(&mut self, inspector: &Inspector) -> Result<(), Failure> {
        let leaders = match self.within(inspector.leaders()).await {
            Ok(leaders) => leaders,
            Err(error) => return self.failed("leaders", &error),
        };
        let Leaders { latches, problems, .. } = leaders;
        let now = self.cluster.seam.unix_ms();
        let held = latches.iter().filter(|latch| latch.epoch.is_some()).count();
        let mut findings: Vec<String> =
            problems.iter().map(|one| format!("{} {}: {}", one.kind.text(), one.key, one.detail)).collect();
        let early = latches.iter().filter_map(|latch| latch.holder.as_ref());
        let early: Vec<String> = early
            .filter(|holder| holder.since_unix_ms > now + CLOCKS_APART_MS)
            .map(|holder| {
                let ahead = rough(holder.since_unix_ms - now);
                format!("the clock of {:?} is {ahead} ahead of this machine's", holder.label)
            })
            .collect();
        let main_is_held = latches.first().is_some_and(|latch| latch.epoch.is_some());
        let verdict = match () {
            () if !problems.is_empty() => Verdict::Failed,
            () if !main_is_held || !early.is_empty() => Verdict::Warning,
            () => Verdict::Ok,
        };
        findings.extend(early);
        let mut detail = format!("{held} of {} latches are held", latches.len());
        if !main_is_held {
            detail.push_str("; nobody leads the cluster");
        }
        self.tell("leaders", verdict, detail, findings)
    }

    async fn entries(&mut self, inspector: &Inspector) -> Result<Option<Contents>, Failure> {
        let contents = match self.within(inspector.contents()).await {
            Ok(contents) => contents,
            Err(error) => return self.failed("entries", &error).map(|()| None),
        };
        let findings = contents.problems.iter().map(|one| format!("{} {}: {}", one.kind.text(), one.key, one.detail));
        let findings: Vec<String> = findings.collect();
        let verdict = if findings.is_empty() { Verdict::Ok } else { Verdict::Failed };
        let mut detail =
            format!("{} entries of {} jobs, {} cannot be read", contents.entries, contents.jobs.len(), findings.len());
        if contents.entries == 0 {
            detail = nothing_here(self.cluster).await;
        }
        self.tell("entries", verdict, detail, findings)?;
        Ok(Some(contents))
    }

    async fn pointers(&mut self, inspector: &Inspector, contents: &Contents) -> Result<(), Failure> {
        // As long as it takes: each state is one request.
        match inspector.verify(contents, Depth::Length, |_| ()).await {
            Ok(verified) => {
                let problems = &verified.problems;
                let findings = problems.iter().map(|one| format!("{} {}: {}", one.kind.text(), one.key, one.detail));
                let verdict = if problems.is_empty() { Verdict::Ok } else { Verdict::Failed };
                let detail =
                    format!("{} of {} lead to states of the right length", verified.intact, contents.pointers());
                let findings = findings.collect();
                self.tell("pointers", verdict, detail, findings)
            }
            Err(error) => self.failed("pointers", &error),
        }
    }

    async fn orphans(&mut self, inspector: &Inspector) -> Result<(), Failure> {
        let orphans = match self.within(inspector.orphans()).await {
            Ok(orphans) => orphans,
            Err(error) => return self.failed("orphans", &error),
        };
        let count = |prospect| orphans.iter().filter(|orphan| orphan.prospect == prospect).count();
        let (lost, future, unknown) = (count(Prospect::Lost), count(Prospect::OfTheFuture), count(Prospect::NotKnown));
        let size: u64 = orphans.iter().map(|orphan| orphan.bytes).fold(0, u64::saturating_add);
        let shown = orphans.iter().filter(|one| one.prospect != Prospect::MayGetPointer);
        let findings = shown
            .map(|one| {
                let age = rough(one.age_ms);
                format!("{} epoch {}, {}, {age} old", one.uri, one.epoch, bytes(one.bytes))
            })
            .collect();
        let detail = match (orphans.len(), future) {
            (0, _) => "none".to_owned(),
            (_, 0) => {
                format!("{} states that nothing points to, {}; {lost} for good: hactl gc", orphans.len(), bytes(size))
            }
            _ => format!(
                "{future} states of terms still to come: another store uses this place, or this one was restored"
            ),
        };
        let verdict = match () {
            () if future > 0 => Verdict::Failed,
            () if lost + unknown > 0 => Verdict::Warning,
            () => Verdict::Ok,
        };
        self.tell("orphans", verdict, detail, findings)
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
