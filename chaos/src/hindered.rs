//! What goes wrong at one commit of a process: it stands still just before, or is not told what became of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ha::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use ha::{Error, ErrorKind};
use ha_testkit::process::Stage;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// How long a process that has stopped itself may still run: the system stops its threads one after another.
const RUNS_ON: Duration = Duration::from_millis(20);

/// The files by which a worker is told what is to go wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signs {
    /// While it is there, the next commit under a leadership removes it and stops the whole process; when the process is
    /// let go on, the commit is sent, as if it had been on its way. A signal from outside meets a process in this very
    /// moment once in many runs; and what a fence is for is this moment.
    pub(crate) stop: PathBuf,
    /// While it is there, commits are carried out, and their answers lost. Each of them adds a byte.
    pub(crate) lose: PathBuf,
}

impl Signs {
    pub(crate) fn of(folder: &Path, name: &str) -> Self {
        Self { stop: folder.join(format!("{name}.stop")), lose: folder.join(format!("{name}.lose")) }
    }
}

/// What a process tells of a commit that it sent when it went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LateCommit {
    /// Under which term.
    pub(crate) epoch: u64,
    /// Just before it was handed to the backend, by the machine's clock.
    pub(crate) sent_ns: u64,
    /// What became of it, in a word.
    pub(crate) outcome: String,
}

impl LateCommit {
    /// What it is told as.
    pub(crate) const NAME: &'static str = "late-commit";
    pub(crate) const APPLIED: &'static str = "applied";
    pub(crate) const CONFLICT: &'static str = "conflict";

    /// Whether no fence has held it back.
    pub(crate) fn has_passed(&self) -> bool {
        [Self::APPLIED, Self::CONFLICT].contains(&self.outcome.as_str())
    }
}

/// Passes everything on, but for what its sign says.
#[derive(Debug)]
pub(crate) struct Hindered {
    inner: Arc<dyn Backend>,
    by: By,
    stage: Stage,
}

#[derive(Debug)]
enum By {
    Stopping(PathBuf),
    LosingAnswers(PathBuf),
}

impl Hindered {
    /// By [`Signs::stop`].
    pub(crate) fn stopping(inner: Arc<dyn Backend>, signs: &Signs, stage: Stage) -> Arc<dyn Backend> {
        Arc::new(Self { inner, by: By::Stopping(signs.stop.clone()), stage })
    }

    /// By [`Signs::lose`].
    pub(crate) fn losing_answers(inner: Arc<dyn Backend>, signs: &Signs, stage: Stage) -> Arc<dyn Backend> {
        Arc::new(Self { inner, by: By::LosingAnswers(signs.lose.clone()), stage })
    }

    async fn stop_and_commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let (answer, answered) = oneshot::channel();
        let (inner, commit, stage) = (Arc::clone(&self.inner), commit.clone(), self.stage.clone());
        // What is on its way cannot be called back: it is sent though its caller has noticed the time meanwhile.
        let sending = async move {
            stage.stand_still();
            stage.seam().sleep(RUNS_ON).await;
            let sent_ns = u64::try_from(stage.seam().now().since_origin().as_nanos()).unwrap_or(u64::MAX);
            let outcome = inner.commit(&commit).await;
            if let Some(fence) = &commit.guard {
                let (epoch, outcome) = (fence.term.epoch, in_a_word(&outcome));
                stage.tell(LateCommit::NAME, LateCommit { epoch, sent_ns, outcome });
            }
            // Its caller may be gone.
            let _ = answer.send(outcome);
        };
        self.stage.seam().spawn(sending).detach();
        answered.await.unwrap_or_else(|_| Err(unknown("its task has ended")))
    }
}

fn in_a_word(outcome: &Result<Outcome, Error>) -> String {
    match outcome {
        Ok(Outcome::Applied { .. }) => LateCommit::APPLIED.to_owned(),
        Ok(Outcome::Conflict { .. }) => LateCommit::CONFLICT.to_owned(),
        Ok(_) => "fenced".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn unknown(why: &'static str) -> Error {
    Error::new(ErrorKind::Indeterminate, "commit").because(why)
}

#[async_trait]
impl Backend for Hindered {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.read(key).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.inner.list(below).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.inner.changed(scope, seen).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        match &self.by {
            By::Stopping(sign) if commit.guard.is_some() && std::fs::remove_file(sign).is_ok() => {
                self.stop_and_commit(commit).await
            }
            By::Stopping(_) => self.inner.commit(commit).await,
            By::LosingAnswers(sign) => {
                let outcome = self.inner.commit(commit).await;
                let sign = OpenOptions::new().append(true).open(sign);
                match sign.and_then(|mut sign| sign.write_all(b".")) {
                    Ok(()) => Err(unknown("its answer was lost")),
                    Err(_) => outcome,
                }
            }
        }
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.inner.open_session(options).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
