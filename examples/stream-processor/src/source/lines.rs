use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind as IoErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::parse::{self, Parsed};
use super::rejects::Reason;
use super::{Cursor, Next};
use crate::error::{EngineError, ErrorKind};

/// A longer line (without its end) is rejected; only this much of it is ever in memory.
pub(super) const LINE_MAX: usize = 64 * 1024;
const BUFFER: usize = 128 * 1024;

/// The lines of a file. Reads are blocking: they come from a local file, mostly from the page cache.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    cursor: Cursor,
    line: Vec<u8>,
    /// Holds a key that had to be unescaped, so that the event can borrow it.
    unescaped: String,
}

/// What was found at the current place of the file.
enum Found {
    Line,
    /// A line ran over the limit; its start was thrown away and the rest is to be skipped.
    Oversized,
    End,
}

impl Lines {
    pub(super) fn open(path: &Path, cursor: Cursor) -> Result<Self, EngineError> {
        let refused = |cause| EngineError::io("cannot open the input", path, cause);
        let mut file = File::open(path).map_err(refused)?;
        let length = file.metadata().map_err(refused)?.len();
        if cursor.byte > length {
            let what = format!("byte {} is behind the end of {} ({length} bytes)", cursor.byte, path.display());
            return Err(EngineError::new(ErrorKind::Mismatch, what));
        }
        file.seek(SeekFrom::Start(cursor.byte)).map_err(refused)?;
        let file = BufReader::with_capacity(BUFFER, file);
        Ok(Self { path: path.to_owned(), file, cursor, line: Vec::new(), unescaped: String::new() })
    }

    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    pub(super) fn next(&mut self) -> Result<Next<'_>, EngineError> {
        if self.cursor.inside_oversized {
            return self.skip();
        }
        let at = self.cursor.byte;
        match self.read_line()? {
            Found::End => return Ok(Next::End),
            Found::Oversized => {
                self.cursor.records += 1;
                self.cursor.inside_oversized = true;
                self.cursor.rejects.note(Reason::TooLong, at);
                return Ok(Next::Nothing);
            }
            Found::Line => {}
        }
        let record = self.cursor.records;
        self.cursor.records += 1;
        let mut line = self.line.as_slice();
        if at == 0 {
            // Some editors put a byte order mark in front; it is no part of the first key.
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        match parse::line(line, record, &mut self.unescaped) {
            Parsed::Event(event) => {
                self.cursor.accepted += 1;
                Ok(Next::Event(event))
            }
            Parsed::Blank => {
                self.cursor.blank += 1;
                Ok(Next::Nothing)
            }
            Parsed::Rejected(reason) => {
                self.cursor.rejects.note(reason, at);
                Ok(Next::Nothing)
            }
        }
    }

    /// Leaves the next line, without its end, in `self.line`.
    fn read_line(&mut self) -> Result<Found, EngineError> {
        self.line.clear();
        loop {
            let buffer = fill(&mut self.file, &self.path)?;
            if buffer.is_empty() {
                return Ok(if self.line.is_empty() { Found::End } else { Found::Line });
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let piece = &buffer[..end.unwrap_or(buffer.len())];
            // One more for the carriage return that may belong to the line's end.
            if self.line.len() + piece.len() > LINE_MAX + 1 {
                // Only what was taken in before is consumed: skipping starts at this buffer, and finds the end there.
                return Ok(Found::Oversized);
            }
            self.line.extend_from_slice(piece);
            let used = piece.len() + usize::from(end.is_some());
            self.file.consume(used);
            self.cursor.byte += used as u64;
            if end.is_some() {
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(Found::Line);
            }
        }
    }

    /// Goes on through a rejected line by one buffer at most.
    fn skip(&mut self) -> Result<Next<'_>, EngineError> {
        let buffer = fill(&mut self.file, &self.path)?;
        if buffer.is_empty() {
            self.cursor.inside_oversized = false;
            return Ok(Next::Nothing);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        self.file.consume(used);
        self.cursor.byte += used as u64;
        self.cursor.inside_oversized = end.is_none();
        Ok(Next::Nothing)
    }
}

fn fill<'a>(file: &'a mut BufReader<File>, path: &Path) -> Result<&'a [u8], EngineError> {
    loop {
        match file.fill_buf() {
            // The borrow of a matched answer would outlive the loop; asking again for a filled buffer reads nothing.
            Ok(_) => break,
            Err(cause) if cause.kind() == IoErrorKind::Interrupted => {}
            Err(cause) => return Err(EngineError::io("cannot read the input", path, cause)),
        }
    }
    Ok(file.buffer())
}
