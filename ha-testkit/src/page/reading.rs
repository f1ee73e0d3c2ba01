use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::story::{End, Fate, Fault, Life, Note, Operation, Reign, Story};
use super::text::plain;
use crate::history::{Answer, Call, Event, Outcome, What};

/// So many letters of one argument or answer are told.
const VALUE_LETTERS_MAX: usize = 28;
/// Faults of one time stand in so many rows; those beyond lie upon others.
const FAULT_ROWS_MAX: usize = 12;

/// Reads a history. One that is not well formed is read as far as it makes sense: nothing in it is an error here, for
/// the page is what one looks at to find out.
pub(super) fn read(history: &[Event]) -> Story<'_> {
    let mut events: Vec<&Event> = history.iter().collect();
    // The order is that of time already, unless somebody wrote it wrongly.
    events.sort_by_key(|event| event.at_ns);
    let origin_ns = events.first().map_or(0, |event| event.at_ns);
    let span = events.last().map_or(0, |event| event.at_ns - origin_ns).max(1);
    let story = Story { origin_ns, span, events: history.len(), processes: processes(history), ..Story::default() };
    let mut reading = Reading { story, ..Reading::default() };
    events.into_iter().for_each(|event| reading.event(event));
    reading.finish()
}

fn processes(history: &[Event]) -> Vec<&str> {
    let of_a_process = |event: &&Event| {
        !matches!(event.what, What::Fault { .. } | What::Calm { .. } | What::Healed | What::EndedEarly { .. })
    };
    let names: BTreeSet<&str> = history.iter().filter(of_a_process).map(|event| event.process.as_str()).collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    // `jm-2` before `jm-10`.
    names.sort_by_cached_key(|name| {
        let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        (stem, name[stem.len()..].parse::<u64>().unwrap_or(0), *name)
    });
    names
}

#[derive(Default)]
struct Reading<'h> {
    story: Story<'h>,
    lives: BTreeMap<(&'h str, u32), usize>,
    reigns: BTreeMap<(usize, usize), usize>,
    calls: BTreeMap<(usize, u64), usize>,
    faults: BTreeMap<&'h str, Vec<usize>>,
    kinds: BTreeMap<String, usize>,
}

impl<'h> Reading<'h> {
    fn event(&mut self, event: &'h Event) {
        let at = event.at_ns - self.story.origin_ns;
        match &event.what {
            What::Fault { name, on } => return self.fault(at, name, *on),
            What::Calm { .. } => return self.note(at, "the faults are over".into()),
            What::Healed => return self.note(at, "the cluster is whole".into()),
            What::EndedEarly { term, by } => {
                return self.note(at, format!("{} may be ended by {by:?}", plain(&term.to_string(), 60)));
            }
            _ => {}
        }
        let Some(life) = self.life(at, event) else { return };
        match &event.what {
            What::Killed => self.end(at, life, End::Killed),
            What::Closed => self.end(at, life, End::Closed),
            What::Paused => self.story.lives[life].pauses.push((at, u64::MAX)),
            What::Resumed => self.resume(at, life),
            What::Granted { component, term } => {
                let component = self.component(component);
                self.revoke(at, life, component, "granted anew");
                self.reigns.insert((life, component), self.story.reigns.len());
                let ended = String::new();
                self.story.reigns.push(Reign { component, life, term, from: at, to: u64::MAX, ended });
            }
            What::Revoked { component, why, .. } => {
                let component = self.component(component);
                self.revoke(at, life, component, &format!("{why:?}"));
            }
            What::Invoked { op, under, call } => {
                let (kind, arguments) = self.told(call);
                self.calls.insert((life, *op), self.story.operations.len());
                let (fate, answer, under) = (Fate::NeverReturned, String::new(), under.as_ref());
                let called = Operation { life, kind, under, from: at, to: u64::MAX, fate, arguments, answer };
                self.story.operations.push(called);
            }
            What::Returned { op, outcome } => {
                if let Some(index) = self.calls.remove(&(life, *op)) {
                    let operation = &mut self.story.operations[index];
                    (operation.fate, operation.answer) = became(outcome);
                    operation.to = at;
                }
            }
            _ => {}
        }
    }

    /// The life that an event belongs to; it begins with the first one.
    fn life(&mut self, at: u64, event: &'h Event) -> Option<usize> {
        let key = (event.process.as_str(), event.incarnation);
        if let Some(life) = self.lives.get(&key) {
            return Some(*life);
        }
        let process = self.story.processes.iter().position(|name| *name == event.process)?;
        let (incarnation, pauses) = (event.incarnation, Vec::new());
        self.story.lives.push(Life { process, incarnation, from: at, to: u64::MAX, end: End::Running, pauses });
        self.lives.insert(key, self.story.lives.len() - 1);
        Some(self.story.lives.len() - 1)
    }

