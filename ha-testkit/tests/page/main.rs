//! The page of a history: the same each time, harmless whatever stands in the history, small, and right in its numbers.

mod synthetic;

use ha_testkit::checks::{Verdict, Violation};
use ha_testkit::history::{Answer, Call, EarlyEnd, Event, Loss, Outcome, Recording, Term, What};
use ha_testkit::page::{Page, fail_overs};
use serde_json::Value;

/// What ends a script element, an attribute, a text of a script, a comment and a line, and what turns text around.
const HOSTILE: &str =
    "</script><script>alert(1)</script><!--\"'`><img src=x onerror=alert(2)>&lt;\\\u{0}\u{202e}\u{2028}\n";

/// The text of the only element that begins so.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
    assert!(!rest.contains(begin), "{begin} stands twice");
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} after {begin}")).0
}

fn data(page: &str) -> Value {
    serde_json::from_str(between(page, "<script type=\"application/json\" id=\"data\">", "</script>")).expect("JSON")
}

fn sum(value: &Value) -> u64 {
    value.as_array().expect("a column").iter().map(|number| number.as_u64().expect("a number")).sum()
}

/// Every kind of event, with that text wherever there is room for one.
fn everything(text: &str) -> Vec<Event> {
    let (recording, text) = (Recording::timeless(), || text.to_owned());
    let term = Term::new(text(), u64::MAX);
    let scribe = recording.scribe(&text(), 1);
    recording.note("nemesis", 0, What::Fault { name: text(), on: true });
    scribe.note(What::Started);
    scribe.note(What::Granted { component: text(), term: term.clone() });
    scribe.note(What::Believes { term: term.clone(), until_ns: u64::MAX });
    let put = scribe.invoked(Some(term.clone()), Call::PutPlan { job: text(), plan: text() });
    put.returned(Outcome::Unknown { kind: text() });
    let refused = scribe.invoked(Some(term.clone()), Call::PutBlob { blob: text(), content: text() });
    refused.returned(Outcome::NotApplied { kind: text() });
    let read = scribe.invoked(None, Call::ReadPlan { job: text() });
    read.returned(Outcome::Done(Answer::Value(Some(text()))));
    drop(scribe.invoked(None, Call::ReadBlob { blob: text() }));
    scribe.note(What::Shown { observer: text(), component: text(), leader: None });
    scribe.note(What::Unwatched { observer: text() });
    recording.note("nemesis", 0, What::EndedEarly { term: term.clone(), by: EarlyEnd::Operator });
    scribe.note(What::Paused);
    scribe.note(What::Resumed);
    scribe.note(What::Revoked { component: text(), term, why: Loss::Evicted });
    recording.note("nemesis", 0, What::Fault { name: text(), on: false });
    recording.note("nemesis", 0, What::Calm { heals_within_ns: 1 });
    recording.note("nemesis", 0, What::Healed);
    scribe.note(What::Killed);
    recording.events()
}

fn page_of(text: &str) -> String {
    let history = everything(text);
    let (what, events) = (text.to_owned(), history.clone());
    let violation = Violation { check: "a check", verdict: Verdict::Broken, what, events };
    Page::new(text, &history).fact(text, text).violations(&[violation]).finding(text, text).to_string()
}

#[test]
fn the_same_history_gives_the_same_bytes() {
    let pages: Vec<String> = (0..2).map(|_| Page::new("twice", &synthetic::history(40, 50)).to_string()).collect();
    assert!(pages[0] == pages[1], "two pages of one history differ");
    assert!(pages[0] != Page::new("twice", &synthetic::history(50, 50)).to_string());
}

#[test]
fn hostile_texts_do_nothing_in_a_page() {
    // Fails if any text gets into the page unescaped: it would add an element, an attribute or a line of script.
    let (hostile, harmless) = (page_of(HOSTILE), page_of("harmless"));
    let tags = |page: &str| -> Vec<String> {
        let names = page.split('<').skip(1).map(|tag| tag.split(|c: char| c.is_whitespace() || c == '>').next());
        names.map(|name| name.unwrap_or_default().to_owned()).filter(|name| name != "p" && name != "/p").collect()
    };
    assert_eq!(tags(&hostile), tags(&harmless));
    let quotes = |page: &str| page.split("<script type").next().map(|page| page.matches('"').count());
    assert_eq!(quotes(&hostile), quotes(&harmless));
    for letter in ['\0', '\u{202e}', '\u{2028}'] {
        assert!(!hostile.contains(letter), "{letter:?} stands in the page as it is");
    }
    // And they can be read nevertheless.
    assert!(hostile.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
    let names = &data(&hostile)["processes"];
    assert!(names[0].as_str().is_some_and(|name| name.starts_with("</script><script>alert(1)")), "{names}");
}

#[test]
fn a_page_asks_for_nothing_from_outside() {
    let page = page_of("harmless");
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\""));
    for word in ["http:", "https:", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML", "eval("] {
        assert!(!page.contains(word), "there is `{word}` in the page");
    }
}

