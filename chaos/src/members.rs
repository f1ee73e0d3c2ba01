use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ha::seam::Seam;
use ha_testkit::history::{Ending, Event, Recording, What, merge, read_lines};
use ha_testkit::process::Process;

use crate::hindered::LateCommit;
use crate::worker::{Orders, ROLE};

/// How long a leader may take to its next commit.
const COMMITS_WITHIN: Duration = Duration::from_secs(2);
/// How long a worker may take to end in order: it closes its session at a server that may be away.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// A worker over all its lives.
#[derive(Debug)]
pub(crate) struct Member {
    orders: Orders,
    folder: PathBuf,
    process: Option<Process>,
}

/// What the workers' lives have left beside their own histories.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    deaths: Mutex<Vec<Death>>,
    findings: Mutex<Vec<String>>,
    late_commits: Mutex<Vec<(String, LateCommit)>>,
}

/// A life that ended without a word.
#[derive(Debug)]
struct Death {
    process: String,
    incarnation: u32,
    /// The moment just before the signal.
    not_before_ns: u64,
}

impl Remains {
    pub(crate) fn finding(&self, text: String) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub(crate) fn findings(&self) -> Vec<String> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the workers told of commits that they sent after they had stood still, and whose they were.
    pub(crate) fn late_commits(&self) -> Vec<(String, LateCommit)> {
        self.late_commits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it told beside its history. To be called when it has told its last.
    fn over(&self, orders: &Orders, process: &Process) {
        let told = process.events().into_iter().filter(|event| event.name == LateCommit::NAME);
        let told = told.filter_map(|event| serde_json::from_value(event.value).ok());
        let told = told.map(|commit| (format!("{}/{}", orders.name, orders.incarnation), commit));
        self.late_commits.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }

    fn died(&self, orders: &Orders, not_before_ns: u64) {
        let (process, incarnation) = (orders.name.clone(), orders.incarnation);
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner).push(Death { process, incarnation, not_before_ns });
    }

    /// One history of all that the workers wrote into the folder, of their deaths, and of what the nemesis did.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else.
    pub(crate) fn history(&self, folder: &Path, nemesis: Vec<Event>) -> Result<Vec<Event>, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).map_err(failed)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "life"));
        files.sort();
        let mut histories = vec![nemesis];
        for file in files {
            let bytes = std::fs::read(&file).map_err(failed)?;
            let read = read_lines(&bytes, Ending::MayBeTorn);
            histories.push(read.map_err(|error| format!("{}: {error}", file.display()))?);
        }
        let deaths = self.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        let deaths = deaths.iter().map(|death| {
            let life = |event: &&Event| event.process == death.process && event.incarnation == death.incarnation;
            // Between the signal and the death it may have told something still. Nothing of it came after the death, so
            // this is not later than that; when it was seen to be dead is, and a standby may have been faster.
            let last = histories.iter().flatten().filter(life).map(|event| event.at_ns + 1).max();
            let (process, incarnation) = (death.process.clone(), death.incarnation);
            Event { at_ns: last.unwrap_or(0).max(death.not_before_ns), process, incarnation, what: What::Killed }
        });
        let deaths = deaths.collect();
        histories.push(deaths);
        Ok(merge(histories))
    }
}

fn ns(moment: ha::seam::Moment) -> u64 {
    u64::try_from(moment.since_origin().as_nanos()).unwrap_or(u64::MAX)
}

impl Member {
    pub(crate) fn new(orders: Orders, folder: &Path) -> Self {
        Self { orders, folder: folder.to_owned(), process: None }
    }

    /// Begins another life, unless it lives.
    pub(crate) fn start(&mut self, seam: &Seam) {
        if self.process.is_some() {
            return;
        }
        self.orders.incarnation += 1;
        self.orders.history = self.folder.join(format!("{}-{}.life", self.orders.name, self.orders.incarnation));
        self.process = Some(Process::spawn(seam.clone(), ROLE, &self.orders));
    }

