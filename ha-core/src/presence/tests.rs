//! The detector over real sockets, against servers that misbehave.

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::backend::Prefix;

const SILENCE: Duration = Duration::from_secs(10);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn detector() -> Arc<PresenceDetector> {
    PresenceDetector::new(loopback(), None, SILENCE, Seam::system())
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let seam = Seam::system();
    let give_up = seam.now() + Duration::from_secs(60);
    while !holds() {
        assert!(seam.now() < give_up, "not within a minute: {what}");
        seam.sleep(Duration::from_millis(2)).await;
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let answer = Seam::system().timeout(Duration::from_secs(60), future).await;
    answer.unwrap_or_else(|| panic!("not within a minute: {what}"))
}

async fn say(stream: &TcpStream, bytes: &[u8]) {
    stream.writable().await.unwrap();
    // What a client that is gone does not hear, it does not hear.
    let _ = stream.try_write(bytes);
}

/// A holder that is played by the test.
struct Holder {
    listener: TcpListener,
    presence: Presence,
}

impl Holder {
    async fn new() -> Self {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, presence: Presence { address, identity: Identity::from_bits(1, 2) } }
    }

    async fn accept(&self) -> TcpStream {
        within("somebody connects", self.listener.accept()).await.unwrap().0
    }

    fn greeting(&self) -> String {
        greeting::of(self.presence.identity)
    }

    async fn greet(&self) -> TcpStream {
        let stream = self.accept().await;
        say(&stream, self.greeting().as_bytes()).await;
        stream
    }
}

/// What a misbehaving server does with whoever connects after the holder was lost. The standby tries again
/// and again, and must not find evidence; a listener that is there proves that somebody is.
async fn is_silence(misbehave: impl AsyncFn(TcpStream)) {
    let (holder, standby) = (Holder::new().await, detector());
    let suspect = standby.watch(holder.presence);
    let lost = holder.greet().await;
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    drop(lost);
    for _ in 0..5 {
        misbehave(holder.accept().await).await;
    }
    assert_eq!(standby.stats().evidence, 0);
    assert!(Seam::system().timeout(Duration::ZERO, suspect.dead()).await.is_none());
}

#[tokio::test]
async fn a_process_that_was_seen_alive_and_closes_its_socket_is_found_dead() {
    let (holder, standby) = (detector(), detector());
    let serving = holder.serve().unwrap();
    let suspect = standby.watch(serving.presence());
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    assert_eq!(holder.stats().address, Some(serving.presence().address));
    assert!(Seam::system().timeout(Duration::ZERO, suspect.dead()).await.is_none());
    holder.close();
    // Whoever still needs the socket keeps it.
    assert!(Seam::system().timeout(Duration::from_millis(50), suspect.dead()).await.is_none());
    assert!(holder.serve().is_none());
    drop(serving);
    within("its death is found out", suspect.dead()).await;
    within("and stays found out", suspect.dead()).await;
    assert_eq!((standby.stats().evidence, standby.stats().wrong_suspicions), (1, 0));
}

#[tokio::test]
async fn an_accept_without_a_greeting_is_silence() {
    let kept = Mutex::new(Vec::new());
    is_silence(async |stream| kept.lock().unwrap().push(stream)).await;
}

