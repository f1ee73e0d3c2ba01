use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use ha_core::seam::{Seam, Task};
use ha_core::{Error, ErrorKind};
use ha_embedded::{Embedded, Handle};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::connection;
use super::table::Table;

/// The most connections at one time. A client has one for each call that is under way, two for each
/// session, and a few at rest.
const CONNECTIONS_MAX: usize = 4096;
/// The most clients that a server ever serves; each leaves a few hundred bytes behind.
const CLIENTS_MAX: usize = 65_536;

/// What of a client's traffic does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Everything does.
    Nothing,
    /// Requests wait just before they take effect, as on a stalled link. Writes that wait take
    /// effect when they are let go, even if their sender is dead by then: they are the delayed
    /// requests that a fence is for.
    Requests,
    /// Requests take effect, and their answers wait: to the client the outcome is unknown.
    Answers,
}

/// A client as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// As [`Remote::id`](super::Remote::id) says it.
    pub id: String,
    /// As its options say it.
    pub label: String,
    /// How many connections it has at this moment.
    pub connections: usize,
}

/// Serves one [`Embedded`] store over TCP on the loopback address, to this process and others.
///
/// It runs on a thread of its own and is unimpressed by what a test does to its own runtime. A closed
/// connection tells it nothing: the session of a client that was killed ends by silence alone, as on a
/// store that many machines share. Dropping the server closes its port and all connections; the store
/// lives on with its other owners, but the sessions of clients are over.
///
/// There is no access control: whoever can connect to the loopback address can do everything. It is
/// meant for tests.
///
/// ```
/// use ha_core::backend::{Backend, Key};
/// use ha_core::seam::Seam;
/// use ha_embedded::Embedded;
/// use ha_testkit::remote::{Remote, Server};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let seam = Seam::system();
/// let server = Server::start(Embedded::new(seam.clone()), seam.clone())?;
/// // In this process or in another one: only the address is needed.
/// let remote = Remote::connect(server.address(), "a reader", seam).await?;
/// assert_eq!(remote.read(&Key::new("k")?).await?, None);
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<Running>>,
}

/// A task, and what tells that it is gone with all that it held.
struct Running {
    task: Task,
    gone: oneshot::Receiver<()>,
}

impl Running {
    async fn end(self) {
        drop(self.task);
        // Never sent: its sender is dropped after what the task held.
        let _ = self.gone.await;
    }
}

/// What a task holds, closed before the end of the task is told: fields are dropped in their order.
struct Held<T> {
    socket: T,
    _gone: oneshot::Sender<()>,
}

pub(super) struct Shared {
    pub(super) seam: Seam,
    pub(super) store: Embedded,
    pub(super) sessions: Arc<Table>,
    pub(super) answers_take: watch::Sender<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<String, Arc<Client>>,
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

struct Connection {
    client: Option<String>,
    /// Set once it is known; absent while the connection is being taken in.
    running: Option<Running>,
}

/// One process that is served.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) handle: Handle,
    pub(super) hold: watch::Sender<Hold>,
}

impl Server {
    /// Serves the store on a free port of the loopback address.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]: no port could be opened.
    pub fn start(store: Embedded, seam: Seam) -> Result<Self, Error> {
        let (sessions, answers_take) = (Arc::default(), watch::Sender::new(Duration::ZERO));
        let shared = Arc::new(Shared { seam, store, sessions, answers_take, state: Mutex::default() });
        let (address, accepting) = listen(&shared, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self { address, shared, accepting: Mutex::new(Some(accepting)) })
    }

    /// Where it is served. It stays the same over [`Server::go_down`] and [`Server::come_up`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The store, with hooks of its own.
    #[must_use]
    pub fn store(&self) -> &Embedded {
        &self.shared.store
    }