    fn component(&mut self, name: &'h str) -> usize {
        let known = self.story.components.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            self.story.components.push(name);
            self.story.components.len() - 1
        })
    }

    fn end(&mut self, at: u64, life: usize, end: End) {
        self.resume(at, life);
        let ending = &mut self.story.lives[life];
        if ending.end == End::Running {
            (ending.to, ending.end) = (at, end);
        }
        for component in 0..self.story.components.len() {
            self.revoke(at, life, component, if end == End::Killed { "killed" } else { "closed" });
        }
    }

    fn resume(&mut self, at: u64, life: usize) {
        if let Some((_, to)) = self.story.lives[life].pauses.last_mut().filter(|(_, to)| *to == u64::MAX) {
            *to = at;
        }
    }

    fn revoke(&mut self, at: u64, life: usize, component: usize, why: &str) {
        if let Some(index) = self.reigns.remove(&(life, component)) {
            let reign = &mut self.story.reigns[index];
            (reign.to, reign.ended) = (at, why.into());
        }
    }

    fn fault(&mut self, at: u64, name: &'h str, on: bool) {
        let open = self.faults.entry(name).or_default();
        if on {
            open.push(self.story.faults.len());
            self.story.faults.push(Fault { name, from: at, to: u64::MAX, row: 0 });
        } else if !open.is_empty() {
            // Those of one name are alike; the first that began is the first to end.
            self.story.faults[open.remove(0)].to = at;
        }
    }

    fn note(&mut self, at: u64, text: String) {
        self.story.notes.push(Note { at, text });
    }

    /// The kind of a call and its arguments: as it is written down, so that no kind of call is forgotten here.
    fn told(&mut self, call: &Call) -> (usize, String) {
        let (kind, arguments) = match serde_json::to_value(call) {
            Ok(Value::Object(tagged)) => {
                tagged.into_iter().next().map_or_else(Default::default, |(kind, arguments)| (kind, brief(&arguments)))
            }
            _ => Default::default(),
        };
        let next = self.kinds.len();
        (*self.kinds.entry(kind.replace('_', " ")).or_insert(next), arguments)
    }

    /// What is still open lasts to the end of the history, or of the process.
    fn finish(mut self) -> Story<'h> {
        let mut kinds: Vec<(String, usize)> = std::mem::take(&mut self.kinds).into_iter().collect();
        kinds.sort_by_key(|(_, index)| *index);
        let mut story = self.story;
        story.kinds = kinds.into_iter().map(|(kind, _)| kind).collect();
        for life in &mut story.lives {
            life.to = life.to.min(story.span);
            life.pauses.iter_mut().for_each(|pause| pause.1 = pause.1.min(life.to));
        }
        for operation in &mut story.operations {
            // A call that was noted after the death of its process lasts no time.
            operation.to = operation.to.min(story.lives[operation.life].to.max(operation.from)).max(operation.from);
        }
        story.reigns.iter_mut().for_each(|reign| reign.to = reign.to.min(story.span));
        story.faults.iter_mut().for_each(|fault| fault.to = fault.to.min(story.span));
        rows(&mut story.faults, story.span);
        story
    }
}

/// Gives each fault a row in which there is room for it, and for its name.
fn rows(faults: &mut [Fault<'_>], span: u64) {
    let mut free: Vec<u64> = Vec::new();
    for fault in faults {
        let row = free.iter().position(|free| *free <= fault.from).unwrap_or_else(|| {
            if free.len() < FAULT_ROWS_MAX {
                free.push(0);
                return free.len() - 1;
            }
            free.iter().enumerate().min_by_key(|(_, free)| **free).map_or(0, |(row, _)| row)
        });
        let letters = fault.name.chars().count().min(16) as u64;
        free[row] = fault.to.max(fault.from.saturating_add(span / 160 * (letters + 3)));
        fault.row = row;
    }
}

fn became(outcome: &Outcome) -> (Fate, String) {
    match outcome {
        Outcome::Done(Answer::Nothing) => (Fate::Done, String::new()),
        Outcome::Done(answer) => {
            let told = serde_json::to_value(answer).unwrap_or_default();
            let value = told.as_object().and_then(|tagged| tagged.values().next());
            (Fate::Done, plain(&value.unwrap_or(&told).to_string(), 2 * VALUE_LETTERS_MAX))
        }
        Outcome::NotApplied { kind } => (Fate::NotApplied, plain(kind, VALUE_LETTERS_MAX)),
        Outcome::Unknown { kind } => (Fate::Unknown, plain(kind, VALUE_LETTERS_MAX)),
    }
}

fn brief(arguments: &Value) -> String {
    let Some(named) = arguments.as_object() else { return String::new() };
    let one = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name} {}", plain(text, VALUE_LETTERS_MAX)),
        other => format!("{name} {}", plain(&other.to_string(), VALUE_LETTERS_MAX)),
    };
    named.iter().map(one).collect::<Vec<_>>().join(", ")
}
