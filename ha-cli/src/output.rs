//! What goes to standard output: tables for people, one line of JSON for scripts.

use std::io::{IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// Writes text. Whoever reads may have gone.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written =
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::output(&error))
}

/// Writes one line of JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::other(format!("JSON: {error}")))?;
    print(&text)
}

/// Rows below their heads, two spaces apart.
pub(crate) fn table<const N: usize>(heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(heads);
    for row in rows {
        table.add_row(row.iter().map(|cell| Cell::new(plain(cell))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// What may be shown on a terminal: what a store holds may try to speak to it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { if c.is_whitespace() { ' ' } else { '\u{fffd}' } } else { c }).collect()
}

/// A word that says how something is; in colour on a terminal that may show some.
pub(crate) fn mark(word: &str, colour: Colour) -> String {
    let plain_wanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain_wanted || !std::io::stdout().is_terminal() {
        return format!("{word:<5}");
    }
    let code = match colour {
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Red => 31,
    };
    format!("\x1b[{code}m{word:<5}\x1b[0m")
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Colour {
    Green,
    Yellow,
    Red,
}

/// Progress on standard error, on one line, where somebody looks.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    shown: bool,
    last: usize,
}

impl Gauge {
    pub(crate) fn show(&mut self, done: usize, all: usize, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let step = (all / 100).max(1);
        if stderr.is_terminal() && (done == all || done >= self.last + step) {
            (self.shown, self.last) = (true, done);
            // A gauge that cannot be shown is none.
            let _ = write!(stderr, "\r\x1b[K{done} of {all} {text}").and_then(|()| stderr.flush());
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_holds_cannot_speak_to_the_terminal() {
        let hostile = "a\x1b[2Jb\r\nc\u{9b}d";
        assert!(!plain(hostile).chars().any(char::is_control), "{:?}", plain(hostile));
        let shown = table(["A"], [[hostile.to_owned()]]);
        assert_eq!(shown.lines().count(), 2);
        assert!(!shown.contains('\x1b'));
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let shown = table(["ONE", "TWO"], [["1".into(), "2".into()], ["longer".into(), String::new()]]);
        assert_eq!(shown, "ONE     TWO\n1       2\nlonger");
    }
}