    /// The clients that ever said hello, in the order of their ids.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientInfo> {
        let state = self.shared.state();
        let connections = |id: &str| state.connections.values().filter(|c| c.client.as_deref() == Some(id)).count();
        let info = |client: &Arc<Client>| ClientInfo {
            id: client.id.clone(),
            label: client.label.clone(),
            connections: connections(&client.id),
        };
        state.clients.values().map(info).collect()
    }

    /// Breaks all connections. Clients may connect again at once; what was under way is unknown to
    /// them. Sessions live on: their silence runs until the next renewal arrives.
    ///
    /// # Cancel safety
    /// They are broken all the same.
    pub async fn cut(&self) {
        let cut = std::mem::take(&mut self.shared.state().connections);
        let running: Vec<Running> = cut.into_values().filter_map(|connection| connection.running).collect();
        join_all(running.into_iter().map(Running::end)).await;
    }

    /// Breaks all connections and refuses new ones, as a server that was killed. Data stays, and the
    /// silence of sessions runs on.
    ///
    /// # Cancel safety
    /// Call again to go on.
    pub async fn go_down(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.end().await;
        }
        self.cut().await;
    }

    /// Listens again at the same address after [`Server::go_down`].
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]: somebody else has taken the port in the meantime.
    pub fn come_up(&self) -> Result<(), Error> {
        let mut accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        if accepting.is_none() {
            *accepting = Some(listen(&self.shared, self.address)?.1);
        }
        Ok(())
    }

    /// Lets a part of a client's traffic wait, renewals included, until [`Hold::Nothing`] is said.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such client has said hello.
    pub fn hold(&self, client: &str, what: Hold) -> Result<(), Error> {
        let state = self.shared.state();
        let found = state.clients.get(client).ok_or_else(|| Error::new(ErrorKind::NotFound, "hold").at(client))?;
        found.hold.send_replace(what);
        Ok(())
    }

    /// Lets no renewal of the session through any more. Its silence runs.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session is alive.
    pub fn freeze(&self, session: &str) -> Result<(), Error> {
        self.set_frozen(session, true)
    }

    /// Lets renewals through again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session is alive; its silence has run out, perhaps.
    pub fn heal(&self, session: &str) -> Result<(), Error> {
        self.set_frozen(session, false)
    }

    /// From now on renewals are counted when they arrive, and answered that much later.
    pub fn slow_answers(&self, by: Duration) {
        self.shared.answers_take.send_replace(by);
    }

    fn set_frozen(&self, session: &str, frozen: bool) -> Result<(), Error> {
        let served = self.shared.sessions.any(session);
        let served = served.ok_or_else(|| Error::new(ErrorKind::NotFound, "session hook").at(session))?;
        served.frozen.send_replace(frozen);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(std::mem::take(&mut self.shared.state().connections));
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No step under the lock leaves the state half-changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of that name, and that this connection is one of its.
    pub(super) fn client(&self, connection: u64, id: &str, label: &str) -> Result<Arc<Client>, Error> {
        let mut state = self.state();
        if !state.clients.contains_key(id) && state.clients.len() >= CLIENTS_MAX {
            let why = format!("{CLIENTS_MAX} clients were served; start another server");
            return Err(Error::new(ErrorKind::Unavailable, "connect").because(why));
        }
        let new = || {
            let (handle, hold) = (self.store.connect(), watch::Sender::new(Hold::Nothing));
            Arc::new(Client { id: id.into(), label: label.into(), handle, hold })
        };
        let client = Arc::clone(state.clients.entry(id.to_owned()).or_insert_with(new));
        if let Some(connection) = state.connections.get_mut(&connection) {
            connection.client = Some(id.to_owned());
        }
        Ok(client)
    }

    /// Serves a connection by a task that the connection owns.
    fn serve(self: &Arc<Self>, stream: TcpStream) {
        let number = {
            let mut state = self.state();
            if state.connections.len() >= CONNECTIONS_MAX {
                // Closed at once; its sender finds that nothing was sent.
                return;
            }
            state.next += 1;
            let number = state.next;
            // Entered first, so that its end finds it.
            state.connections.insert(number, Connection { client: None, running: None });
            number
        };
        let shared = Arc::downgrade(self);
        let (sender, gone) = oneshot::channel();
        let mut held = Held { socket: stream, _gone: sender };
        let task = self.seam.spawn_critical(async move {
            if let Some(strong) = shared.upgrade() {
                connection::serve(strong, number, &mut held.socket).await;
            }
            if let Some(shared) = shared.upgrade() {
                // Dropped after the lock is free: it holds the task that this runs on.
                let _removed = shared.state().connections.remove(&number);
            }
        });
        if let Some(connection) = self.state().connections.get_mut(&number) {
            connection.running = Some(Running { task, gone });
        }
    }
}

fn listen(shared: &Arc<Shared>, at: SocketAddr) -> Result<(SocketAddr, Running), Error> {
    let failed = |error: io::Error| Error::new(ErrorKind::Unavailable, "listen").at(at).caused_by(error);
    let listener = std::net::TcpListener::bind(at).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (seam, shared) = (shared.seam.clone(), Arc::downgrade(shared));
    let (sender, gone) = oneshot::channel();
    let held = Held { socket: listener, _gone: sender };
    let accept = async move {
        let Held { socket, _gone } = held;
        // Made here, because it belongs to the runtime that this task runs on.
        let Ok(listener) = TcpListener::from_std(socket) else { return };
        loop {
            let accepted = listener.accept().await;
            let Some(shared) = shared.upgrade() else { return };
            match accepted {
                Ok((stream, _)) => shared.serve(stream),
                // Out of file descriptors, perhaps: look again when some may have been closed.
                Err(_) => shared.seam.sleep(Duration::from_millis(10)).await,
            }
        }
    };
    Ok((address, Running { task: seam.spawn_critical(accept), gone }))
}
