//! The journal without a device: what entries amount to, and what they look like.

mod answers;
mod damage;
mod encoding;
mod model;
mod replay;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Answer, Entry, JournalOptions, Operation, Registration, State, Why};
use crate::backend::{Acquire, Commit, Expect, Fence, Key, Latch, Prefix, Revision, Term, WriteId};

const JOURNAL: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

/// Equal seeds give equal numbers. (SplitMix64.)
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn bytes(&mut self, most: u64) -> Bytes {
        (0..self.below(most + 1)).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn latch(place: &str) -> Latch {
    Latch::below(&Prefix::new(place).unwrap())
}

fn session(number: u64) -> Arc<str> {
    format!("session-{number}").into()
}

fn registration() -> Registration {
    Registration::new("a \"label\"\n", Duration::from_secs(10), Some("boot 7, inode 42".into()))
}

fn acquire(id: u64, latch: &Latch, registers: bool, over: Option<Term>) -> Operation {
    let registers = registers.then(registration);
    Operation::Acquire { session: session(id), registers, latch: latch.clone(), holder: "holder".into(), over }
}

fn end(id: u64, why: Why) -> Operation {
    Operation::End { session: session(id), why }
}

/// Publishes one entry and answers for its operations.
fn publish(state: &mut State, operations: Vec<Operation>) -> Vec<Answer> {
    let number = state.position() + 1;
    let entry = Entry { journal: JOURNAL, id: u128::from(number), operations };
    let bytes = entry.encode().unwrap();
    state.apply(number, &Entry::decode(number, &bytes, JOURNAL).unwrap(), bytes.len()).unwrap()
}

fn one(state: &mut State, operation: Operation) -> Answer {
    publish(state, vec![operation]).remove(0)
}

fn won(answer: &Answer) -> Term {
    match answer {
        Answer::Acquire(Ok(Acquire::Won(term))) => term.clone(),
        other => panic!("not won: {other:?}"),
    }
}

/// Operations of a few sessions that get in one another's way on a few keys and latches, with expectations and terms
/// that are right half of the time.
fn random_operation(dice: &mut Dice, state: &State) -> Operation {
    let latches = [latch("leader"), latch("jobs/1"), latch("jobs/10")];
    let latch = dice.of(&latches).clone();
    let id = session(dice.below(6));
    let current = state.read(latch.key()).and_then(|entry| entry.held);
    let stale = Term { epoch: dice.below(9), native: session(dice.below(6)) };
    let term = |dice: &mut Dice| if dice.one_in(3) { stale.clone() } else { current.clone().unwrap_or(stale.clone()) };
    match dice.below(12) {
        0..=2 => {
            let registers = (!dice.one_in(3)).then(registration);
            let over = dice.one_in(4).then(|| term(dice));
            Operation::Acquire { session: id, registers, latch, holder: dice.bytes(9), over }
        }
        3 => Operation::Renew { session: id },
        4 => Operation::Release { session: id, latch },
        5 => {
            let renewals = state.session(&id).map_or(0, |record| record.renewals);
            let silent = Why::Silent { renewals: renewals + dice.below(2) };
            Operation::End { session: id, why: *dice.of(&[Why::Closed, Why::Revoked, Why::Dead, silent, silent]) }
        }
        _ => {
            let mut commit = Commit::new(WriteId::from_bits(dice.next(), dice.next()));
            if dice.one_in(2) {
                let term = term(dice);
                commit = commit.guarded_by(Fence { latch, term });
            }
            let mut keys = vec!["a", "jobs/1/x", "jobs/10/x", "jobs/1/checkpoints/7"];
            for _ in 0..=dice.below(3) {
                let at = key(keys.remove(usize::try_from(dice.below(keys.len() as u64)).unwrap()));
                let found = state.read(&at).map(|entry| entry.revision);
                let found = if dice.one_in(8) { Some(Revision::from_native(dice.below(40))) } else { found };
                let expect = found.map_or(Expect::Absent, Expect::Revision);
                commit = match (dice.below(6), found) {
                    (0, _) => commit.check(at, expect),
                    (1 | 2, Some(revision)) => commit.remove(at, revision),
                    _ => commit.put(at, expect, dice.bytes(40)),
                };
            }
            Operation::Commit(commit)
        }
    }
}

/// A journal of so many entries, some of them empty, and the state after it.
fn random_journal(seed: u64, entries: u64, options: JournalOptions) -> (Vec<Bytes>, State) {
    let mut dice = Dice(seed);
    let mut state = State::new(JOURNAL, options);
    let mut journal = Vec::new();
    for number in 1..=entries {
        let operations = (0..dice.below(5)).map(|_| random_operation(&mut dice, &state)).collect();
        let entry = Entry { journal: JOURNAL, id: (u128::from(dice.next()) << 64) | u128::from(number), operations };
        let bytes = entry.encode().unwrap();
        state.apply(number, &entry, bytes.len()).unwrap();
        journal.push(bytes);
    }
    (journal, state)
}

/// The same file with another content and the right checksum.
fn resealed(file: &[u8], content: &[u8]) -> Bytes {
    use sha2::{Digest, Sha256};
    let first = file.iter().position(|byte| *byte == b'\n').unwrap();
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    [&file[..first - 64], digest.as_bytes(), b"\n", content].concat().into()
}

/// What the checksum of a file is of.
fn content(file: &[u8]) -> &[u8] {
    &file[file.iter().position(|byte| *byte == b'\n').unwrap() + 1..]
}

/// Applies the rest of a journal.
fn replay(state: &mut State, journal: &[Bytes]) {
    let applied = usize::try_from(state.position()).unwrap();
    for (at, bytes) in journal.iter().enumerate().skip(applied) {
        let number = at as u64 + 1;
        state.apply(number, &Entry::decode(number, bytes, JOURNAL).unwrap(), bytes.len()).unwrap();
    }
}
