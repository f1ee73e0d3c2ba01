//! The contract once more, written as plainly as it reads and sharing no code with the space.

use super::*;
use crate::backend::{Outcome, Scope};
use crate::space::Refusal;

#[derive(Default)]
struct Model {
    writes: u64,
    /// Key, value, revision.
    stored: Vec<(String, Bytes, u64)>,
    /// Latch, session, epoch.
    held: Vec<(String, String, u64)>,
    /// Every term there ever was: latch, session, epoch.
    terms: Vec<(String, String, u64)>,
    /// Session, renewals.
    sessions: Vec<(String, u64)>,
}

/// An answer without the marks, which only one handle understands.
#[derive(Debug, PartialEq)]
enum Said {
    Applied(Vec<u64>),
    Conflict(String, Option<u64>),
    Fenced,
    Won(u64, String),
    Held(u64, String, Bytes),
    Refused(Refusal),
    Yes(bool),
    Nothing,
}

fn said(answer: &Answer) -> Said {
    match answer {
        Answer::Commit(Outcome::Applied { revisions }) => {
            Said::Applied(revisions.iter().map(|revision| revision.native()).collect())
        }
        Answer::Commit(Outcome::Conflict { key, found }) => {
            Said::Conflict(key.to_string(), found.as_ref().map(|entry| entry.revision.native()))
        }
        Answer::Commit(Outcome::Fenced) => Said::Fenced,
        Answer::Acquire(Ok(Acquire::Won(term))) => Said::Won(term.epoch, term.native.to_string()),
        Answer::Acquire(Ok(Acquire::Held { by, .. })) => {
            Said::Held(by.term.epoch, by.term.native.to_string(), by.value.clone())
        }
        Answer::Acquire(Err(refusal)) => Said::Refused(*refusal),
        Answer::Renewed(yes) | Answer::Ended(yes) => Said::Yes(*yes),
        Answer::Released => Said::Nothing,
    }
}

impl Model {
    fn put(&mut self, key: &str, value: Bytes) -> u64 {
        self.writes += 1;
        self.stored.retain(|(stored, ..)| stored != key);
        self.stored.push((key.into(), value, self.writes));
        self.writes
    }

    fn revision(&self, key: &str) -> Option<u64> {
        self.stored.iter().find(|(stored, ..)| stored == key).map(|(.., revision)| *revision)
    }

    fn commit(&mut self, commit: &Commit) -> Said {
        if let Some(fence) = &commit.guard {
            let wanted = (fence.latch.to_string(), fence.term.native.to_string(), fence.term.epoch);
            if !self.held.contains(&wanted) {
                return Said::Fenced;
            }
        }
        let written = commit.writes.iter().map(|write| (&write.key, write.expect));
        for (key, expect) in written.chain(commit.checks.iter().map(|(key, expect)| (key, *expect))) {
            let found = self.revision(key.as_str());
            let wanted = match expect {
                Expect::Absent => None,
                Expect::Revision(revision) => Some(revision.native()),
            };
            if found != wanted {
                return Said::Conflict(key.to_string(), found);
            }
        }
        let mut revisions = Vec::new();
        for write in &commit.writes {
            let key = write.key.as_str();
            if let Some(value) = &write.value {
                revisions.push(self.put(key, value.clone()));
            } else {
                revisions.push(self.revision(key).unwrap());
                self.stored.retain(|(stored, ..)| stored != key);
                self.writes += 1;
            }
        }
        Said::Applied(revisions)
    }

