use super::*;

#[test]
fn every_unit_of_flinks_means_what_it_means_there() {
    for (names, nanos) in TIME_UNITS {
        for name in names {
            for text in [format!("3{name}"), format!(" 3 {name} "), format!("3 {}", name.to_uppercase())] {
                let expected = Duration::from_nanos(3 * u64::try_from(nanos).unwrap());
                assert_eq!(parse_duration(&text).unwrap(), expected, "{text}");
            }
        }
    }
    for (names, bytes) in MEMORY_UNITS {
        for name in names {
            for text in [format!("3{name}"), format!(" 3 {name} "), format!("3 {}", name.to_uppercase())] {
                assert_eq!(parse_memory_size(&text).unwrap(), 3 * bytes, "{text}");
            }
        }
    }
    assert_eq!(parse_duration("P1DT2H3M4S").unwrap(), Duration::from_secs(93_784));
    assert_eq!(parse_duration("pt30s").unwrap(), Duration::from_secs(30));
}

#[test]
fn what_is_none_is_refused_and_not_guessed() {
    let words =
        ["", " ", "s", "-1", "-1 s", "+1s", "1.5 s", "1 y", "1 s s", "1s2", "1e3", "soon", "PT", "P", "P1M", "PT1H2"];
    for text in words.into_iter().chain(["99999999999999999999", "18446744073709551615 d", "PT-1S", "١ s", "1\u{0}s"])
    {
        let error = parse_duration(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
    }
    for text in ["", "b", "-1", "1.5 kb", "1 kib", "1 pb", "18446744073709551615 kb", "99999999999999999999"] {
        assert_eq!(parse_memory_size(text).unwrap_err().kind(), ErrorKind::Invalid, "{text:?}");
    }
    for text in ["", "yes", "1", "truee"] {
        assert!(parse_boolean(text).is_err(), "{text:?}");
    }
    for text in ["", "+1", "-1", "0x1", "1 ", "18446744073709551616"] {
        assert_eq!(parse_number(text).is_ok(), text == "1 ", "{text:?}");
    }
}

#[test]
fn capitals_do_not_count_in_booleans() {
    for text in ["true", "TRUE", "True", " tRuE "] {
        assert!(parse_boolean(text).unwrap());
    }
    for text in ["false", "FALSE", "False", " fAlSe "] {
        assert!(!parse_boolean(text).unwrap());
    }
}

#[test]
fn tries_without_end_have_flinks_names_and_its_largest_number() {
    for text in ["infinite", "INFINITE", "unlimited", "2147483647", "4294967296"] {
        assert_eq!(parse_attempts(text).unwrap(), None, "{text}");
    }
    assert_eq!(parse_attempts("7").unwrap(), Some(7));
    assert!(parse_attempts("0").is_err() && parse_attempts("never").is_err());
}

/// Every text of up to three of these characters, and many longer ones.
#[test]
fn no_text_makes_a_parser_panic_or_answer_with_a_long_error() {
    let characters: Vec<char> = "0919 \t-+.pPtTsSmMdDhHkKbBµμ\u{0}\u{202e}é🙂\u{ff11}∞".chars().collect();
    let mut texts = vec![String::new()];
    let mut from = 0;
    for _ in 0..3 {
        let grown: Vec<String> =
            texts[from..].iter().flat_map(|t| characters.iter().map(move |c| format!("{t}{c}"))).collect();
        from = texts.len();
        texts.extend(grown);
    }
    texts.extend(characters.iter().map(|c| c.to_string().repeat(100_000)));
    for text in texts {
        let errors = [
            parse_duration(&text).err(),
            parse_memory_size(&text).err(),
            parse_boolean(&text).err(),
            parse_number(&text).err(),
            parse_attempts(&text).err(),
        ];
        for error in errors.into_iter().flatten() {
            assert!(error.to_string().len() < 1_000, "{} bytes", error.to_string().len());
        }
    }
}
