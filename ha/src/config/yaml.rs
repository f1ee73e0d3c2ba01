//! Settings from YAML, as Flink's `config.yaml` and `flink-conf.yaml` have them: flat, nested, or both.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use ha_core::{Error, ErrorKind};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::options;
use super::origin::Origin;
use super::{Configuration, shown};

/// The largest file that is read.
const FILE_BYTES_MAX: usize = 1 << 20;
/// How deep maps and lists may stand in each other.
const DEPTH_MAX: usize = 64;
/// What all keys and values may amount to. Values that are repeated by `*name` count each time, and what a nested key
/// begins with at each of its values.
const BYTES_MAX: usize = 4 << 20;
/// In YAML 1.1 what stands here is merged into the map around it. YAML 1.2 and Flink know nothing of it.
const MERGE: &str = "<<";

impl Configuration {
    /// The settings in a YAML text. `origin` is what errors call it.
    ///
    /// Keys are flat, as in `high-availability.cluster-id: /prod`, or nested, one map for each part between dots, or both.
    /// A list counts as its items with commas between them; a key without a value counts as absent. The keys of a whole
    /// Flink may stand beside: what is not this library's own is passed over.
    ///
    /// ```
    /// use ha::config::Configuration;
    /// let configuration = Configuration::from_yaml(
    ///     "high-availability.type: consul\nhigh-availability:\n  consul:\n    host: localhost\n",
    ///     "config.yaml",
    /// )?;
    /// assert_eq!(configuration.get("high-availability.consul.host"), Some("localhost"));
    /// assert_eq!(configuration.origin("high-availability.consul.host").unwrap().to_string(), "config.yaml:4");
    /// # Ok::<(), ha::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: it is not YAML, not one map, too large (1 MiB) or too deep, or a key has two values. The text
    /// names the line, and shows no value.
    pub fn from_yaml(text: &str, origin: &str) -> Result<Self, Error> {
        if text.len() > FILE_BYTES_MAX {
            return Err(too_large(origin));
        }
        let mut reading = Reading {
            name: origin.into(),
            configuration: Self::new(),
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            documents: 0,
            bytes: 0,
        };
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(event) = parser.next_event() {
            let (event, span) =
                event.map_err(|e| reading.invalid(e.marker().line(), format!("no YAML: {}", e.info())))?;
            reading.take(event, span.start.line())?;
        }
        Ok(reading.configuration)
    }

    /// The settings in a YAML file, as [`from_yaml`](Self::from_yaml). It blocks for as long as the disk does.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml), and [`ErrorKind::NotFound`], [`ErrorKind::Denied`], [`ErrorKind::Unavailable`]: it
    /// cannot be read.
    pub fn from_yaml_file(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        let most = FILE_BYTES_MAX as u64 + 1;
        File::open(path)
            .and_then(|file| file.take(most).read_to_end(&mut bytes))
            .map_err(|error| unread(&name, error))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(too_large(&name));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new(ErrorKind::Invalid, "configuration").at(&name).because("it is no UTF-8 text"))?;
        Self::from_yaml(&text, &name)
    }
}

fn too_large(name: &str) -> Error {
    let why = format!("it is larger than {FILE_BYTES_MAX} bytes; is it the right file?");
    Error::new(ErrorKind::Invalid, "configuration").at(name).because(why)
}

fn unread(name: &str, error: io::Error) -> Error {
    let (kind, why) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "there is no such file"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "this process may not read it"),
        _ => (ErrorKind::Unavailable, "it cannot be read"),
    };
    Error::new(kind, "configuration").at(name).because(why).caused_by(error)
}

/// What is open where the parser stands.
enum Frame {
    /// A map whose keys go on from that prefix, and the key whose value comes next.
    Map { prefix: String, key: Option<(String, usize)> },
    /// The items of a list that is the value of that key.
    List { key: String, line: usize, items: Vec<String> },
    /// Something within a list, which is no setting of anybody's here.
    Inner,
}

struct Reading {
    name: Arc<str>,
    configuration: Configuration,
    stack: Vec<Frame>,
    /// Texts that were given a name by `&name`, by the parser's number for it; and whether each stands for no value.
    anchors: BTreeMap<usize, (String, bool)>,
    documents: usize,
    /// How many bytes all keys and values have so far.
    bytes: usize,
}

