//! Leaks on purpose: a soak that finds none of them proves nothing.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{Backend, Commit, Expect, Key, Mark, Scope, Session, SessionOptions};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

use crate::{Gauge, Place};

/// So much that it shows in resident memory after a few cycles, when what is allocated still grows by itself.
const MEMORY_BYTES: usize = 256 * 1024;

/// Longer than any soak.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What is leaked, once in each cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leak {
    /// A task that waits for ever.
    Task,
    /// Somebody who sleeps for ever.
    Timer,
    /// A thread that does not end while the soak lasts.
    Thread,
    /// A session that nobody closes, and with it a latch that it holds.
    Session,
    /// An open file.
    Descriptor,
    /// A connection that nobody closes: one end of it is here, and the other one, too.
    Connection,
    /// A key that nobody removes.
    Key,
    /// A watch that waits in the backend for what never comes.
    Watch,
    /// A file in the directory that nobody removes.
    File,
    /// A health check that the agent keeps.
    Check,
    /// A quarter of a megabyte.
    Memory,
}

impl Leak {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Task,
        Self::Timer,
        Self::Thread,
        Self::Session,
        Self::Descriptor,
        Self::Connection,
        Self::Key,
        Self::Watch,
        Self::File,
        Self::Check,
        Self::Memory,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Timer => "timer",
            Self::Thread => "thread",
            Self::Session => "session",
            Self::Descriptor => "descriptor",
            Self::Connection => "connection",
            Self::Key => "key",
            Self::Watch => "watch",
            Self::File => "file",
            Self::Check => "check",
            Self::Memory => "memory",
        }
    }

    /// Where it must be found.
    #[must_use]
    pub fn found_as(self) -> Gauge {
        match self {
            Self::Task => Gauge::Tasks,
            Self::Timer => Gauge::Timers,
            Self::Thread => Gauge::Threads,
            Self::Session => Gauge::Sessions,
            Self::Descriptor => Gauge::Descriptors,
            Self::Connection => Gauge::Sockets,
            Self::Key => Gauge::Keys,
            Self::Watch => Gauge::Watches,
            Self::File => Gauge::Files,
            Self::Check => Gauge::Checks,
            // What is resident breathes with what is beside it.
            Self::Memory => Gauge::Allocated,
        }
    }
}

/// What was leaked.
#[derive(Debug, Default)]
pub(crate) struct Leaked {
    sessions: Vec<Box<dyn Session>>,
    files: Vec<File>,
    connections: Vec<TcpStream>,
    /// Each keeps a thread waiting until it is dropped.
    threads: Vec<Sender<()>>,
    bytes: Vec<Vec<u8>>,
}

impl Leaked {
    pub(crate) async fn leak(
        &mut self,
        what: Leak,
        seam: &Seam,
        backend: &Arc<dyn Backend>,
        place: &dyn Place,
    ) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::new(ErrorKind::Unavailable, "leak").caused_by(error);
        match what {
            Leak::Task => seam.spawn(std::future::pending()).detach(),
            Leak::Timer => {
                let clock = seam.clone();
                seam.spawn(async move { clock.sleep(NEVER).await }).detach();
            }
            Leak::Thread => {
                let (sender, receiver) = std::sync::mpsc::channel();
                // It hears of the end of its sender.
                let thread = std::thread::Builder::new().name("leaked".into()).spawn(move || receiver.recv().is_err());
                thread.map_err(failed)?;
                self.threads.push(sender);
            }
            Leak::Connection => {
                let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                self.connections.push(TcpStream::connect(address).map_err(failed)?);
                self.connections.push(listener.accept().map_err(failed)?.0);
            }
            Leak::Watch => {
                let (backend, scope) = (Arc::clone(backend), Scope::Key(Key::new("leaked/never")?));
                let seen = backend.changed(&scope, &Mark::UNSEEN).await?.mark();
                seam.spawn(async move { drop(backend.changed(&scope, &seen).await) }).detach();
            }
            Leak::File | Leak::Check => {
                if !place.leak(what).await? {
                    let why = format!("this backend holds no such thing as a {}", what.name());
                    return Err(Error::new(ErrorKind::Invalid, "leak").because(why));
                }
            }
            Leak::Session => {
                let session = backend.open_session(&SessionOptions::default()).await?;
                // A journal knows a session only when it has taken something.
                let latch =
                    ha_core::backend::Latch::below(&Key::new(format!("leaked-{}/a", self.sessions.len()))?.home());
                session.try_acquire(&latch, Bytes::from_static(b"leak"), None).await?;
                self.sessions.push(session);
            }
            Leak::Descriptor => self.files.extend(File::open("/dev/null")),
            Leak::Key => {
                let key = Key::new(format!("leaked/{}", seam.uuid()))?;
                let commit = Commit::new(seam.write_id()).put(key, Expect::Absent, Bytes::from_static(b"leak"));
                backend.commit(&commit).await?;
            }
            Leak::Memory => self.bytes.push(vec![1; MEMORY_BYTES]),
        }
        Ok(())
    }
}
