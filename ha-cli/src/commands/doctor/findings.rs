//! What the doctor finds in what is stored.

use std::sync::atomic::{AtomicUsize, Ordering};

use ha::inspect::{Contents, Depth, Inspector, Leaders, Prospect};

use super::super::{nothing_here, while_it_moves};
use super::{CLOCKS_APART_MS, Doctor, Verdict};
use crate::failure::Failure;
use crate::time::{bytes, rough};

impl Doctor<'_> {
    pub(super) async fn format(&mut self, inspector: &Inspector) -> Result<(), Failure> {
        match self.within(inspector.format()).await {
            Ok(format) => self.tell("format", Verdict::Ok, format!("the cluster writes format {format}"), Vec::new()),
            Err(error) => self.failed("format", &error),
        }
    }

    pub(super) async fn leaders(&mut self, inspector: &Inspector) -> Result<(), Failure> {
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

    pub(super) async fn entries(&mut self, inspector: &Inspector) -> Result<Option<Contents>, Failure> {
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

    pub(super) async fn pointers(&mut self, inspector: &Inspector, contents: &Contents) -> Result<(), Failure> {
        // As long as it takes, while anything is answered: each state is one request.
        let done = AtomicUsize::new(0);
        let looking = inspector.verify(contents, Depth::Length, |now| done.store(now.done, Ordering::Relaxed));
        match while_it_moves(&self.cluster.seam, self.at_most, &done, looking).await {
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

    pub(super) async fn orphans(&mut self, inspector: &Inspector) -> Result<(), Failure> {
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