impl Reading {
    fn invalid(&self, line: usize, why: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Invalid, "configuration").at(format!("{}:{line}", self.name)).because(why)
    }

    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Error> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(self.invalid(line, "a second document begins; all settings stand in one")),
                }
            }
            Event::MappingStart(..) => self.open(line, |key| match key {
                None => Frame::Map { prefix: String::new(), key: None },
                Some((key, _)) => Frame::Map { prefix: format!("{key}."), key: None },
            }),
            Event::SequenceStart(..) => self.open(line, |key| match key {
                None => Frame::Inner,
                Some((key, line)) => Frame::List { key, line, items: Vec::new() },
            }),
            Event::MappingEnd => {
                self.stack.pop();
                Ok(())
            }
            Event::SequenceEnd => match self.stack.pop() {
                Some(Frame::List { key, line, items }) => self.set(key, items.join(","), line),
                _ => Ok(()),
            },
            Event::Scalar(text, style, anchor, _) => {
                let absent = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                if anchor > 0 {
                    self.anchors.insert(anchor, (text.to_string(), absent));
                }
                self.text(&text, absent, line)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((text, absent)) => self.text(&text, absent, line),
                None => self.alias_of_more_than_text(line),
            },
            _ => Ok(()),
        }
    }

    /// Opens a map or a list at the key that waits for it; `None` at the top.
    fn open(&mut self, line: usize, frame: impl FnOnce(Option<(String, usize)>) -> Frame) -> Result<(), Error> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(self.invalid(line, format!("maps and lists stand deeper than {DEPTH_MAX} in each other")));
        }
        let opened = match self.stack.last_mut() {
            None => match frame(None) {
                Frame::Inner => return Err(self.no_map(line)),
                map => map,
            },
            Some(Frame::Map { key, .. }) => match key.take() {
                Some(key) => frame(Some(key)),
                None => return Err(self.invalid(line, "a key is a text, not a map or a list")),
            },
            Some(Frame::List { .. } | Frame::Inner) => Frame::Inner,
        };
        self.stack.push(opened);
        Ok(())
    }

    fn no_map(&self, line: usize) -> Error {
        self.invalid(line, "no settings: write `key: value`, one to a line")
    }

    fn text(&mut self, text: &str, absent: bool, line: usize) -> Result<(), Error> {
        let prefix = match self.stack.last() {
            Some(Frame::Map { prefix, key: None }) => prefix.as_str(),
            _ => "",
        };
        // A long key of a map is held once more for each key in it.
        self.bytes += prefix.len() + text.len();
        if self.bytes > BYTES_MAX {
            return Err(self.invalid(line, format!("all keys and values together are longer than {BYTES_MAX} bytes")));
        }
        // At the top, and in maps of ours, it would hold settings that nobody reads.
        let is_key = matches!(self.stack.last(), Some(Frame::Map { key: None, .. }));
        if is_key && text == MERGE && (prefix.is_empty() || is_own(prefix)) {
            return Err(self.invalid(line, format!("maps are not merged by `{MERGE}`; write the keys out")));
        }
        match self.stack.last_mut() {
            // A file that has nothing but comments.
            None if absent => Ok(()),
            None => Err(self.no_map(line)),
            Some(Frame::Map { prefix, key }) => match key.take() {
                None => {
                    *key = Some((format!("{prefix}{text}"), line));
                    Ok(())
                }
                Some(_) if absent => Ok(()),
                Some((full, line)) => self.set(full, text.to_owned(), line),
            },
            Some(Frame::List { items, .. }) => {
                items.push(text.to_owned());
                Ok(())
            }
            Some(Frame::Inner) => Ok(()),
        }
    }

    /// `*name` of a map or a list: nothing of ours, and passed over where it is nobody's here.
    fn alias_of_more_than_text(&mut self, line: usize) -> Result<(), Error> {
        let refused = match self.stack.last_mut() {
            Some(Frame::Map { key, .. }) => key.take().filter(|(key, _)| is_own(key)).map(|(key, _)| key),
            Some(Frame::List { key, .. }) => Some(key.clone()).filter(|key| is_own(key)),
            _ => None,
        };
        match refused {
            Some(key) => {
                Err(self.invalid(line, format!("{}: only texts can be repeated by *name; write it out", shown(&key))))
            }
            None => Ok(()),
        }
    }

    fn set(&mut self, key: String, value: String, line: usize) -> Result<(), Error> {
        let origin = Origin::File { name: Arc::clone(&self.name), line };
        match is_own(&key) {
            true => self.configuration.give(&key, value, origin),
            // Somebody else's, who may read two values of one key as they like.
            false => {
                self.configuration.replace(&key, value, origin);
                Ok(())
            }
        }
    }
}

/// Whether the key, or what all keys of a map begin with, is one that this library answers for.
fn is_own(key: &str) -> bool {
    let own = |prefix: &&str| key.starts_with(*prefix) || prefix.trim_end_matches('.') == key;
    options::STRICT.iter().any(own) || super::ConfigOption::find(key).is_some() || super::settings::is_storage_key(key)
}

#[cfg(test)]
mod tests;
