//! A history as a page to look at: one self-contained HTML file with the timeline.
//!
//! It shows who led what under which epoch, faults as bands, the lives of processes, calls by what became of them,
//! their latency, and violations with the events that they concern; below it stands everything counted. It is read
//! from a file, without a network, in light and in dark; without JavaScript there is a plain overview of the whole
//! time, with it one can zoom (wheel, `+`, `-`), pan (drag, arrow keys) and point at things.
//!
//! The same history gives the same page, byte for byte. Nothing that stands in a history can do anything in the page:
//! names and texts are escaped, control characters and those that turn the direction of text are only shown, and a
//! content security policy forbids every request. A page takes about 20 bytes for each call, at most 4 MiB for the
//! arguments and answers of calls (those that were done give way first), and some 100 kB besides.
//!
//! A history that is not well formed is drawn as far as it makes sense; judge it first.
//!
//! ```
//! use ha_testkit::checks;
//! use ha_testkit::history::{Recording, Term, What};
//! use ha_testkit::page::Page;
//!
//! let recording = Recording::timeless();
//! let term = Term::new("main", 7);
//! recording.note_at(0, "jm-1", 1, What::Started);
//! recording.note_at(2_000_000, "jm-1", 1, What::Granted { component: "dispatcher".into(), term });
//! recording.note_at(9_000_000, "jm-1", 1, What::Closed);
//! let history = recording.events();
//! let page = Page::new("A quiet morning", &history).fact("seed", 7).violations(&checks::judge(&history));
//! assert!(page.to_string().contains("jm-1 #7"));
//! ```

mod data;
mod fail_over;
mod overview;
mod reading;
mod story;
mod tables;
mod text;

use std::fmt;

use crate::checks::{Verdict, Violation};
use crate::history::Event;

pub use fail_over::{FailOver, fail_overs};
use story::{Fate, Story};
use text::Escaped;

const STYLE: &str = include_str!("page.css");
const SCRIPT: [&str; 3] = [include_str!("data.js"), include_str!("draw.js"), include_str!("view.js")];
/// So many violations are shown; one tells what is wrong, and a hundred tell no more.
const VIOLATIONS_MAX: usize = 100;

/// A page that is being put together; its text is the HTML.
#[derive(Debug)]
#[must_use = "its text is the page"]
pub struct Page<'h> {
    title: String,
    history: &'h [Event],
    facts: Vec<(String, String)>,
    found: Vec<Found>,
}

/// Something that must not be, as it is shown.
#[derive(Debug, Clone)]
struct Found {
    check: String,
    verdict: Verdict,
    what: String,
    events: Vec<Event>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.what)
    }
}

impl<'h> Page<'h> {
    /// A page of that history, without violations.
    pub fn new(title: impl Into<String>, history: &'h [Event]) -> Self {
        Self { title: title.into(), history, facts: Vec::new(), found: Vec::new() }
    }

    /// Tells one more fact on top: a seed, a backend, how to do it again.
    pub fn fact(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.facts.push((name.into(), value.to_string()));
        self
    }

    /// Shows those violations, and the events that they name, on the timeline. At most a hundred are shown.
    pub fn violations(mut self, violations: &[Violation]) -> Self {
        self.found.extend(violations.iter().map(|violation| Found {
            check: violation.check.into(),
            verdict: violation.verdict,
            what: violation.what.clone(),
            events: violation.events.clone(),
        }));
        self
    }

    /// Shows something else that must not be, for which no events are known.
    pub fn finding(mut self, check: impl Into<String>, what: impl Into<String>) -> Self {
        let (check, what) = (check.into(), what.into());
        self.found.push(Found { check, verdict: Verdict::Broken, what, events: Vec::new() });
        self
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let story = reading::read(self.history);
        let found = &self.found[..self.found.len().min(VIOLATIONS_MAX)];
        let (mut head, mut overview, mut tables) = (String::new(), String::new(), String::new());
        tables::head(&mut head, &story, &self.facts, found)?;
        overview::overview(&mut overview, &story, found)?;
        tables::tables(&mut tables, &story)?;
        let title = Escaped(&self.title);
        writeln!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{head}"
        )?;
        f.write_str("<section id=\"timeline\" aria-labelledby=\"when\">\n<h2 id=\"when\">Timeline</h2>\n")?;
        f.write_str(&legend(&story))?;
        f.write_str("<div id=\"zoomable\" hidden></div>\n")?;
        writeln!(f, "{overview}</section>\n{tables}")?;
        let data = data::embedded(&story, found);
        writeln!(f, "<script type=\"application/json\" id=\"data\">{data}</script>")?;
        writeln!(f, "<script>\n(() => {{\n'use strict';\n{}}})();\n</script>\n</body>\n</html>", SCRIPT.concat())
    }
}

/// What colours and patterns stand for; each is told by a word or a sign as well.
fn legend(story: &Story<'_>) -> String {
    let swatch = |class: &str, name: &str| {
        let drawn = format!(
            "<svg width=\"18\" height=\"12\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"18\" height=\"12\"/></svg>"
        );
        format!("<li>{drawn} {}</li>", Escaped(name))
    };
    let mut items: Vec<String> = Vec::new();
    for (index, process) in story.processes.iter().enumerate() {
        items.push(swatch(&format!("p{}", index % overview::COLOURS), &text::clipped(process, 40)));
    }
    items.push(swatch("pause", "paused"));
    items.push("<li>✗ killed</li><li>■ closed</li>".into());
    items.push(swatch("fault", "fault"));
    items.push(swatch("nobody", "nobody leads"));
    for (fate, sign) in Fate::ALL.iter().zip(["●", "○", "?", "▷"]) {
        items.push(swatch(&format!("f{}", *fate as usize), &format!("{sign} call {}", fate.name())));
    }
    format!("<ul class=\"legend\">{}</ul>\n", items.concat())
}
