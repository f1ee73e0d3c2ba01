use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::backend::{Ended, Profile};
use ha_core::seam::Moment;
use ha_core::{Error, ErrorKind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::message::{FromHost, ToHost};
use crate::remote::cell::Cell;
use crate::remote::wire::{self, MESSAGE_BYTES_MAX};

/// How many words may wait until they are written: more than a host that listens ever has before it.
const WORDS_MAX: usize = 65_536;

/// Takes the answer to one call. Dropped without one, it tells that none will come.
type Take = Box<dyn FnOnce(FromHost) + Send>;

/// The connection to a host: who waits for what.
pub(super) struct Line {
    state: Mutex<State>,
    /// What is to be written, in its order.
    out: mpsc::Sender<Vec<u8>>,
}

#[derive(Default)]
struct State {
    last: u64,
    calls: BTreeMap<u64, Take>,
    /// What was told of the sessions, by the numbers of the calls that open them.
    cells: BTreeMap<u64, Arc<Cell>>,
    /// Why the host is gone.
    gone: Option<String>,
}

/// Why a call was not made.
#[derive(Debug)]
pub(super) enum NotMade {
    /// There is no host any more.
    Gone(String),
    /// It does not fit into a frame.
    TooLarge(String),
}

impl Line {
    /// A line, and what is written to it.
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<Vec<u8>>) {
        let (out, words) = mpsc::channel(WORDS_MAX);
        (Arc::new(Self { state: Mutex::default(), out }), words)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step under the lock leaves the state half-changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call. It is on its way, behind all that were made before, when this returns. `cell` is for what is told
    /// of the session that it opens.
    pub(super) fn ask(
        self: &Arc<Self>,
        message: impl FnOnce(u64) -> ToHost,
        take: impl FnOnce(FromHost) + Send + 'static,
        cell: Option<&Arc<Cell>>,
    ) -> Result<Asked, NotMade> {
        let number = {
            let mut state = self.state();
            state.last += 1;
            state.last
        };
        // Without the lock: it may be long.
        let frame = wire::frame(&message(number)).map_err(|error| NotMade::TooLarge(error.to_string()))?;
        let mut state = self.state();
        if let Some(why) = &state.gone {
            return Err(NotMade::Gone(why.clone()));
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.out.try_send(frame) {
            return Err(NotMade::Gone(format!("the host stands still, with {WORDS_MAX} words before it")));
        }
        // If the other end has just gone, `is_gone` comes next, and drops who waits.
        state.calls.insert(number, Box::new(take));
        // Race: the host tells of the session before anybody knows where to keep it.
        // Closed by: both are entered under the lock that what it tells is looked up under.
        // Cost if missed: the session seems past its deadline until its next renewal.
        if let Some(cell) = cell {
            state.cells.insert(number, Arc::clone(cell));
        }
        Ok(Asked { line: Arc::clone(self), number })
    }

    fn take(&self, message: FromHost) {
        match message {
            FromHost::Session { opened, valid_until_ns, ended } => {
                let Some(cell) = self.state().cells.get(&opened).cloned() else { return };
                match ended {
                    Some(why) => cell.end(why.ended()),
                    None => cell.valid_up_to(Moment::after_origin(Duration::from_nanos(valid_until_ns))),
                }
            }
            FromHost::Answer { number, .. } | FromHost::Waiting { number, .. } => {
                let waits = self.state().calls.remove(&number);
                // Otherwise nobody waits for it any more.
                if let Some(take) = waits {
                    take(message);
                }
            }
            // Said once, at the start.
            FromHost::Welcome(_) | FromHost::Refused(_) => {}
        }
    }

    /// The host is gone: nobody is answered any more, and nobody renews its sessions.
    fn is_gone(&self, why: String) {
        let (calls, cells) = {
            let mut state = self.state();
            state.gone = Some(why);
            (std::mem::take(&mut state.calls), std::mem::take(&mut state.cells))
        };
        cells.values().for_each(|cell| cell.end(Ended::Expired));
        drop(calls);
    }

    /// Speaks with the host at that address until it is gone. `opened` is told how opening the handle ended.
    pub(super) async fn run(
        self: Arc<Self>,
        address: SocketAddr,
        words: mpsc::Receiver<Vec<u8>>,
        opened: oneshot::Sender<Result<Profile, Error>>,
    ) {
        // Told by a drop, so that it is told also where the runtime ends first.
        let mut end = End { line: Arc::clone(&self), why: "the runtime of its connection has ended".into() };
        end.why = match self.speak(address, words, opened).await {
            Ok(()) => "it has closed the connection".into(),
            Err(error) => error.to_string(),
        };
    }

    async fn speak(
        &self,
        address: SocketAddr,
        mut words: mpsc::Receiver<Vec<u8>>,
        opened: oneshot::Sender<Result<Profile, Error>>,
    ) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        // Without it small requests wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        // If nobody waits for it any more, the handle is dropped, and this task with it.
        let _ = match wire::receive::<FromHost>(&mut stream, MESSAGE_BYTES_MAX).await? {
            FromHost::Welcome(profile) => opened.send(Ok(profile.profile())),
            FromHost::Refused(error) => opened.send(Err(error.error("connect", ErrorKind::Unavailable))),
            _ => return Ok(()),
        };
        let (mut reader, mut writer) = stream.split();
        let reading = async {
            loop {
                self.take(wire::receive::<FromHost>(&mut reader, MESSAGE_BYTES_MAX).await?);
            }
        };
        let writing = async {
            while let Some(frame) = words.recv().await {
                writer.write_all(&frame).await?;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            end = reading => end,
            end = writing => end,
        }
    }
}

/// The end of a connection.
struct End {
    line: Arc<Line>,
    why: String,
}

impl Drop for End {
    fn drop(&mut self) {
        self.line.is_gone(format!("the host of the handle is gone: {}", self.why));
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Line").field("calls", &state.calls.len()).field("gone", &state.gone).finish()
    }
}

/// A call that was made. Dropping it is dropping the call, or what it has opened.
#[derive(Debug)]
pub(super) struct Asked {
    line: Arc<Line>,
    number: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.line.state();
        let waits = state.calls.remove(&self.number);
        let known = state.cells.remove(&self.number).is_some();
        // A call that was answered and has opened nothing is over on both sides.
        if waits.is_some() || known {
            let frame = wire::frame(&ToHost::Forget(self.number)).expect("a number fits into a frame");
            // If the host is gone, it has forgotten everything; one that stands still behind so many words keeps it.
            let _ = self.line.out.try_send(frame);
        }
        drop(state);
        // Without the lock: it belongs to others.
        drop(waits);
    }
}
