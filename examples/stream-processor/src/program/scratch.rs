use std::io;
use std::path::Path;
use std::time::Duration;

use ha::seam::Seam;
use tempfile::TempDir;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;

/// How often the removal of a directory is tried while somebody still writes into it.
const TRIES: u32 = 50;
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// The signals that end the program in good order.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The number of the first one that comes.
    #[cfg(unix)]
    async fn next(&mut self) -> u8 {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => 15,
            Some(()) = self.interrupt.recv() => 2,
            else => std::future::pending().await,
        }
    }

    /// The number of the first one that comes.
    #[cfg(not(unix))]
    async fn next(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }

    /// Does the work, which is dropped when a signal comes.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            signal = self.next() => Err(Failure::Interrupted(signal)),
            done = work => done,
        }
    }
}

/// A temporary directory, gone when the program ends in whatever way but SIGKILL.
#[derive(Debug)]
pub(super) struct Scratch(TempDir);

impl Scratch {
    pub(super) fn new() -> Result<Self, Failure> {
        tempfile::Builder::new()
            .prefix("stream-processor-")
            .tempdir()
            .map(Self)
            .map_err(|e| Failure::Io("no temporary directory".into(), e))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Removes it. Threads that were told to stop may still write a last file, so this may take a moment.
    pub(super) async fn remove(self) {
        let (path, seam) = (self.0.path().to_owned(), Seam::system());
        for _try in 0..TRIES {
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => seam.sleep(TRY_AGAIN).await,
                _ => return,
            }
        }
        tracing::warn!(path = %path.display(), "a temporary directory could not be removed");
    }
}
