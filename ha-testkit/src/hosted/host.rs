use std::collections::BTreeMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use ha_core::Error;
use ha_core::backend::{Backend, Ended, Mark, Session, SessionOptions};
use ha_core::seam::{BoxFuture, Deadline, Seam};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::unconstrained;

use super::Hooked;
use super::message::{FromHost, ToHost, WireProfile};
use super::running::Running;
use crate::process::Stage;
use crate::remote::dispatch::{self, malformed};
use crate::remote::errors::WireError;
use crate::remote::wire::{self, Answer, MESSAGE_BYTES_MAX, Request, WireEnded};

/// How often a session is looked at for a deadline that has moved: so many times before the deadline that was told.
const LOOKS: u32 = 16;
/// But not more often, however near that is. A hundred hosts on one machine, with a session each, must cost it little.
const LOOK_MIN: Duration = Duration::from_millis(10);
/// And not less often; so also where nothing is near any more, because it is past.
const LOOK_MAX: Duration = Duration::from_millis(250);

/// The exit status of a process whose handle has panicked.
const STATUS_PANICKED: i32 = 101;

/// The event that tells where the host is reached.
pub(super) const HOSTING: &str = "hosting";

/// Plays the host of one handle: opens it, and makes the calls of the parent process on it until that is gone. To be
/// called in a [role](crate::process::role()) that [`Hosted::spawn`](super::Hosted::spawn) starts.
///
/// If the handle cannot be opened, the parent gets the error. If the handle panics, the process ends.
///
/// # Panics
/// No port can be opened on the loopback address.
///
/// # Cancel safety
/// Dropping the future drops the handle with everything that was opened on it.
pub async fn host<F>(stage: Stage, open: F)
where
    F: Future<Output = Result<Arc<dyn Hooked>, Error>>,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port of the loopback address");
    stage.tell(HOSTING, listener.local_addr().expect("a listener knows where it listens"));
    let opened = open.await;
    // Not answered: whoever wanted to connect is gone, and soon this process is, too.
    let Ok((mut stream, _)) = listener.accept().await else { return };
    drop(listener);
    // Without it small answers wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let handle = match opened {
        Ok(handle) => handle,
        Err(error) => return drop(wire::send(&mut stream, &FromHost::Refused(WireError::new(&error))).await),
    };
    let (out, mut words) = mpsc::unbounded_channel();
    let host = Arc::new(Host { seam: stage.seam().clone(), handle, state: Mutex::default(), out });
    host.send(&FromHost::Welcome(WireProfile::new(&host.handle.profile())));
    let (mut reader, mut writer) = stream.split();
    let writing = async move {
        while let Some(frame) = words.recv().await {
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = host.listen(&mut reader) => {}
        () = writing => {}
    }
    // What is under way holds the host: it ends here, and the handle with it.
    let state = std::mem::take(&mut *host.state());
    drop(state);
}

/// The one handle of this process, and what is under way on it.
struct Host {
    seam: Seam,
    handle: Arc<dyn Hooked>,
    state: Mutex<State>,
    /// What is to be written, in its order. Bounded by the client, which has a bounded number of calls under way.
    out: mpsc::UnboundedSender<Vec<u8>>,
}

#[derive(Default)]
struct State {
    /// The calls that are under way, by their numbers; those that have to wait have a task.
    calls: BTreeMap<u64, Option<Running>>,
    /// The sessions, by the numbers of the calls that have opened them.
    sessions: BTreeMap<u64, Opened>,
}

