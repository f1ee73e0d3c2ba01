use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ha_core::seam::{Moment, Seam};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How long a server may take to stand still or to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much of what a server wrote is shown, in bytes.
const SHOWN_BYTES: u64 = 16 * 1024;

/// Becomes the server once the keeper knows it: if this process is gone by then, there is no server.
const STARTER: &str = r#"read -r go && [ "$go" = go ] && exec "$0" "$@" </dev/null"#;
/// Waits for the end of this process, then ends the server and removes its folder.
const KEEPER: &str = r#"read -r never
kill -KILL "$1" 2>/dev/null
n=0; while kill -0 "$1" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
rm -rf -- "$2""#;

/// A foreign program in a process of its own. Dropping it kills and reaps it.
pub(super) struct Program {
    name: String,
    seam: Seam,
    child: Child,
    /// Its standard input ends with this process, however that ends.
    keeper: Child,
    log: PathBuf,
    reaped: bool,
}

impl Program {
    /// Starts it, with what it writes going to `log` in the folder. Where this process ends without
    /// dropping the value, the folder is removed too.
    ///
    /// # Panics
    /// It cannot be started.
    pub(super) fn start(seam: Seam, name: &str, command: &[&str], folder: &Path) -> Self {
        let log = folder.join("log");
        let file = OpenOptions::new().create(true).append(true).open(&log).expect("a log in a folder of ours");
        let errors = file.try_clone().expect("a second handle on a file");
        let shell = |script: &str| {
            let mut shell = Command::new("sh");
            // Groups of their own: what ends this process from a terminal does not end the keeper.
            shell.arg("-c").arg(script).stdin(Stdio::piped()).process_group(0);
            shell
        };
        let mut child = shell(STARTER)
            .args(command)
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let keeper = shell(KEEPER)
            .arg("keeper")
            .arg(child.id().to_string())
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("the keeper of {name} cannot be started: {error}"));
        let mut input = child.stdin.take().expect("asked for above");
        // A starter that is gone shows when the server is waited for.
        let _ = input.write_all(b"go\n");
        Self { name: name.into(), seam, child, keeper, log, reaped: false }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, by itself or not.
    pub(super) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.reaped || !matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(None))
    }

    /// Kills it and waits until it is gone, with its ports.
    pub(super) fn kill(&mut self) -> Moment {
        let at = self.seam.now();
        self.reap();
        at
    }

    /// # Panics
    /// It has ended already.
    pub(super) fn terminate(&self) -> Moment {
        self.signal(Signal::TERM)
    }

    /// # Panics
    /// It has ended already, or is not stopped within two minutes.
    pub(super) async fn stop(&self) -> Moment {
        let at = self.signal(Signal::STOP);
        let pid = Pid::from_child(&self.child);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.poll("it stands still", || matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_)))).await;
        at
    }

    /// # Panics
    /// It has ended already.
    pub(super) fn cont(&self) -> Moment {
        self.signal(Signal::CONT)
    }

    /// # Panics
    /// It does not end within two minutes.
    pub(super) async fn exited(&mut self) {
        self.poll("it ends", || self.has_ended()).await;
        self.reap();
    }

    fn signal(&self, signal: Signal) -> Moment {
        // A child that was not reaped keeps its number, so the signal reaches nobody else.
        assert!(!self.has_ended(), "{} has ended already{}", self.name, self.report());
        let at = self.seam.now();
        kill_process(Pid::from_child(&self.child), signal).expect("a child of ours takes signals");
        at
    }

    async fn poll(&self, what: &str, look: impl Fn() -> bool) {
        let looking = async {
            while !look() {
                self.seam.sleep(Duration::from_millis(1)).await;
            }
        };
        let seen = self.seam.timeout(PATIENCE, looking).await;
        assert!(seen.is_some(), "waited {PATIENCE:?} in vain for {}: {what}{}", self.name, self.report());
    }

    fn reap(&mut self) {
        if self.reaped {
            return;
        }
        // In this order: the keeper must not outlive the number of the server, and until it is gone the
        // server must not be reaped. What has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = self.child.wait();
        self.reaped = true;
    }

    /// The last part of what it wrote, as a text to put behind a complaint.
    pub(super) fn report(&self) -> String {
        let tail = || {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        format!("\n{} wrote:\n{}", self.name, tail().unwrap_or_else(|error| format!("what it wrote is lost: {error}")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.reap();
        if std::thread::panicking() {
            // If it cannot be shown, nothing is lost but the sight of it.
            let _ = writeln!(std::io::stderr(), "{}", self.report());
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.name).field("id", &self.id()).finish_non_exhaustive()
    }
}
