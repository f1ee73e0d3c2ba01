use std::collections::BTreeMap;

use serde::Serialize;

use super::story::{Fate, Story};
use super::text::plain;
use super::{Found, fail_over};

/// So many bytes of arguments and answers are embedded. Calls that were not done come first.
const DETAILS_BYTES_MAX: usize = 4 << 20;

/// What the script draws from: columns of small numbers. Times are microseconds since the history began.
#[derive(Serialize)]
struct Data {
    span: u64,
    texts: Vec<String>,
    processes: Vec<String>,
    components: Vec<String>,
    kinds: Vec<String>,
    /// Process, incarnation, from, to, how it ended, pauses.
    lives: Vec<(usize, u32, u64, u64, u8, Pauses)>,
    /// Component, life, from, to, term, how it ended.
    reigns: Vec<(usize, usize, u64, u64, usize, usize)>,
    /// Component, since when nobody led, when somebody did again.
    vacant: Vec<(usize, u64, u64)>,
    /// Name, from, to, row.
    faults: Vec<(usize, u64, u64, usize)>,
    /// When, text.
    notes: Vec<(u64, usize)>,
    /// Check, what is wrong, when.
    violations: Vec<(usize, usize, Vec<u64>)>,
    operations: Operations,
}

/// From, to.
type Pauses = Vec<(u64, u64)>;

#[derive(Default, Serialize)]
struct Operations {
    /// Each counts from the one before.
    from: Vec<u64>,
    lasted: Vec<u64>,
    life: Vec<usize>,
    kind: Vec<usize>,
    fate: Vec<u8>,
    under: Vec<usize>,
    /// A line for each.
    details: String,
}

#[derive(Default)]
struct Texts {
    all: Vec<String>,
    known: BTreeMap<String, usize>,
}

impl Texts {
    fn index(&mut self, text: String) -> usize {
        *self.known.entry(text).or_insert_with_key(|text| {
            self.all.push(text.clone());
            self.all.len() - 1
        })
    }
}

/// That data as JSON that may stand in a script element: nothing in it can end the element, or begin a comment.
pub(super) fn embedded(story: &Story<'_>, found: &[Found]) -> String {
    let us = |ns: u64| ns / 1000;
    let mut texts = Texts::default();
    texts.index(String::new());
    let names = |names: &[&str]| names.iter().map(|name| plain(name, 60)).collect();
    let data = Data {
        span: us(story.span).max(1),
        processes: names(&story.processes),
        components: names(&story.components),
        kinds: story.kinds.clone(),
        lives: story
            .lives
            .iter()
            .map(|life| {
                let pauses = life.pauses.iter().map(|pause| (us(pause.0), us(pause.1))).collect();
                (life.process, life.incarnation, us(life.from), us(life.to), life.end as u8, pauses)
            })
            .collect(),
        reigns: story
            .reigns
            .iter()
            .map(|reign| {
                let (term, ended) = (plain(&reign.term.to_string(), 60), reign.ended.clone());
                let (term, ended) = (texts.index(term), texts.index(ended));
                (reign.component, reign.life, us(reign.from), us(reign.to), term, ended)
            })
            .collect(),
        vacant: fail_over::vacant(story).map(|(component, lost, granted)| (component, us(lost), us(granted))).collect(),
        faults: story
            .faults
            .iter()
            .map(|fault| (texts.index(plain(fault.name, 60)), us(fault.from), us(fault.to), fault.row))
            .collect(),
        notes: story.notes.iter().map(|note| (us(note.at), texts.index(note.text.clone()))).collect(),
        violations: found
            .iter()
            .map(|found| {
                let times = found.events.iter().map(|event| us(event.at_ns.saturating_sub(story.origin_ns)));
                let times = times.map(|at| at.min(us(story.span))).collect();
                (texts.index(plain(&found.check, 80)), texts.index(plain(&found.what, 300)), times)
            })
            .collect(),
        operations: operations(story, &mut texts),
        texts: texts.all,
    };
    let json = serde_json::to_string(&data).expect("numbers and texts, and no map");
    // In JSON these stand in texts only.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn operations(story: &Story<'_>, texts: &mut Texts) -> Operations {
    let mut columns = Operations::default();
    let mut details = vec![String::new(); story.operations.len()];
    let mut left = DETAILS_BYTES_MAX;
    // Nobody looks for the details of a call that went well among a hundred thousand.
    for done in [false, true] {
        for (operation, detail) in story.operations.iter().zip(&mut details) {
            if (operation.fate == Fate::Done) == done {
                let text = match operation.answer.is_empty() {
                    true => operation.arguments.clone(),
                    false => format!("{} → {}", operation.arguments, operation.answer),
                };
                if text.len() < left {
                    left -= text.len();
                    *detail = text;
                }
            }
        }
    }
    columns.details = details.join("\n");
    let mut last = 0;
    for operation in &story.operations {
        let from = operation.from / 1000;
        columns.from.push(from - last);
        last = from;
        columns.lasted.push((operation.to - operation.from) / 1000);
        columns.life.push(operation.life);
        columns.kind.push(operation.kind);
        columns.fate.push(operation.fate as u8);
        columns.under.push(operation.under.map_or(0, |term| texts.index(plain(&term.to_string(), 60))));
    }
    columns
}
