use std::collections::VecDeque;
use std::fmt;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::seam::{Moment, Seam, Task};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

use super::Event;
use super::role::{Part, VARIABLE};

/// How long a wait lasts before the process is taken for one that does not do its part.
const PATIENCE: Duration = Duration::from_secs(120);
/// The most events that are kept of one process; more are a mistake.
const EVENTS_MAX: usize = 1 << 20;
/// The longest line that is read for an event, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// How much of the standard error is kept, in bytes.
const ERRORS_BYTES_MAX: usize = 64 * 1024;

/// A child process in a [role](super::role()). Dropping it kills and reaps it.
pub struct Process {
    child: Child,
    name: String,
    seam: Seam,
    told: Arc<Told>,
    _readers: [Task; 2],
}

/// What was heard of a process.
#[derive(Default)]
struct Told {
    state: Mutex<State>,
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    errors: VecDeque<u8>,
    silent: bool,
}

impl Process {
    /// Starts this program once more, in that role with those arguments.
    ///
    /// The role is handed on in an environment variable, as JSON, and the rest of the environment as
    /// it is. The process begins a process group of its own.
    ///
    /// # Panics
    /// The program cannot be started, or the arguments cannot be written as JSON.
    #[must_use = "dropping a Process kills it"]
    pub fn spawn(seam: Seam, role: &str, arguments: &impl Serialize) -> Self {
        let arguments = serde_json::to_value(arguments).expect("arguments that can be written as JSON");
        let part = serde_json::to_string(&Part { role: role.into(), arguments }).expect("a JSON value is JSON");
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut child = Command::new(program)
            // For a test runner: the test that plays the role, alone. A `main` plays it before it looks.
            .args(["--exact", role, "--nocapture"])
            .env(VARIABLE, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("the process {role} cannot be started: {error}"));
        let told = Arc::new(Told::default());
        let output: OwnedFd = child.stdout.take().expect("asked for above").into();
        let errors: OwnedFd = child.stderr.take().expect("asked for above").into();
        // On the critical thread: a test that blocks its runtime does not keep a process from talking.
        let readers = [
            seam.spawn_critical(read_events(output, Arc::clone(&told))),
            seam.spawn_critical(read_errors(errors, Arc::clone(&told))),
        ];
        Self { child, name: role.into(), seam, told, _readers: readers }
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has told so far, in its order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.told.state().events.clone()
    }

    /// The last part of what it wrote to its standard error, at most 64 KiB.
    #[must_use]
    pub fn errors(&self) -> String {
        let errors: Vec<u8> = self.told.state().errors.iter().copied().collect();
        String::from_utf8_lossy(&errors).into_owned()
    }

