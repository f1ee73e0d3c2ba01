//! A proxy between a client and a server that speaks HTTP/1.1: breaks the connection, and picks single
//! requests out of it.
//!
//! What a wrapper around a backend cannot show: what the backend's own client does when its connection is cut, says
//! nothing any more, or loses an answer after the server has done what was asked.
//!
//! ```no_run
//! # async fn example(seam: ha_core::seam::Seam) {
//! use ha_testkit::proxy::{Matching, Proxy, Treatment};
//!
//! let proxy = Proxy::to("127.0.0.1:8500", seam).await;
//! // The client connects to `proxy.address()`. Its next transaction is applied, and it does not hear of it:
//! let rule = proxy.treat(Matching::path("/v1/txn").times(1), Treatment::LoseAnswer);
//! rule.matched(1).await;
//! # }
//! ```
//!
//! # What it understands
//! Requests and answers with `Content-Length`, in chunks, without a body, and answers that end with the
//! connection; kept-alive connections, one request at a time; interim answers. Each message is passed on as
//! it came, byte for byte, once it has come whole: an answer that never ends is never passed on.

mod connection;
mod message;
mod rule;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::seam::{Seam, Task};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use rule::{Matching, Rule, Treatment};

use message::Message;
use rule::Rules;

/// What is wrong with the way between the client and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Connections are closed, and new ones as soon as they are made.
    Cut,
    /// Nothing passes in either direction, and nobody is told.
    Stall,
    /// Requests do not pass, answers do; nobody is told.
    StallRequests,
    /// Requests pass and are carried out; their answers do not pass, and nobody is told.
    StallAnswers,
    /// The server's half of each connection is closed, and the client is not told: such a connection stays dead
    /// when the fault is over, and new ones live.
    HalfOpen,
}

/// A proxy in front of one server. Dropping it closes all connections through it.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
    _accepting: Task,
}

/// What all connections through a proxy share.
struct Shared {
    server: String,
    seam: Seam,
    way: watch::Sender<Way>,
    rules: Rules,
    /// How many connections were closed, and messages stopped or slowed down.
    hindered: AtomicU64,
    /// One for each connection, and for each request that is delivered without one.
    tasks: Mutex<Vec<Task>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Way {
    fault: Fault,
    /// What each message takes longer, in either direction.
    delay: Duration,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

impl Proxy {
    /// A proxy in front of the server at that address, on a free port of loopback. It works as long as the
    /// runtime that it was made on.
    ///
    /// # Panics
    /// The machine has no port left.
    pub async fn to(server: impl Into<String>, seam: Seam) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of loopback");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let shared = Arc::new(Shared {
            server: server.into(),
            seam: seam.clone(),
            way: watch::Sender::default(),
            rules: Rules::default(),
            hindered: AtomicU64::default(),
            tasks: Mutex::default(),
        });
        let accepting = seam.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _accepting: accepting }
    }

    /// Host and port that the client connects to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on this is wrong, with the connections that there are and with new ones.
    pub fn fault(&self, fault: Fault) {
        self.shared.way.send_modify(|way| way.fault = fault);
    }

    /// From now on each request and each answer takes that much longer.
    pub fn delay(&self, by: Duration) {
        self.shared.way.send_modify(|way| way.delay = by);
    }

    /// How many connections a [`Fault`] has closed so far, and how many messages it or a delay has held up: whoever makes
    /// trouble sees whether it met anything. What a [`Rule`] did is counted there.
    #[must_use]
    pub fn hindered(&self) -> u64 {
        self.shared.hindered.load(Ordering::Relaxed)
    }

    /// Treats requests that match in a way of their own, until the rule is dropped. Of several rules that match, the
    /// newest counts; the slow ones among them add up, and count besides.
    #[must_use = "dropping a rule lifts it"]
    pub fn treat(&self, matching: Matching, treatment: Treatment) -> Rule {
        self.shared.rules.add(matching, treatment)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Too many open files, perhaps: some of them are closed again.
            shared.seam.sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Whoever asks waits for an answer. If it cannot be set, all is slower.
        let _ = client.set_nodelay(true);
        shared.spawn(connection::serve(Arc::clone(&shared), client));
    }
}

impl Shared {
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let task = self.seam.spawn(future);
        let mut tasks = self.tasks();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when a message may go on its way.
    async fn passes(&self, direction: Direction) {
        let mut way = self.way.subscribe();
        let delay = way.borrow().delay;
        self.seam.sleep(delay).await;
        let open = |way: &Way| match way.fault {
            Fault::None => true,
            Fault::StallRequests => direction == Direction::Answer,
            Fault::StallAnswers => direction == Direction::Request,
            // What ends a connection is seen to where the connection is.
            Fault::Stall | Fault::Cut | Fault::HalfOpen => false,
        };
        if !delay.is_zero() || !open(&way.borrow()) {
            self.hinder();
        }
        // The sender lives in `self`.
        let _ = way.wait_for(open).await;
    }

    fn hinder(&self) {
        self.hindered.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns when that is wrong.
    async fn is(&self, fault: Fault) {
        // The sender lives in `self`.
        let _ = self.way.subscribe().wait_for(|way| way.fault == fault).await;
        self.hinder();
    }

    /// What is to be done with a request.
    fn rules_for(&self, request: &Message) -> rule::Verdict {
        self.rules.judge(request)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // They hold what holds them.
        let tasks = std::mem::take(&mut *self.shared.tasks());
        drop(tasks);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = *self.shared.way.borrow();
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("server", &self.shared.server)
            .field("way", &way)
            .finish_non_exhaustive()
    }
}
