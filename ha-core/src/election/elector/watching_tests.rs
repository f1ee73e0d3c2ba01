//! The election's use of evidence, over a store of two methods and without sockets.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::ErrorKind;
use crate::backend::{
    Change, Commit, Ended, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use crate::election::Grant;
use crate::evidence::PresenceStats;
use crate::resolve::Committer;
use crate::seam::Deadline;
use crate::writer::Authority;

/// What happened, in its order.
type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, what: impl Into<String>) {
    log.lock().unwrap().push(what.into());
}

/// One key, and failures in front of it.
#[derive(Debug, Default)]
struct OneKey {
    stored: Mutex<Option<Entry>>,
    failures: Mutex<VecDeque<ErrorKind>>,
    fenced: bool,
    log: Log,
}

impl OneKey {
    fn fail(&self, operation: &'static str) -> Result<(), Error> {
        match self.failures.lock().unwrap().pop_front() {
            Some(kind) => {
                note(&self.log, format!("{operation} failed"));
                Err(Error::new(kind, operation))
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for OneKey {
    fn profile(&self) -> Profile {
        Profile::new("one key", 1000, 4, 1000)
    }
    async fn read(&self, _: &Key) -> Result<Option<Entry>, Error> {
        self.fail("read")?;
        Ok(self.stored.lock().unwrap().clone())
    }
    async fn list(&self, _: &Prefix) -> Result<Snapshot, Error> {
        unreachable!("not needed")
    }
    async fn changed(&self, _: &Scope, _: &Mark) -> Result<Change, Error> {
        unreachable!("not needed")
    }
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.fail("commit")?;
        assert!(commit.guard.is_some(), "an unfenced write");
        if self.fenced {
            return Ok(Outcome::Fenced);
        }
        let write = &commit.writes[0];
        let entry = Entry {
            key: write.key.clone(),
            value: write.value.clone().unwrap(),
            revision: Revision::from_native(1),
            held: None,
        };
        *self.stored.lock().unwrap() = Some(entry);
        note(&self.log, "withdrawn");
        Ok(Outcome::Applied { revisions: vec![Revision::from_native(1)] })
    }
    async fn open_session(&self, _: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        unreachable!("not needed")
    }
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[derive(Debug)]
struct Endless;

#[async_trait]
impl Session for Endless {
    fn id(&self) -> &str {
        "endless"
    }
    async fn try_acquire(&self, _: &Latch, _: Bytes, _: Option<&Term>) -> Result<Acquire, Error> {
        unreachable!("not needed")
    }
    async fn release(&self, _: &Latch) -> Result<(), Error> {
        Ok(())
    }
    fn valid_until(&self) -> Deadline {
        Deadline::NEVER
    }
    async fn ended(&self) -> Ended {
        std::future::pending().await
    }
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Tells what is asked of it; whoever is watched is dead at once, and what is served is broken at once.
#[derive(Debug, Default)]
struct Told {
    log: Log,
    served: AtomicU64,
    /// Whoever is watched was seen alive again.
    alive: Arc<AtomicBool>,
}

impl Detector for Told {
    fn serve(&self) -> Option<Arc<dyn Serving>> {
        let number = 9 + self.served.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(Broken { log: Arc::clone(&self.log), number }))
    }
    fn watch(&self, presence: Presence) -> Box<dyn Suspect> {
        note(&self.log, format!("watches {}", short(presence.identity)));
        Box::new(Dead { alive: Arc::clone(&self.alive) })
    }
    fn evicted(&self, identity: Identity, _: &Latch, epoch: u64, by_us: bool) {
        note(&self.log, format!("{} evicted at {epoch}, by us: {by_us}", short(identity)));
    }
    fn holds(&self, identity: Identity, _: &Latch, epoch: u64, took_over_from: Option<Identity>) {
        let from = took_over_from.map(short);
        note(&self.log, format!("{} holds at {epoch}, from {from:?}", short(identity)));
    }
    fn stats(&self) -> PresenceStats {
        PresenceStats::default()
    }
    fn close(&self) {}
}

fn short(identity: Identity) -> String {
    identity.to_string().trim_start_matches('0').to_owned()
}

#[derive(Debug)]
struct Dead {
    alive: Arc<AtomicBool>,
}

#[async_trait]
impl Suspect for Dead {
    async fn dead(&self) {}
    fn is_dead(&self) -> bool {
        !self.alive.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Broken {
    log: Log,
    number: u64,
}

#[async_trait]
impl Serving for Broken {
    fn presence(&self) -> Presence {
        presence(self.number)
    }
    async fn broken(&self) {}
    fn close(&self) {
        note(&self.log, "closed");
    }
}

fn presence(number: u64) -> Presence {
    Presence { address: "127.0.0.1:1".parse().unwrap(), identity: Identity::from_bits(0, number) }
}

fn latch() -> Latch {
    Latch::below(&Prefix::new("leader").unwrap())
}

fn term(epoch: u64) -> Term {
    Term { epoch, native: "s".into() }
}

fn held(epoch: u64, number: u64, took_over_from: Option<u64>) -> Acquire {
    let information = HolderInformation {
        label: String::new(),
        since_unix_ms: 0,
        silence_ms: None,
        presence: Some(presence(number)),
        took_over_from: took_over_from.map(|number| presence(number).identity),
    };
    let value = record::encode(&information, Seam::system().write_id(), 0).unwrap();
    Acquire::Held {
        by: Holder { term: term(epoch), value },
        wait: Scope::Key(latch().key().clone()),
        seen: Mark::UNSEEN,
    }
}

fn watching() -> (Watching, Log) {
    let log = Log::default();
    (Watching::new(Some(Arc::new(Told { log: Arc::clone(&log), ..Told::default() })), latch()), log)
}

fn said(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

async fn is_dead(watching: &Watching, store: &OneKey) -> Option<Term> {
    let seam = Seam::system();
    seam.timeout(Duration::from_millis(300), watching.holder_dead(store, &seam)).await
}

#[tokio::test]
async fn a_term_is_watched_once_and_evidence_that_did_not_help_is_not_tried_again() {
    let ((mut watching, log), store) = (watching(), OneKey::default());
    assert_eq!(is_dead(&watching, &store).await, None);
    watching.answered(&held(5, 1, None));
    watching.answered(&held(5, 1, None));
    assert_eq!(said(&log), ["1 holds at 5, from None", "watches 1"]);
    assert_eq!(is_dead(&watching, &store).await, Some(term(5)));
    assert_eq!(watching.accused(Some(&term(5))), Some(presence(1).identity));
    assert_eq!(watching.accused(Some(&term(4))), None);
    // The store holds on to the term all the same.
    assert_eq!(watching.over(Some(&term(5))), Some(term(5)));
    watching.answered(&held(5, 1, None));
    assert_eq!(is_dead(&watching, &store).await, None);
    assert_eq!(said(&log), [""; 0]);
    watching.answered(&held(6, 1, None));
    assert_eq!(is_dead(&watching, &store).await, Some(term(6)));
}

#[tokio::test]
async fn what_evidence_led_to_is_remembered_and_a_newer_term_of_the_accused_is_no_eviction() {
    let (mut watching, log) = watching();
    watching.answered(&held(5, 1, None));
    assert_eq!(watching.over(Some(&term(5))), Some(term(5)));
    watching.answered(&held(6, 1, None));
    assert_eq!(said(&log), ["1 holds at 5, from None", "watches 1", "1 holds at 6, from None", "watches 1"]);
    assert_eq!(watching.over(Some(&term(6))), Some(term(6)));
    watching.answered(&held(7, 2, Some(1)));
    assert_eq!(said(&log), ["1 evicted at 7, by us: false", "2 holds at 7, from Some(\"1\")", "watches 2"]);
    assert_eq!(watching.over(Some(&term(7))), Some(term(7)));
    watching.answered(&Acquire::Won(term(8)));
    assert_eq!(said(&log), ["2 evicted at 8, by us: true"]);
}

#[tokio::test]
async fn a_holder_that_cannot_be_read_or_says_nothing_is_not_watched() {
    let ((mut watching, log), store) = (watching(), OneKey::default());
    let newer: &[u8] = br#"{"format":99}"#;
    let bare: &[u8] = br#"{"format":1,"kind":"holder","write_id":"00000000000000000000000000000001","epoch":0,"body":{"label":"","since_unix_ms":0}}"#;
    let name = bare.strip_suffix(b"}}").unwrap();
    let name =
        [name, br#","presence":{"address":"localhost:1","identity":"00000000000000000000000000000001"}}}"#].concat();
    for (epoch, value) in (1..).zip([&b""[..], b"\xff", newer, bare, &name]) {
        let by = Holder { term: term(epoch), value: Bytes::copy_from_slice(value) };
        let answer = Acquire::Held { by, wait: Scope::Key(latch().key().clone()), seen: Mark::UNSEEN };
        watching.answered(&answer);
        assert_eq!(is_dead(&watching, &store).await, None);
    }
    assert_eq!(said(&log), [""; 0]);
}

#[tokio::test]
async fn a_presence_that_was_taken_back_for_this_term_is_no_evidence() {
    let (mut watching, _log) = watching();
    watching.answered(&held(5, 1, None));
    let entry =
        |value: Bytes| Entry { key: layout::presence(&latch()), value, revision: Revision::from_native(1), held: None };
    let withdrawal = |epoch| {
        let body = PresenceWithdrawal { identity: presence(1).identity };
        record::encode(&body, Seam::system().write_id(), epoch).unwrap()
    };
    for (value, dead) in [
        (withdrawal(5), None),
        // Of an earlier leader, and so of no meaning now.
        (withdrawal(4), Some(term(5))),
        (Bytes::from_static(b"strange"), None),
    ] {
        let store = OneKey { stored: Mutex::new(Some(entry(value))), ..OneKey::default() };
        assert_eq!(is_dead(&watching, &store).await, dead);
    }
    let store = OneKey { failures: Mutex::new([ErrorKind::Unavailable].into()), ..OneKey::default() };
    assert_eq!(is_dead(&watching, &store).await, Some(term(5)), "asked again after a failure");
}

async fn keep_true(store: OneKey) -> Vec<String> {
    let log = Arc::clone(&store.log);
    let seam = Seam::system();
    let grant = Grant::hold(&seam, Arc::new(Endless), latch(), term(5));
    let committer = Committer::with_budget(Arc::new(store), seam.clone(), Duration::ZERO);
    let mut watching = Watching::new(Some(Arc::new(Told { log: Arc::clone(&log), ..Told::default() })), latch());
    assert_eq!(watching.show(), Some(presence(9)));
    let writer = Writer::new(committer, Authority::Leader(grant));
    let ends = seam.timeout(Duration::from_secs(2), watching.keep_true(writer)).await;
    assert!(ends.is_none());
    said(&log)
}

#[tokio::test]
async fn a_broken_presence_is_taken_back_under_the_fence_before_its_socket_closes() {
    assert_eq!(keep_true(OneKey::default()).await, ["withdrawn", "closed"]);
    let failures = [ErrorKind::Unavailable, ErrorKind::Unavailable, ErrorKind::Unavailable];
    let troubled = OneKey { failures: Mutex::new(failures.into()), ..OneKey::default() };
    let said = keep_true(troubled).await;
    assert_eq!(said.iter().filter(|what| what.ends_with("failed")).count(), 3);
    assert!(said.ends_with(&["withdrawn".into(), "closed".into()]), "{said:?}");
}

#[tokio::test]
async fn a_deposed_leader_takes_nothing_back_and_closes_nothing_early() {
    let said = keep_true(OneKey { fenced: true, ..OneKey::default() }).await;
    assert_eq!(said, [""; 0]);
}

#[tokio::test]
async fn what_an_unanswered_attempt_told_is_served_until_there_is_an_answer() {
    // Fails if the next attempt ends a socket whose address may stand in a latch that we hold.
    let (mut watching, _log) = watching();
    assert_eq!(watching.show(), Some(presence(9)));
    assert_eq!(watching.show(), Some(presence(9)), "it may have won");
    watching.answered(&held(5, 1, None));
    assert_eq!(watching.show(), Some(presence(10)));
}

#[tokio::test]
async fn evidence_that_was_disproved_before_the_attempt_ends_no_term() {
    // Fails if a candidate that has to wait, or to try again, acts on what it knows to be wrong by then.
    let (log, alive) = (Log::default(), Arc::new(AtomicBool::new(false)));
    let told = Told { log, alive: Arc::clone(&alive), ..Told::default() };
    let (mut watching, store) = (Watching::new(Some(Arc::new(told)), latch()), OneKey::default());
    watching.answered(&held(5, 1, None));
    assert_eq!(is_dead(&watching, &store).await, Some(term(5)));
    alive.store(true, Ordering::Relaxed);
    assert_eq!(watching.over(Some(&term(5))), None);
    // It holds the latch, and is watched on.
    watching.answered(&held(5, 1, None));
    alive.store(false, Ordering::Relaxed);
    assert_eq!(watching.over(Some(&term(5))), Some(term(5)));
    assert_eq!((watching.over(Some(&term(4))), watching.over(None)), (None, None));
}
