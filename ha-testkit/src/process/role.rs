use std::future::Future;
use std::io::{Write as _, stderr, stdin, stdout};
use std::os::fd::AsFd;

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
    let seam = Seam::system();
    let _watch = watch_parent(&seam);
    crate::run::block_on(play(arguments, Stage { seam }));
    std::process::exit(0);
}

/// Ends the process when its parent is gone: then its standard input ends.
fn watch_parent(seam: &Seam) -> Option<Task> {
    // Started by hand, perhaps: then whoever did it ends it.
    let input = stdin().as_fd().try_clone_to_owned().ok()?;
    Some(seam.spawn_critical(async move {
        let Ok(mut input) = Receiver::from_owned_fd(input) else { return };
        let mut ignored = [0; 64];
        while matches!(input.read(&mut ignored).await, Ok(read) if read > 0) {}
        std::process::exit(STATUS_ORPHANED);
    }))
}

/// Where a role tells what it does.
#[derive(Debug, Clone)]
pub struct Stage {
    seam: Seam,
}

impl Stage {
    /// Time, randomness and tasks of this process.
    #[must_use]
    pub fn seam(&self) -> &Seam {
        &self.seam
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
            std::process::exit(STATUS_ORPHANED);
        }
    }
}
