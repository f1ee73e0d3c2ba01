use super::*;

/// The event of a line at record 42, or why there is none.
fn parsed(bytes: &[u8]) -> Result<(String, u64, i64), Option<Reason>> {
    match line(bytes, 42, &mut String::new()) {
        Parsed::Event(Event { key, time_ms, value }) => Ok((key.to_owned(), time_ms, value)),
        Parsed::Blank => Err(None),
        Parsed::Rejected(reason) => Err(Some(reason)),
    }
}

#[test]
fn a_text_line_is_its_first_word() {
    // Fails if a line end, other words or the place of the line leak into the key.
    let event = |key: &str| Ok((key.to_owned(), 42, 1));
    assert_eq!(parsed(b"word and more"), event("word"));
    assert_eq!(parsed(b"  \tword\r"), event("word"));
    assert_eq!(parsed("stra\u{df}e\u{3000}wide".as_bytes()), event("stra\u{df}e"));
    assert_eq!(parsed(b"\"quoted\""), event("\"quoted\""));
    assert_eq!(parsed(b"[1,2]"), event("[1,2]"));
}

#[test]
fn a_long_word_is_cut_where_a_character_ends() {
    // Fails if the cut splits a character (then it panics) or lies elsewhere than at or just before 64 bytes.
    let (key, ..) = parsed("a\u{65e5}".repeat(40).as_bytes()).unwrap();
    assert_eq!(key, "a\u{65e5}".repeat(16));
    let (key, ..) = parsed("\u{65e5}".repeat(40).as_bytes()).unwrap();
    assert_eq!(key, "\u{65e5}".repeat(21));
}

#[test]
fn blank_lines_are_neither_events_nor_rejected() {
    for blank in ["", "\r", " \t ", "\u{3000}"] {
        assert_eq!(parsed(blank.as_bytes()), Err(None), "{blank:?}");
    }
}

#[test]
fn a_json_line_has_key_time_and_value() {
    // Fails if a default, an alias or an escape is handled otherwise than documented.
    let event = |key: &str, time_ms, value| Ok((key.to_owned(), time_ms, value));
    assert_eq!(parsed(br#"{"key":"k"}"#), event("k", 42, 1));
    assert_eq!(parsed(br#" {"page":"p","ts":7,"value":-3} "#), event("p", 7, -3));
    assert_eq!(parsed(br#"{"key":"k","page":"p"}"#), event("k", 42, 1));
    assert_eq!(parsed(br#"{"key":null,"page":"p","ts":null,"value":null}"#), event("p", 42, 1));
    assert_eq!(parsed(br#"{"key":"\u00e9 \"x\"","deep":{"a":[[[1]]]}}"#), event("\u{e9} \"x\"", 42, 1));
    assert_eq!(parsed(br#"{"key":"k","ts":1.5e3,"value":9223372036854775807}"#), event("k", 1500, i64::MAX));
    assert_eq!(parsed(br#"{"key":"k","ts":253402300799999}"#), event("k", 253_402_300_799_999, 1));
}

#[test]
fn what_is_no_event_is_rejected_with_its_reason() {
    // Fails if something that cannot be counted honestly is taken for an event.
    let cases: [(&[u8], Reason); 22] = [
        (b"\xff\xfe", Reason::NotUtf8),
        (b"ok \xc3", Reason::NotUtf8),
        (b"nul\0byte", Reason::ControlInKey),
        (b"esc\x1b[1m", Reason::ControlInKey),
        (br#"{"key":"a\u0000"}"#, Reason::ControlInKey),
        (b"{", Reason::NotJson),
        (b"{broken}", Reason::NotJson),
        (br#"{"key":"k"} trailing"#, Reason::NotJson),
        (br#"{"key":"k","key":"k"}"#, Reason::NotJson),
        (b"{}", Reason::NoKey),
        (br#"{"key":7}"#, Reason::NoKey),
        (br#"{"key":""}"#, Reason::NoKey),
        (br#"{"key":"\ud800"}"#, Reason::NoKey),
        (br#"{"key":["k"],"page":"p"}"#, Reason::NoKey),
        (br#"{"key":"k","ts":-1}"#, Reason::Time),
        (br#"{"key":"k","ts":"7"}"#, Reason::Time),
        (br#"{"key":"k","ts":1e300}"#, Reason::Time),
        (br#"{"key":"k","ts":253402300800000}"#, Reason::Time),
        (br#"{"key":"k","value":1.5}"#, Reason::Value),
        (br#"{"key":"k","value":true}"#, Reason::Value),
        (br#"{"key":"k","value":9223372036854775808}"#, Reason::Value),
        (br#"{"key":"k","value":1e400}"#, Reason::Value),
    ];
    for (bytes, reason) in cases {
        assert_eq!(parsed(bytes), Err(Some(reason)), "{:?}", String::from_utf8_lossy(bytes));
    }
    let long = format!(r#"{{"key":"{}"}}"#, "k".repeat(65));
    assert_eq!(parsed(long.as_bytes()), Err(Some(Reason::NoKey)));
    let deep = format!(r#"{{"key":"k","x":{}"#, "[".repeat(60_000));
    assert_eq!(parsed(deep.as_bytes()), Err(Some(Reason::NotJson)));
}
