//! Telling Rust code, comments and literals apart, as far as the rules need it.

/// What a stretch of Rust source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Code,
    Comment,
    /// A string, byte string or character, with its quotes.
    Literal,
}

/// The source with everything but `keep` blanked out; lines stay where they are.
pub(crate) fn only(source: &str, keep: &[Kind]) -> String {
    let blank = |c| if c == '\n' { '\n' } else { ' ' };
    let mut text = String::with_capacity(source.len());
    for (kind, piece) in pieces(source) {
        match keep.contains(&kind) {
            true => text.push_str(piece),
            false => text.extend(piece.chars().map(blank)),
        }
    }
    text
}

fn pieces(source: &str) -> Vec<(Kind, &str)> {
    let mut pieces = Vec::new();
    let (mut code_from, mut at) = (0, 0);
    let mut previous = ' ';
    while let Some(c) = source[at..].chars().next() {
        let Some((kind, length)) = special(&source[at..], previous) else {
            previous = c;
            at += c.len_utf8();
            continue;
        };
        pieces.push((Kind::Code, &source[code_from..at]));
        pieces.push((kind, &source[at..at + length]));
        at += length;
        code_from = at;
        previous = ' ';
    }
    pieces.push((Kind::Code, &source[code_from..]));
    pieces
}

/// The comment or literal that `rest` begins with, and its length; `previous` is the character before it.
fn special(rest: &str, previous: char) -> Option<(Kind, usize)> {
    if rest.starts_with("//") {
        return Some((Kind::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((Kind::Comment, block_comment(rest)));
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return Some((Kind::Literal, 1 + quoted(inside, '"')));
    }
    if rest.starts_with('\'') {
        return character(rest).map(|length| (Kind::Literal, length));
    }
    let in_word = previous.is_alphanumeric() || previous == '_';
    let length = if in_word { None } else { raw_string(rest) };
    length.map(|length| (Kind::Literal, length))
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while let Some(c) = rest[at..].chars().next() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += c.len_utf8();
        }
    }
    rest.len()
}

/// The length up to and with the closing quote, which a backslash can escape.
fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c if c == quote => return at + c.len_utf8(),
            _ => (),
        }
    }
    rest.len()
}

/// A character literal; `None` for a lifetime, which begins with the same quote.
fn character(rest: &str) -> Option<usize> {
    let mut inside = rest[1..].chars();
    let first = inside.next()?;
    let is_literal = first == '\\' || inside.next() == Some('\'');
    is_literal.then(|| 1 + quoted(&rest[1..], '\''))
}

/// `r"…"`, `br#"…"#` and the like; plain `b"…"` is a letter of code before an ordinary string.
fn raw_string(rest: &str) -> Option<usize> {
    let after =
        ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix).filter(|s| s.starts_with(['#', '"'])))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &after[..hashes]);
    let closed = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 3] = [Kind::Code, Kind::Comment, Kind::Literal];

    fn of(kind: Kind, source: &str) -> String {
        only(source, &[kind]).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_told_from_code_and_from_strings() {
        let source = "a /* b /* c */ d */ \"// e\" // f \"g\"\nh";
        assert_eq!(of(Kind::Code, source), "a h");
        assert_eq!(of(Kind::Comment, source), "/* b /* c */ d */ // f \"g\"");
        assert_eq!(of(Kind::Literal, source), "\"// e\"");
    }

    #[test]
    fn strings_end_where_rust_says_they_end() {
        let literals = [
            "\"a\\\"b\"",
            "\"\\\\\"",
            "r\"a\\\"",
            "r#\"a\"b\"#",
            "br##\"\"#\"##",
            "'\"'",
            "'\\''",
            "'é'",
            "'\\u{1F600}'",
        ];
        for literal in literals {
            let source = format!("x {literal} y");
            assert_eq!(of(Kind::Literal, &source), literal, "{source}");
            assert_eq!(of(Kind::Code, &source), "x y", "{source}");
        }
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        for source in ["fn f<'a>(x: &'a str, y: &'a str)", "r#type", "for r in b", "'outer: loop {}", "number\"\""] {
            let code = source.replace("\"\"", "");
            assert_eq!(of(Kind::Code, source), code, "{source}");
        }
    }

    #[test]
    fn what_never_ends_is_taken_to_the_end() {
        for source in ["/* a", "\"a", "r#\"a\"", "'\\", "// a", "\"\\", "'"] {
            assert_eq!(only(source, &ALL), source);
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "a\n/* é\n\n*/ \"x\ny\"\nb";
        for kind in ALL {
            assert_eq!(only(source, &[kind]).lines().count(), source.lines().count(), "{kind:?}");
        }
    }
}
