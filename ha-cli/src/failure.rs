//! How the tool ends: one line on standard error, and a status that scripts can tell apart.

use std::error::Error as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use ha::{Error, ErrorKind};

use crate::output::plain;

/// All is well, or was done.
pub(crate) const FINE: u8 = 0;
/// Everything was looked at, and something is not as it should be.
pub(crate) const PROBLEMS: u8 = 1;
/// The command line or the configuration is not right. Nothing was done.
pub(crate) const USAGE: u8 = 2;
/// The store or the state storage does not answer, or something else answers in its place.
pub(crate) const UNREACHABLE: u8 = 3;
/// The store or the state storage refuses access.
pub(crate) const DENIED: u8 = 4;
/// What was asked for was not done: refused because it would not be safe, declined, or not in time.
pub(crate) const NOT_DONE: u8 = 5;
/// Anything else: stored bytes that cannot be read, an outcome that stayed unknown.
pub(crate) const OTHER: u8 = 6;
/// Ctrl-C.
const INTERRUPTED: u8 = 130;

/// How wide a line may get.
const LINE_MAX: usize = 1200;

/// Why the tool ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: USAGE, text: text.into() }
    }

    pub(crate) fn not_done(text: impl Into<String>) -> Self {
        Self { code: NOT_DONE, text: text.into() }
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Self { code: OTHER, text: text.into() }
    }

    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self { code: UNREACHABLE, text: text.into() }
    }

    pub(crate) fn interrupted() -> Self {
        // The terminal has shown `^C` on a line that may have begun already.
        if std::io::stderr().is_terminal() {
            let _ = writeln!(std::io::stderr());
        }
        Self { code: INTERRUPTED, text: "interrupted".to_owned() }
    }

    /// Standard output was closed, as `head` does: nothing is said about it.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self { code: FINE, text: String::new() },
            _ => Self::other(format!("the output could not be written: {error}")),
        }
    }

    pub(crate) fn report(&self) -> ExitCode {
        if !self.text.is_empty() {
            say("hactl", &self.text);
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Storage => UNREACHABLE,
            ErrorKind::Denied => DENIED,
            ErrorKind::Invalid => USAGE,
            ErrorKind::Fenced | ErrorKind::NotLeader | ErrorKind::Conflict | ErrorKind::IllegalState => NOT_DONE,
            _ => OTHER,
        };
        Self { code, text: one_line(&error) }
    }
}

/// The error and what caused it, once each, on one line.
pub(crate) fn one_line(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many causes say again what is said already.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    plain(&text)
}

/// One line on standard error.
pub(crate) fn say(who: &str, text: &str) {
    let mut line = plain(text);
    if line.len() > LINE_MAX {
        let end = (0..=LINE_MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to tell if that fails.
    let _ = match stderr.is_terminal() {
        true => writeln!(stderr, "\x1b[1m{who}:\x1b[0m {line}"),
        false => writeln!(stderr, "{who}: {line}"),
    };
}
