use std::fmt;
use std::future::Future;
use std::io::{Write as _, stderr, stdin, stdout};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use ha_core::seam::{Seam, Task};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::Event;

/// The variable that says which role a process is started in, and with which arguments.
pub(super) const VARIABLE: &str = "HA_TESTKIT_ROLE";

/// The exit status of a process whose arguments do not fit its role.
const STATUS_ARGUMENTS: i32 = 64;
/// The exit status of a process whose parent is gone.
const STATUS_ORPHANED: i32 = 65;

#[derive(Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) role: String,
    pub(super) arguments: Value,
}

/// Plays a role, if this process was started in it by [`Process::spawn`](super::Process::spawn), and
/// ends the process when it is over. Otherwise it returns at once and does nothing.
///
/// In a test binary `name` must be the name of the test that calls it, modules included: it is what
/// the process is told to run. The role is played on a runtime with two threads; if it panics, the
/// process fails.
///
/// Its standard output belongs to the [`Stage`]; what it prints there is ignored. What it prints to its standard
/// error is shown when something fails.
pub fn role<A, F>(name: &str, play: impl FnOnce(A, Stage) -> F)
where
    A: DeserializeOwned,
    F: Future<Output = ()>,
{
    in_role(name, play, crate::run::block_on);
}

/// As [`role`], on a runtime that has the thread of its caller alone: for tests that start a hundred processes, each of
/// which does little. What it spawns as critical has a thread of its own here as everywhere.
pub fn role_on_one_thread<A, F>(name: &str, play: impl FnOnce(A, Stage) -> F)
where
    A: DeserializeOwned,
    F: Future<Output = ()>,
{
    in_role(name, play, |playing| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime without threads of its own").block_on(playing);
    });
}

fn in_role<A, F>(name: &str, play: impl FnOnce(A, Stage) -> F, run: impl FnOnce(F))
where
    A: DeserializeOwned,
    F: Future<Output = ()>,
{
    let Some(part) = std::env::var(VARIABLE).ok().and_then(|text| serde_json::from_str::<Part>(&text).ok()) else {
        return;
    };
    if part.role != name {
        return;
    }
    let arguments = match serde_json::from_value(part.arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // If nobody can be told, the status still says it.
            let _ = writeln!(stderr(), "the arguments do not fit the role {name}: {error}");
            std::process::exit(STATUS_ARGUMENTS);
        }
    };
    let stage = Stage { seam: Seam::system(), last: Last::default() };
    let _watch = watch_parent(&stage);
    run(play(arguments, stage));
    std::process::exit(0);
}

/// Ends the process when its parent is gone: then its standard input ends.
fn watch_parent(stage: &Stage) -> Option<Task> {
    // Started by hand, perhaps: then whoever did it ends it.
    let input = stdin().as_fd().try_clone_to_owned().ok()?;
    let last = stage.last.clone();
    Some(stage.seam.spawn_critical(async move {
        let Ok(mut input) = Receiver::from_owned_fd(input) else { return };
        let mut ignored = [0; 64];
        while matches!(input.read(&mut ignored).await, Ok(read) if read > 0) {}
        last.is_orphaned();
    }))
}

type Step = Box<dyn FnOnce() + Send>;

/// What is left to do when the parent is gone.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<Step>>>);

impl Last {
    fn is_orphaned(&self) -> ! {
        // Two threads may notice it at once. The second one waits here, and ends with the process.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(step) = last.take() {
            step();
        }
        std::process::exit(STATUS_ORPHANED)
    }
}

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Last")
    }
}

/// Where a role tells what it does.
#[derive(Debug, Clone)]
pub struct Stage {
    seam: Seam,
    last: Last,
}

impl Stage {
    /// Time, randomness and tasks of this process.
    #[must_use]
    pub fn seam(&self) -> &Seam {
        &self.seam
    }

    /// What this process still does when it finds its parent gone, before it ends: it removes what the parent would
    /// have removed. A second call replaces the first. Not done if this process is killed as well.
    pub fn when_orphaned(&self, step: impl FnOnce() + Send + 'static) {
        *self.last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(step));
    }

    /// Stops this whole process, as SIGSTOP does, until its parent lets it go on: see
    /// [`Process::is_stopped`](super::Process::is_stopped). The system stops one thread after another, so this may return
    /// some moments before the caller's stands still.
    pub fn stand_still(&self) {
        // A process may always send signals to itself.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
    }

    /// Tells the parent that something happened, just now. It is on its way when this returns; a
    /// process that is killed afterwards has told it.
    ///
    /// # Panics
    /// The value cannot be written as JSON.
    pub fn tell(&self, name: &str, value: impl Serialize) {
        let at = self.seam.now();
        let value = serde_json::to_value(value).expect("a value that can be written as JSON");
        let line = Event { name: name.into(), value, at }.line();
        let mut stdout = stdout().lock();
        // Nobody listens: the parent is gone, and so is the reason to go on.
        if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            self.last.is_orphaned();
        }
    }
}