    /// Waits until it has told an event of that name, and answers the first one.
    ///
    /// # Panics
    /// It does not come within two minutes, or the process ends before. The text shows what it wrote.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn told(&self, name: &str) -> Event {
        self.until(name, |events| events.iter().find(|event| event.name == name).cloned()).await
    }

    /// Waits until all that it has told so far holds what is looked for.
    ///
    /// # Panics
    /// As [`Process::told`], with `what` in the text.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn until<T>(&self, what: &str, mut find: impl FnMut(&[Event]) -> Option<T>) -> T {
        let mut news = self.told.news.subscribe();
        let found = self.seam.timeout(PATIENCE, async {
            loop {
                {
                    let state = self.told.state();
                    if let Some(found) = find(&state.events) {
                        return Some(found);
                    }
                    if state.silent {
                        return None;
                    }
                }
                // The sender lives in what `self` holds.
                let _ = news.changed().await;
            }
        });
        match found.await {
            Some(Some(found)) => found,
            Some(None) => panic!("{} ended before: {what}{}", self.name, self.report()),
            None => panic!("waited {PATIENCE:?} in vain for {}: {what}{}", self.name, self.report()),
        }
    }

    /// Kills it, as by `kill -9`. Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already.
    pub fn kill(&mut self) -> Moment {
        self.signal(Signal::KILL)
    }

    /// Asks it to end, as by `kill`. Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already.
    pub fn terminate(&mut self) -> Moment {
        self.signal(Signal::TERM)
    }

    /// Stops all of its threads, as a long pause of the machine does, and returns when they stand still.
    /// Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already, or is not stopped within two minutes.
    ///
    /// # Cancel safety
    /// After a drop it is stopped, or will be.
    pub async fn stop(&mut self) -> Moment {
        let at = self.signal(Signal::STOP);
        self.poll("it stands still", || self.is_stopped().then_some(())).await;
        at
    }

    /// Whether it stands still, by [`Process::stop`] or by its own doing.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(Some(_)))
    }

    /// Lets it go on after [`Process::stop`]. Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already.
    pub fn cont(&mut self) -> Moment {
        self.signal(Signal::CONT)
    }

    /// Waits until it has ended, reaps it, and has read all that it told before.
    ///
    /// # Panics
    /// It does not end within two minutes, or something that it started still holds its standard output.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn exited(&mut self) -> ExitStatus {
        let deadline = self.seam.now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.status() {
                break status;
            }
            assert!(self.seam.now() < deadline, "{} does not end{}", self.name, self.report());
            self.seam.sleep(Duration::from_millis(1)).await;
        };
        self.poll("it told its last", || self.told.state().silent.then_some(())).await;
        status
    }

    /// How it ended; `None` while it is alive.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    fn signal(&mut self, signal: Signal) -> Moment {
        // A child that was not reaped keeps its number, so the signal reaches nobody else.
        assert!(self.status().is_none(), "{} has ended already{}", self.name, self.report());
        let at = self.seam.now();
        kill_process(Pid::from_child(&self.child), signal).expect("a child of ours takes signals");
        at
    }

    async fn poll<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                self.seam.sleep(Duration::from_millis(1)).await;
            }
        };
        let found = self.seam.timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {}: {what}{}", self.name, self.report()))
    }

    fn report(&self) -> String {
        let events = self.events();
        let last: Vec<&str> = events.iter().rev().take(10).map(|event| event.name.as_str()).collect();
        format!("\nit told {} events, the last first: {last:?}; it wrote:\n{}", events.len(), self.errors())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, perhaps. A killed process ends at once, so this does not wait for long.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // If it cannot be shown, nothing is lost but the sight of it.
            let whose = std::thread::current().name().unwrap_or_default().to_owned();
            let _ = writeln!(std::io::stderr(), "{whose}: process {} ({}){}", self.name, self.id(), self.report());
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("role", &self.name).field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Told {
    fn state(&self) -> MutexGuard<'_, State> {
        // No step under the lock leaves the state half-changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.news.send_modify(|news| *news += 1);
    }
}

/// Hands on what comes through a pipe until it ends.
async fn read(pipe: OwnedFd, mut take: impl FnMut(&[u8])) {
    let Ok(mut pipe) = Receiver::from_owned_fd(pipe) else { return };
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = pipe.read(&mut bytes).await {
        take(&bytes[..read]);
    }
}

async fn read_events(pipe: OwnedFd, told: Arc<Told>) {
    let mut line = Vec::new();
    let take = |bytes: &[u8]| {
        for byte in bytes {
            if *byte != b'\n' {
                if line.len() < LINE_BYTES_MAX {
                    line.push(*byte);
                }
                continue;
            }
            if let Some(event) = Event::parse(&String::from_utf8_lossy(&line)) {
                told.change(|state| {
                    if state.events.len() < EVENTS_MAX {
                        state.events.push(event);
                    }
                });
            }
            line.clear();
        }
    };
    read(pipe, take).await;
    told.change(|state| state.silent = true);
}

async fn read_errors(pipe: OwnedFd, told: Arc<Told>) {
    let take = |bytes: &[u8]| {
        let errors = &mut told.state().errors;
        errors.extend(bytes);
        let over = errors.len().saturating_sub(ERRORS_BYTES_MAX);
        errors.drain(..over);
    };
    read(pipe, take).await;
}