    fn acquire(&mut self, id: &str, registers: bool, latch: &Latch, holder: &Bytes, over: Option<&Term>) -> Said {
        let (at, known) = (latch.to_string(), self.sessions.iter().any(|(session, _)| session == id));
        let held = self.held.iter().find(|(held, ..)| *held == at).cloned();
        if !known && !registers {
            return Said::Refused(Refusal::NoSession);
        }
        // Ids of this test come back after their session has ended; what the earlier one had taken does not count.
        if known && self.terms.iter().any(|(taken, session, _)| *taken == at && session == id) {
            return match held {
                Some((_, session, epoch)) if session == id => Said::Won(epoch, session),
                _ => Said::Refused(Refusal::HeldBefore),
            };
        }
        if let Some((_, session, epoch)) = held {
            if over.is_none_or(|term| (term.epoch, &*term.native) != (epoch, &*session)) {
                let value = self.stored.iter().find(|(stored, ..)| *stored == at).unwrap().1.clone();
                return Said::Held(epoch, session, value);
            }
            self.held.retain(|(held, ..)| *held != at);
        }
        if !known {
            self.sessions.push((id.into(), 0));
        }
        let home = at.strip_suffix("latch").unwrap();
        let epoch_key = format!("{home}epoch");
        let stored = self.stored.iter().find(|(stored, ..)| *stored == epoch_key);
        let stored: u64 = stored.map_or(0, |(_, value, _)| std::str::from_utf8(value).unwrap().parse().unwrap());
        let epoch = (self.writes + 1).max(stored + 1);
        self.held.push((at.clone(), id.into(), epoch));
        self.terms.push((at.clone(), id.into(), epoch));
        self.put(&at, holder.clone());
        self.put(&epoch_key, epoch.to_string().into());
        Said::Won(epoch, id.into())
    }

    fn free(&mut self, id: &str, latch: Option<&str>) {
        let mut freed: Vec<String> = Vec::new();
        self.held.retain(|(at, session, _)| {
            let goes = session == id && latch.is_none_or(|latch| latch == at);
            freed.extend(goes.then(|| at.clone()));
            !goes
        });
        freed.sort();
        for at in freed {
            self.put(&at, Bytes::new());
        }
    }

    fn apply(&mut self, operation: &Operation) -> Said {
        match operation {
            Operation::Commit(commit) => self.commit(commit),
            Operation::Acquire { session, registers, latch, holder, over } => {
                self.acquire(session, registers.is_some(), latch, holder, over.as_ref())
            }
            Operation::Renew { session } => {
                let found = self.sessions.iter_mut().find(|(id, _)| **id == **session);
                Said::Yes(found.map(|(_, renewals)| *renewals += 1).is_some())
            }
            Operation::Release { session, latch } => {
                self.free(session, Some(latch.key().as_str()));
                Said::Nothing
            }
            Operation::End { session, why } => {
                let found = self.sessions.iter().find(|(id, _)| **id == **session);
                let Some((_, renewals)) = found else { return Said::Yes(false) };
                if matches!(why, Why::Silent { renewals: judged } if judged != renewals) {
                    return Said::Yes(false);
                }
                self.sessions.retain(|(id, _)| **id != **session);
                self.free(session, None);
                self.terms.retain(|(_, id, _)| **id != **session);
                Said::Yes(true)
            }
        }
    }
}

#[test]
fn random_operations_are_answered_as_the_contract_says() {
    let mut answers = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 0..30 {
        let (mut dice, mut model) = (Dice(seed), Model::default());
        let mut state = State::new(JOURNAL, JournalOptions::default());
        for step in 0..200 {
            let operation = random_operation(&mut dice, &state);
            let answer = said(&one(&mut state, operation.clone()));
            assert_eq!(answer, model.apply(&operation), "seed {seed}, step {step}: {operation:?}");
            *answers.entry(kind(&answer)).or_default() += 1;
        }
        let mut expected = model.stored;
        expected.sort();
        let found = state.snapshot(&Scope::Below(Prefix::root())).entries;
        let found = found.into_iter().map(|entry| (entry.key.to_string(), entry.value, entry.revision.native()));
        assert_eq!(found.collect::<Vec<_>>(), expected, "seed {seed}");
        let bytes: usize = expected.iter().map(|(key, value, _)| key.len() + value.len()).sum();
        assert_eq!(state.space.bytes(), bytes as u64, "seed {seed}");
    }
    assert_eq!(answers.len(), 8, "{answers:?}");
    assert!(answers.values().all(|often| *often > 20), "{answers:?}");
}

fn kind(answer: &Said) -> &'static str {
    match answer {
        Said::Applied(_) => "applied",
        Said::Conflict(..) => "conflict",
        Said::Fenced => "fenced",
        Said::Won(..) => "won",
        Said::Held(..) => "held",
        Said::Refused(_) => "refused",
        Said::Yes(_) => "yes or no",
        Said::Nothing => "released",
    }
}
