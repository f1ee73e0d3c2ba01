//! `docs/configuration.md`, from the table.

use std::fmt::Write;

use super::environment::variable_of;
use super::option::{ConfigOption, Effect};
use super::options::{self, GROUPS};

const BEGINNING: &str = "\
# Configuration

All keys that services are configured by. Generated from the table in `ha/src/config` by `cargo xtask docs`: change it there.

A [`Configuration`](../ha/src/config/configuration.rs) is read from a YAML file (flat or nested keys, cargo feature
`yaml`), from a URL, from the environment, and from the program itself. Of several sources the later one counts, key by key;
the usual order is file, environment, command line.

```yaml
high-availability:
  type: consul
  cluster-id: /prod
  storageDir: file:///shared/ha
  consul:
    host: localhost
    port: 8500
```

```text
consul://localhost:8500/flink?cluster-id=/prod&storageDir=file:///shared/ha&session-ttl=30s
filesystem:///shared/ha?cluster-id=/prod
embedded://?cluster-id=/prod
```

* **URL.** The scheme is the type; with `consul` host, port and path are those of the agent and `path.root`, with `filesystem` the
  path is the directory. The query holds any other key, in full, or without `high-availability.`, or without
  `high-availability.consul.`.
* **Environment.** A variable is the key without `high-availability.`, in capitals, with `_` for each dot and dash and before each
  capital: `HA_CLUSTER_ID`, `HA_STORAGE_DIR`, `HA_CONSUL_HOST`. `HA_CONFIG` names a file and `HA_URL` is a URL, and the others
  count over both. With `consul`, the variables of Consul's own command line are used where nothing else is said.
* **Durations** are a whole number and a unit, as Flink takes them: `d`, `h`, `min`, `s`, `ms`, `us`, `ns` and their long names, in
  any case; a number alone means milliseconds. **Memory sizes** have `b`, `kb`, `mb`, `gb`, `tb`, each 1024 times the one
  before; a number alone means bytes. **Booleans** are `true` and `false`, in any case.
* **Keys that are not known** are errors that name the nearest one there is. In a file, keys of others are passed over; what begins
  as the keys below do is held to them there too. Options of a backend that is not chosen are checked and have no effect, so one
  file can have those of several.
* **Deprecated names** work, and the log names the new one. In one source both may stand only if they say the same.
* **Secrets** stand in no error, no log and no `Debug`.
* **Types**: `none` (also absent, also `standalone`), `consul`, `filesystem`, `embedded`, and the names of factories of your own, in any
  case, whose options stand below `high-availability.NAME.`. `ZOOKEEPER` and `KUBERNETES` are known and refused: there are no such
  backends yet.
";

/// The document of all options: `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = BEGINNING.to_owned();
    for group in &GROUPS {
        section(&mut text, group.title, group.about, group.options.iter());
    }
    text.push_str(&super::settings::storage_reference());
    let foreign: Vec<String> = options::FOREIGN.iter().map(|key| format!("`{key}`")).collect();
    text.push_str("\n## Passed over\n\nOptions of Flink's for backends that this library does not have:\n\n");
    lines(&mut text, &format!("{}.", foreign.join(", ")));
    text
}

fn section<'o>(text: &mut String, title: &str, about: &str, options: impl Iterator<Item = &'o ConfigOption>) {
    // Writing to a text cannot fail.
    let _ = write!(text, "\n## {title}\n\n");
    if !about.is_empty() {
        lines(text, about);
        text.push('\n');
    }
    text.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    for option in options {
        let default = match option.default {
            "" => "none".to_owned(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", option.key, option.kind, meaning(option));
    }
}

fn meaning(option: &ConfigOption) -> String {
    let mut meaning = option.meaning.to_owned();
    if option.secret {
        meaning.push_str(" **Secret.**");
    }
    if let Effect::Fixed([first, rest @ ..], _) = option.effect
        && !rest.is_empty()
    {
        let _ = write!(meaning, " Taken: `{first}`, `{}`.", rest.join("`, `"));
    }
    for (what, deprecated) in [("Also", false), ("Deprecated", true)] {
        let names: Vec<String> = option
            .aliases
            .iter()
            .filter(|alias| alias.deprecated == deprecated)
            .map(|a| format!("`{}`", a.key))
            .collect();
        if !names.is_empty() {
            let _ = write!(meaning, " {what}: {}.", names.join(", "));
        }
    }
    // Most follow the rule; these are worth a word.
    if option.key.contains(|letter: char| letter.is_ascii_uppercase()) && !option.key.ends_with("COMPONENT") {
        let _ = write!(meaning, " Variable: `{}`.", variable_of(option.key));
    }
    meaning
}

/// The words in lines of a readable length.
fn lines(text: &mut String, words: &str) {
    let mut width = 0;
    for word in words.split_whitespace() {
        if width > 0 && width + 1 + word.len() > 120 {
            text.push('\n');
            width = 0;
        }
        if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += word.len();
    }
    text.push('\n');
}
