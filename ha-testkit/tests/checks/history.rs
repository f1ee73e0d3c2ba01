//! Histories as files: what is written is read, what is wrong is named by its line, what is joined keeps its order.

use ha_testkit::history::{Answer, Call, Ending, Event, Outcome, Recording, What, merge, read_lines, write_lines};

use super::{bad, good};

#[test]
fn what_was_written_is_read_as_it_was_and_written_the_same() {
    let good = good::all().into_iter().map(|(_, history)| history);
    for history in good.chain(bad::all().into_iter().map(|bad| bad.history)) {
        let lines = write_lines(&history);
        let read = read_lines(lines.as_bytes(), Ending::Whole).expect("what was written");
        assert_eq!(read, history);
        assert_eq!(write_lines(&read), lines);
    }
}

#[test]
fn two_recordings_of_one_run_are_equal_byte_for_byte() {
    let run = || {
        ha_testkit::sim::run(7, async |seam| {
            let recording = Recording::new(seam.clone());
            let scribe = recording.scribe("a", 1);
            for _ in 0..20 {
                seam.sleep(seam.jittered(std::time::Duration::from_secs(1))).await;
                let call = scribe.invoked(None, Call::NextId { job: "job".into() });
                call.returned(Outcome::Done(Answer::Id(seam.random_u64())));
            }
            write_lines(&recording.events())
        })
    };
    assert_eq!(run(), run());
}

#[test]
fn no_two_events_of_a_recording_have_one_time_and_the_order_is_kept() {
    let events = ha_testkit::sim::run(7, async |seam| {
        // In a simulation all of this happens in one instant.
        let recording = Recording::new(seam);
        let noted: Vec<What> = vec![What::Started, What::Paused, What::Resumed, What::Closed];
        noted.into_iter().for_each(|what| recording.note("a", 1, what));
        recording.note_at(0, "a", 1, What::Healed);
        recording.take()
    });
    assert!(events.is_sorted_by(|one, other| one.at_ns < other.at_ns), "{events:?}");
    assert_eq!(events.len(), 5);
    assert_eq!(events[4].what, What::Healed);
}

#[test]
fn a_line_that_is_no_event_is_named_by_its_number() {
    let good = write_lines(&[event(1, "a", What::Started), event(2, "a", What::Closed)]);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let hostile: [&[u8]; 12] = [
        b"",
        b"{}",
        b"null",
        b"{\"at_ns\":-1,\"process\":\"a\",\"incarnation\":1,\"what\":\"started\"}",
        b"{\"at_ns\":1e99,\"process\":\"a\",\"incarnation\":1,\"what\":\"started\"}",
        b"{\"at_ns\":1,\"process\":\"a\",\"incarnation\":4294967296,\"what\":\"started\"}",
        b"{\"at_ns\":1,\"process\":\"a\",\"incarnation\":1,\"what\":\"danced\"}",
        b"{\"at_ns\":1,\"process\":\"a\",\"incarnation\":1,\"what\":\"started\",\"mood\":\"good\"}",
        b"{\"at_ns\":1,\"process\":\"a\",\"incarnation\":1,\"what\":\"started\"} {}",
        b"\xff\xfe",
        b"{\"at_ns\":1,\"process\":\"a\xff\",\"incarnation\":1,\"what\":\"started\"}",
        deep.as_bytes(),
    ];
    for line in hostile {
        let text = [good.as_bytes(), line, b"\n", good.as_bytes()].concat();
        let error = read_lines(&text, Ending::MayBeTorn).expect_err("a line that is no event");
        assert_eq!(error.line, 3, "{error}");
        assert!(error.to_string().starts_with("line 3 of the history"), "{error}");
    }
}

#[test]
fn only_a_torn_last_line_may_be_left_out_and_only_if_that_is_said() {
    let whole = [event(1, "a", What::Started), event(2, "a", What::Closed)];
    let text = write_lines(&whole);
    let first = text.find('\n').expect("two lines") + 1;
    for end in 0..text.len() {
        let kept = usize::from(end >= first);
        let torn = &text.as_bytes()[..end];
        assert_eq!(read_lines(torn, Ending::MayBeTorn).as_deref(), Ok(&whole[..kept]), "{end}");
        // Where a line just ends, nobody can tell that another one was to come.
        let is_whole = end == 0 || end == first;
        assert_eq!(read_lines(torn, Ending::Whole).is_ok(), is_whole, "{end}");
    }
}

#[test]
fn joined_histories_are_in_the_order_of_time_and_do_not_depend_on_who_comes_first() {
    let one = vec![event(1, "a", What::Started), event(5, "a", What::Closed)];
    let other = vec![event(2, "b", What::Started), event(5, "b", What::Paused), event(9, "b", What::Closed)];
    let joined = merge(vec![one.clone(), other.clone()]);
    assert_eq!(joined, merge(vec![other, one]));
    assert!(joined.is_sorted_by_key(|event| event.at_ns));
    assert_eq!(joined.len(), 5);
}

#[test]
fn at_an_equal_time_no_call_returned_before_another_began() {
    let returned = |op| What::Returned { op, outcome: Outcome::Done(Answer::Nothing) };
    let invoked = |op| What::Invoked { op, under: None, call: Call::RemovePlan { job: "job".into() } };
    let a = vec![event(1, "a", invoked(1)), event(5, "a", returned(1))];
    let b = vec![event(5, "b", invoked(1)), event(7, "b", returned(1))];
    let joined = merge(vec![a, b]);
    let places: Vec<&str> = joined.iter().map(|event| event.process.as_str()).collect();
    assert_eq!(places, ["a", "b", "a", "b"]);
}

fn event(at_ns: u64, process: &str, what: What) -> Event {
    Event { at_ns, process: process.into(), incarnation: 1, what }
}