struct Opened {
    session: Arc<dyn Session>,
    /// What the client was last told of it.
    told: Option<(Deadline, Option<Ended>)>,
    /// Looks for what is to be told next.
    look: Running,
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        // No step under the lock leaves the state half-changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(self: &Arc<Self>, reader: &mut (impl AsyncRead + Unpin)) {
        loop {
            // Either the client is gone, or it is none of ours.
            let Ok(message) = wire::receive::<ToHost>(reader, MESSAGE_BYTES_MAX).await else { return };
            match message {
                ToHost::Call { number, request } => self.begin(number, request),
                ToHost::Forget(number) => self.forget(number),
                ToHost::Freeze { number, session, frozen } => {
                    let done = self.handle.freeze(&session, frozen).map(|()| Answer::Done);
                    self.answer(number, done.unwrap_or_else(|error| Answer::failed(&error)));
                }
                ToHost::Waiting { number } => {
                    self.send(&FromHost::Waiting { number, count: self.handle.waiting() });
                }
            }
        }
    }

    /// Begins a call. What it does first, it has done when this returns: so the order in which calls were made is
    /// the order in which they begin, as on a handle in one's own process.
    fn begin(self: &Arc<Self>, number: u64, request: Request) {
        self.state().calls.insert(number, None);
        let host = Arc::clone(self);
        let mut call: BoxFuture = Box::pin(async move {
            match AssertUnwindSafe(host.call(number, request)).catch_unwind().await {
                Ok(answer) => host.answer(number, answer.unwrap_or_else(|error| Answer::failed(&error))),
                // Its caller would wait for ever. What it wrote is shown where the host is missed.
                Err(_) => std::process::exit(STATUS_PANICKED),
            }
        });
        if call.as_mut().now_or_never().is_some() {
            return;
        }
        // Race: the call ends before its task is entered, and the task stays behind.
        // Closed by: it is entered under the lock that its end takes.
        // Cost if missed: memory grows with the calls.
        let mut state = self.state();
        let running = Running::start(&self.seam, call);
        state.calls.insert(number, Some(running));
    }

    /// Drops a call and the session that it has opened.
    fn forget(&self, number: u64) {
        let (call, session) = {
            let mut state = self.state();
            (state.calls.remove(&number), state.sessions.remove(&number))
        };
        // Without the lock, which the call may wait for. When this returns nothing of them is left: what comes next
        // from the client comes after the drop.
        if let Some(Some(call)) = call {
            call.end();
        }
        if let Some(Opened { session, look, .. }) = session {
            look.end();
            drop(session);
        }
    }

    async fn call(self: &Arc<Self>, number: u64, request: Request) -> Result<Answer, Error> {
        let handle: &dyn Backend = &*self.handle;
        match request {
            Request::Read(key) => dispatch::read(handle, &key).await,
            Request::List(below) => dispatch::list(handle, &below).await,
            Request::Changed { scope, seen } => {
                let scope = scope.scope().ok_or_else(|| malformed("changed"))?;
                Ok(Answer::changed(&handle.changed(&scope, &Mark::from_native(seen)).await?))
            }
            Request::Commit(commit) => dispatch::commit(handle, commit).await,
            Request::Open { silence_ns, label } => {
                let options = SessionOptions { silence: Duration::from_nanos(silence_ns), label };
                let session = Arc::from(handle.open_session(&options).await?);
                Ok(self.opened(number, session))
            }
            Request::Acquire { session, home, holder, over } => {
                dispatch::acquire(&*self.session("acquire", &session)?, &home, &holder, over).await
            }
            Request::Release { session, home } => dispatch::release(&*self.session("release", &session)?, &home).await,
            Request::CloseSession(session) => {
                self.session("close session", &session)?.close().await.map(|()| Answer::Done)
            }
            Request::Close => handle.close().await.map(|()| Answer::Done),
            // Sessions keep themselves alive here, and tell of their end unasked.
            Request::Renew(_) | Request::Ended(_) => Err(malformed("session")),
        }
    }

    fn session(&self, operation: &'static str, id: &str) -> Result<Arc<dyn Session>, Error> {
        let state = self.state();
        let found = state.sessions.values().find(|opened| opened.session.id() == id);
        // Whoever forgets a session makes no calls on it any more.
        found.map(|opened| Arc::clone(&opened.session)).ok_or_else(|| malformed(operation))
    }

    /// Keeps a session that was opened, and looks after what is to be told of it.
    fn opened(self: &Arc<Self>, number: u64, session: Arc<dyn Session>) -> Answer {
        let id = session.id().to_owned();
        let mut state = self.state();
        // Race: nobody waits for the session any more when it is open.
        // Closed by: a call that was forgotten is not among the calls any more.
        // Cost if missed: the session holds its latches as long as this process lives.
        if !state.calls.contains_key(&number) {
            drop(state);
            drop(session);
            return Answer::failed(&malformed("open session"));
        }
        let look = look(Arc::downgrade(self), number, Arc::clone(&session), self.seam.clone());
        let look = Running::start(&self.seam, Box::pin(look));
        state.sessions.insert(number, Opened { session, told: None, look });
        Answer::Opened(id)
    }

    /// Says what a call has come to, and before it, what has changed of the sessions.
    fn answer(&self, number: u64, answer: Answer) {
        // Made without the lock: it may be long.
        let frame = dispatch::framed(answer, |answer| FromHost::Answer { number, answer });
        let mut state = self.state();
        self.tell(&mut state);
        if let Some(frame) = frame {
            // If nobody listens, this process ends.
            let _ = self.out.send(frame);
        }
        // Last: if it runs as a task, this ends it.
        state.calls.remove(&number);
    }

    /// Tells what has changed of the sessions.
    fn tell(&self, state: &mut State) {
        state.sessions.iter_mut().for_each(|(number, opened)| self.tell_of(*number, opened));
    }

    fn tell_of(&self, number: u64, opened: &mut Opened) {
        // Whoever polls it may have done much already, which is no reason not to look.
        let ended = unconstrained(opened.session.ended()).now_or_never();
        let now = (opened.session.valid_until(), ended);
        if opened.told != Some(now) {
            opened.told = Some(now);
            let valid_until_ns = u64::try_from(now.0.moment().since_origin().as_nanos()).unwrap_or(u64::MAX);
            let ended = ended.map(WireEnded::new);
            self.send(&FromHost::Session { opened: number, valid_until_ns, ended });
        }
    }

    fn send(&self, message: &FromHost) {
        let frame = wire::frame(message).expect("a few numbers and short texts fit into a frame");
        // If nobody listens, this process ends.
        let _ = self.out.send(frame);
    }
}

/// Looks after one session until it is over.
async fn look(host: std::sync::Weak<Host>, number: u64, session: Arc<dyn Session>, seam: Seam) {
    loop {
        let left = session.valid_until().moment().since(seam.now());
        let pause = if left.is_zero() { LOOK_MAX } else { (left / LOOKS).clamp(LOOK_MIN, LOOK_MAX) };
        let over = seam.timeout(pause, session.ended()).await.is_some();
        let Some(host) = host.upgrade() else { return };
        // Of this one alone: each of the others has a look of its own.
        if let Some(opened) = host.state().sessions.get_mut(&number) {
            host.tell_of(number, opened);
        }
        if over {
            return;
        }
    }
}