#[tokio::test]
async fn another_program_at_the_port_is_silence() {
    let other = greeting::of(Identity::from_bits(1, 3));
    is_silence(async |stream| say(&stream, other.as_bytes()).await).await;
    is_silence(async |stream| say(&stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
    is_silence(async |stream| say(&stream, b"\xff\x00\n").await).await;
}

#[tokio::test]
async fn a_proxy_that_accepts_and_then_closes_or_resets_is_silence() {
    is_silence(async |stream| drop(stream)).await;
    is_silence(async |stream| {
        // Closed with something unread in it: the kernel sends a reset.
        stream.set_zero_linger().unwrap();
        drop(stream);
    })
    .await;
    let half = greeting::of(Identity::from_bits(1, 2));
    is_silence(async |stream| say(&stream, &half.as_bytes()[..20]).await).await;
}

#[tokio::test]
async fn a_holder_that_greets_and_closes_again_and_again_is_alive() {
    let whole = greeting::of(Identity::from_bits(1, 2));
    is_silence(async |stream| say(&stream, whole.as_bytes()).await).await;
}

#[tokio::test]
async fn a_greeting_without_end_is_silence_and_is_not_read() {
    let (holder, standby) = (Holder::new().await, detector());
    let _suspect = standby.watch(holder.presence);
    for round in 1..4 {
        let stream = holder.accept().await;
        // The right one first, and then for ever more: nothing may be said after it.
        say(&stream, holder.greeting().as_bytes()).await;
        until("it was taken for a greeting", || standby.stats().handshakes == round).await;
        let more = vec![b'x'; 1 << 16];
        let refuses = async {
            while stream.ready(Interest::WRITABLE).await.is_ok() {
                match stream.try_write(&more) {
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
                    _ => {}
                }
            }
        };
        within("the standby hangs up", refuses).await;
    }
    assert_eq!(standby.stats().evidence, 0);
}

#[tokio::test]
async fn a_listener_that_never_accepts_is_silence() {
    // The kernel lets in as many as fit, and then answers nobody: neither is a refusal.
    let (holder, standby) = (Holder::new().await, detector());
    let suspect = standby.watch(holder.presence);
    let lost = holder.greet().await;
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    let seam = Seam::system();
    let mut crowd = Vec::new();
    while let Some(Ok(one)) =
        seam.timeout(Duration::from_millis(300), TcpStream::connect(holder.presence.address)).await
    {
        crowd.push(one);
        assert!(crowd.len() < 100_000, "the backlog has no end");
    }
    drop(lost);
    let mut sight = standby.line(holder.presence).sight.clone();
    within("the loss is seen", sight.wait_for(|sight| !sight.connected)).await.unwrap();
    assert!(seam.timeout(Duration::from_millis(500), suspect.dead()).await.is_none());
    assert_eq!(standby.stats().evidence, 0);
}

#[tokio::test]
async fn all_latches_of_a_process_share_one_connection_and_each_term_is_seen_by_itself() {
    let (holder, standby) = (detector(), detector());
    let serving = holder.serve().unwrap();
    let first = standby.watch(serving.presence());
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    let second = standby.watch(serving.presence());
    assert_eq!(holder.serve().unwrap().presence(), serving.presence(), "one socket for all latches");
    holder.close();
    drop(serving);
    within("the first is found dead", first.dead()).await;
    within("the second is found dead", second.dead()).await;
    assert_eq!((standby.stats().handshakes, standby.stats().evidence), (1, 1));
    // A term that is seen only now has a holder that nobody saw alive in it.
    let late = standby.watch(first_presence(&standby));
    assert!(Seam::system().timeout(Duration::from_millis(100), late.dead()).await.is_none());
    drop((first, second, late));
    assert_eq!(standby.parts().lines.values().filter(|line| line.strong_count() > 0).count(), 0);
}

fn first_presence(standby: &PresenceDetector) -> Presence {
    *standby.parts().lines.keys().next().unwrap()
}

#[tokio::test]
async fn who_speaks_is_sent_away_and_who_is_one_too_many_replaces_the_oldest() {
    let holder = detector();
    let serving = holder.serve().unwrap();
    let greeting = greeting::of(serving.presence().identity);
    let connect = async || {
        let stream = TcpStream::connect(serving.presence().address).await.unwrap();
        let greeted = within("a greeting", greeting::expect(&stream, &greeting)).await;
        assert_eq!(greeted, rule::Sighting::Greeted);
        stream
    };
    let loud = connect().await;
    say(&loud, b"GET / HTTP/1.1\r\n").await;
    assert_eq!(within("it is sent away", greeting::end(&loud)).await, rule::Sighting::Ended);
    let mut crowd = Vec::new();
    for _ in 0..128 {
        crowd.push(connect().await);
    }
    let last = connect().await;
    assert_eq!(within("the oldest goes", greeting::end(&crowd[0])).await, rule::Sighting::Ended);
    assert!(Seam::system().timeout(Duration::ZERO, greeting::end(&last)).await.is_none());
    assert!(Seam::system().timeout(Duration::ZERO, greeting::end(&crowd[1])).await.is_none());
}

#[tokio::test]
async fn a_broken_socket_is_noticed_and_its_connections_stand_until_it_is_closed() {
    let (holder, standby) = (detector(), detector());
    let serving = holder.serve().unwrap();
    let suspect = standby.watch(serving.presence());
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    assert!(Seam::system().timeout(Duration::ZERO, serving.broken()).await.is_none());
    server(&holder).break_for_test();
    within("it is noticed", serving.broken()).await;
    assert!(Seam::system().timeout(Duration::from_millis(100), suspect.dead()).await.is_none());
    // The next attempt is made with a new one.
    let next = holder.serve().unwrap();
    assert_ne!(next.presence().address, serving.presence().address);
    assert_eq!(next.presence().identity, serving.presence().identity);
    serving.close();
    within("now it is taken for dead", suspect.dead()).await;
}

#[tokio::test]
async fn a_broken_socket_stays_until_the_last_latch_has_taken_it_back() {
    // Fails if the first latch that withdraws it ends it for those that have not: their standbys see a death.
    let (holder, standby) = (detector(), detector());
    let (one, other) = (holder.serve().unwrap(), holder.serve().unwrap());
    let suspect = standby.watch(other.presence());
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    server(&holder).break_for_test();
    within("one is told", one.broken()).await;
    within("the other is told", other.broken()).await;
    one.close();
    assert!(Seam::system().timeout(Duration::from_millis(300), suspect.dead()).await.is_none());
    assert_eq!(standby.stats().evidence, 0);
    other.close();
    within("now it is taken for dead", suspect.dead()).await;
}

fn server(holder: &PresenceDetector) -> Arc<Server> {
    holder.parts().server.upgrade().unwrap()
}

#[tokio::test]
async fn more_standbys_than_connections_do_not_chase_one_another_for_ever() {
    // Fails if whoever makes place for another comes back at once, every time.
    let (seam, holder) = (Seam::system(), detector());
    let serving = holder.serve().unwrap();
    let standbys: Vec<_> = (0..150).map(|_| PresenceDetector::new(loopback(), None, SILENCE, seam.clone())).collect();
    let suspects: Vec<_> = standbys.iter().map(|standby| standby.watch(serving.presence())).collect();
    let handshakes = || standbys.iter().map(|standby| standby.stats().handshakes).sum::<u64>();
    until("all have come", || standbys.iter().all(|standby| standby.stats().handshakes > 0)).await;
    let give_up = seam.now() + Duration::from_secs(20);
    loop {
        let before = handshakes();
        seam.sleep(Duration::from_millis(500)).await;
        // One that comes may send up to all others back once.
        if handshakes() - before <= 150 {
            break;
        }
        assert!(seam.now() < give_up, "{} handshakes so far, and no end", handshakes());
    }
    assert!(suspects.iter().zip(&standbys).all(|(_, standby)| standby.stats().evidence == 0));
}

#[tokio::test]
async fn after_wrong_evidence_further_evidence_is_held_back() {
    let (holder, standby, latch) = (detector(), detector(), Latch::below(&Prefix::root()));
    let serving = holder.serve().unwrap();
    let presence = serving.presence();
    let suspect = standby.watch(presence);
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    serving.close();
    within("it is found dead", suspect.dead()).await;
    drop(suspect);
    standby.evicted(presence.identity, &latch, 7, true);
    // It was not: it takes the latch once more, on a new socket.
    let serving = holder.serve().unwrap();
    standby.holds(presence.identity, &latch, 8, None);
    let stats = standby.stats();
    assert_eq!((stats.takeovers, stats.wrong_suspicions, stats.disarmed), (1, 1, 1));
    let suspect = standby.watch(serving.presence());
    until("it is seen alive again", || standby.stats().handshakes == 2).await;
    serving.close();
    until("it seems to be dead again", || standby.stats().evidence == 2).await;
    assert!(Seam::system().timeout(Duration::from_millis(50), suspect.dead()).await.is_none());
}

#[tokio::test]
async fn who_reads_that_it_was_taken_for_dead_does_not_suspect_the_one_who_did() {
    let (evicted, other, latch) = (detector(), Identity::from_bits(3, 4), Latch::below(&Prefix::root()));
    evicted.holds(other, &latch, 8, Some(Identity::from_bits(5, 6)));
    assert_eq!(evicted.stats().disarmed, 0);
    evicted.holds(other, &latch, 9, Some(evicted.identity));
    evicted.holds(other, &latch, 9, Some(evicted.identity));
    assert_eq!((evicted.stats().disarmed, evicted.stats().wrong_suspicions), (1, 1));
}

#[tokio::test]
async fn a_process_that_answers_after_evidence_of_its_death_was_not_dead() {
    let (holder, standby) = (Holder::new().await, detector());
    let suspect = standby.watch(holder.presence);
    let lost = holder.greet().await;
    until("the handshake is made", || standby.stats().handshakes == 1).await;
    let Holder { listener, presence } = holder;
    drop((listener, lost));
    // Kept for what comes back there: bound, but nobody listens, so whoever connects is refused.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.set_reuseaddr(true).unwrap();
    port.bind(presence.address).unwrap();
    within("it is found dead", suspect.dead()).await;
    let listener = port.listen(128).unwrap();
    let holder = Holder { listener, presence };
    let _alive = holder.greet().await;
    until("it is known to live", || standby.stats().wrong_suspicions == 1).await;
    assert_eq!(standby.stats().disarmed, 1);
    assert!(Seam::system().timeout(Duration::ZERO, suspect.dead()).await.is_none());
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_costs_the_presence_and_nothing_else() {
    let taken = Holder::new().await;
    let detector = PresenceDetector::new(taken.presence.address, None, SILENCE, Seam::system());
    assert!(detector.serve().is_none());
    assert_eq!(detector.stats().address, None);
    let address = taken.presence.address;
    drop(taken);
    assert_eq!(detector.serve().unwrap().presence().address, address);
}

#[tokio::test]
async fn what_is_advertised_is_what_others_are_told() {
    let advertise = "192.0.2.7:0".parse().unwrap();
    let detector = PresenceDetector::new("0.0.0.0:0".parse().unwrap(), Some(advertise), SILENCE, Seam::system());
    let address = detector.serve().unwrap().presence().address;
    assert_eq!(address.ip(), advertise.ip());
    assert_ne!(address.port(), 0);
}