#[test]
fn everything_that_was_called_is_embedded_and_counted() {
    let history = synthetic::history(60, 50);
    let invoked = history.iter().filter(|event| matches!(event.what, What::Invoked { .. })).count();
    let page = Page::new("counted", &history).to_string();
    let data = data(&page);
    let columns = &data["operations"];
    for column in ["from", "lasted", "life", "kind", "fate", "under"] {
        assert_eq!(columns[column].as_array().map(Vec::len), Some(invoked), "{column}");
    }
    assert_eq!(columns["details"].as_str().map(|details| details.split('\n').count()), Some(invoked));
    // The last call was made when the sum of all steps says.
    let last = history.iter().rfind(|event| matches!(event.what, What::Invoked { .. })).expect("a call");
    assert_eq!(sum(&columns["from"]), (last.at_ns - history[0].at_ns) / 1000);
    let fates: Vec<u64> = columns["fate"].as_array().unwrap().iter().map(|fate| fate.as_u64().unwrap()).collect();
    let row = between(&page, "<tr><th scope=\"row\">all</th>", "</tr>");
    for fate in 0..4 {
        let count = fates.iter().filter(|of| **of == fate).count();
        assert!(count > 0 && row.contains(&format!(">{count}</td>")), "{count} calls of fate {fate} are not in {row}");
    }
    assert_eq!(data["vacant"].as_array().map(Vec::len), Some(fail_overs(&history).len()));
}

#[test]
fn a_long_history_makes_a_page_below_ten_megabytes() {
    let history = synthetic::history(300, 10);
    assert!(history.len() > 190_000, "only {} events", history.len());
    let page = Page::new("long", &history).to_string();
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
}

#[test]
fn a_fail_over_lasts_from_what_ended_the_old_leader() {
    let recording = Recording::timeless();
    let note = |at: u64, process: &str, what: What| recording.note_at(at, process, 1, what);
    let granted = |epoch| What::Granted { component: "web".into(), term: Term::new("main", epoch) };
    let revoked = |epoch| What::Revoked { component: "web".into(), term: Term::new("main", epoch), why: Loss::Evicted };
    note(1_000, "jm-1", granted(1));
    // Paused, and over it another leads.
    note(2_000, "jm-1", What::Paused);
    note(5_000, "jm-2", granted(2));
    note(6_000, "jm-1", What::Resumed);
    note(7_000, "jm-1", revoked(1));
    // It heard of its loss.
    note(8_000, "jm-2", revoked(2));
    note(8_500, "jm-1", granted(3));
    // A pause that was over by then costs nothing; it was replaced alive.
    note(9_000, "jm-1", What::Paused);
    note(9_500, "jm-1", What::Resumed);
    note(10_000, "jm-3", granted(4));
    note(11_000, "jm-3", What::Killed);
    note(15_000, "jm-3", granted(5));
    let history = recording.events();
    let found = fail_overs(&history);
    let lasted: Vec<u64> = found.iter().map(|fail_over| fail_over.lasted_ns()).collect();
    assert_eq!(lasted, [3_000, 500, 0, 4_000]);
    assert_eq!((found[0].from.as_str(), found[0].to.as_str(), found[0].term.epoch), ("jm-1", "jm-2", 2));
}

#[test]
fn histories_that_make_no_sense_are_drawn_nevertheless() {
    // Fails by a panic: subtractions of times, indexes of lives and calls.
    assert!(Page::new("empty", &[]).to_string().contains("No violation found"));
    let event = |at_ns, process: &str, what| Event { at_ns, process: process.into(), incarnation: 1, what };
    let history = [
        event(u64::MAX, "jm-1", What::Resumed),
        event(5, "jm-1", What::Killed),
        event(0, "jm-2", What::Returned { op: 3, outcome: Outcome::Done(Answer::Nothing) }),
        event(7, "jm-1", What::Paused),
        event(8, "jm-1", What::Invoked { op: 1, under: None, call: Call::ReadPlan { job: "job".into() } }),
        event(9, "jm-1", What::Invoked { op: 1, under: None, call: Call::ReadPlan { job: "job".into() } }),
        event(9, "jm-1", What::Granted { component: "web".into(), term: Term::new("main", 2) }),
        event(3, "nemesis", What::Fault { name: "never began".into(), on: false }),
        event(4, "nemesis", What::Fault { name: "never ends".into(), on: true }),
        event(4, "nemesis", What::Fault { name: "never ends".into(), on: true }),
    ];
    let violation = |event: &Event| Violation {
        check: "well-formed",
        verdict: Verdict::Undecided,
        what: "what\nnot".into(),
        events: vec![event.clone()],
    };
    let violations: Vec<Violation> = history.iter().map(violation).collect();
    let page = Page::new("wild", &history[1..]).violations(&violations).to_string();
    assert_eq!(data(&page)["violations"].as_array().map(Vec::len), Some(history.len()));
    assert_eq!(data(&Page::new("wild", &history).to_string())["faults"].as_array().map(Vec::len), Some(2));
}