    /// The process, if it lives. One that has ended by itself is a finding, and dead.
    fn alive(&mut self, seam: &Seam, remains: &Remains) -> Option<&mut Process> {
        let status = self.process.as_mut()?.status();
        if let (Some(status), Some(process)) = (status, &self.process) {
            let (name, errors) = (&self.orders.name, process.errors());
            remains.finding(format!("{name}/{} ended by itself, {status}: {errors}", self.orders.incarnation));
            remains.died(&self.orders, ns(seam.now()));
            remains.over(&self.orders, process);
            self.process = None;
        }
        self.process.as_mut()
    }

    /// Whether it lives.
    pub(crate) fn is_alive(&mut self, seam: &Seam, remains: &Remains) -> bool {
        self.alive(seam, remains).is_some()
    }

    /// Whether it tells that within the time.
    pub(crate) async fn has_told(&mut self, what: &str, at_most: Duration, seam: &Seam) -> bool {
        let began = seam.now();
        while seam.now().since(began) < at_most {
            match &self.process {
                Some(process) if process.events().iter().any(|event| event.name == what) => return true,
                Some(_) => seam.sleep(Duration::from_millis(20)).await,
                None => return false,
            }
        }
        false
    }

    /// SIGKILL. Whether it lived.
    pub(crate) async fn kill(&mut self, seam: &Seam, remains: &Remains) -> bool {
        if self.alive(seam, remains).is_none() {
            return false;
        }
        let Some(mut process) = self.process.take() else { return false };
        let at = process.kill();
        remains.died(&self.orders, ns(at));
        process.exited().await;
        remains.over(&self.orders, &process);
        true
    }

    /// SIGSTOP, and SIGCONT after that time. Whether it lived.
    pub(crate) async fn pause(&mut self, lasts: Duration, seam: &Seam, remains: &Remains, notes: &Recording) -> bool {
        let Some(process) = self.alive(seam, remains) else { return false };
        process.stop().await;
        self.stay(lasts, seam, notes).await;
        true
    }

    /// Lets it stop itself at its next commit, and go on after that time. Whether there was one.
    pub(crate) async fn pause_in_commit(
        &mut self,
        lasts: Duration,
        seam: &Seam,
        remains: &Remains,
        notes: &Recording,
    ) -> bool {
        let sign = self.orders.signs.stop.clone();
        let waits_until = seam.now() + COMMITS_WITHIN;
        if self.alive(seam, remains).is_none() || std::fs::write(&sign, b"").is_err() {
            return false;
        }
        loop {
            // It has ended by itself, which is a finding already.
            let Some(process) = self.alive(seam, remains) else {
                let _ = std::fs::remove_file(&sign);
                return false;
            };
            if process.is_stopped() {
                break;
            }
            // Who has taken the sign away stops in a moment.
            if seam.now() >= waits_until && std::fs::remove_file(&sign).is_ok() {
                return false;
            }
            seam.sleep(Duration::from_millis(1)).await;
        }
        self.stay(lasts, seam, notes).await;
        true
    }

    /// It stands still already.
    async fn stay(&mut self, lasts: Duration, seam: &Seam, notes: &Recording) {
        notes.note(&self.orders.name, self.orders.incarnation, What::Paused);
        seam.sleep(lasts).await;
        notes.note(&self.orders.name, self.orders.incarnation, What::Resumed);
        if let Some(process) = &mut self.process {
            process.cont();
        }
    }

    /// SIGTERM, and SIGKILL if it does not end. Whether it ended in order.
    pub(crate) async fn end(&mut self, seam: &Seam, remains: &Remains) -> bool {
        if self.alive(seam, remains).is_none() {
            return false;
        }
        // One that has only just begun listens to nobody yet, and would be killed by it.
        let began = seam.now();
        while !self.orders.history.exists() && seam.now().since(began) < ENDS_WITHIN {
            seam.sleep(Duration::from_millis(5)).await;
        }
        if self.alive(seam, remains).is_none() {
            return false;
        }
        let Some(mut process) = self.process.take() else { return false };
        process.terminate();
        let ended = match seam.timeout(ENDS_WITHIN, process.exited()).await {
            Some(status) if status.success() => true,
            Some(status) => {
                remains.finding(format!("{} ended with {status}: {}", self.orders.name, process.errors()));
                remains.died(&self.orders, ns(seam.now()));
                false
            }
            None => {
                remains.died(&self.orders, ns(seam.now()));
                process.kill();
                process.exited().await;
                false
            }
        };
        remains.over(&self.orders, &process);
        ended
    }
}
