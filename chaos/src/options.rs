use std::path::PathBuf;
use std::time::Duration;

use ha_testkit::sim::Sabotage;

use crate::plan::Trouble;

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// On what the workers are.
    pub backend: Kind,
    /// For how long there are faults. The start, the healing and the judgement come on top.
    pub trouble: Duration,
    /// Chooses the faults, whom they befall and when.
    pub seed: u64,
    /// How many workers: 2 to 16.
    pub workers: usize,
    /// How many servers of Consul: one, or three.
    pub servers: usize,
    /// The silence after which a session ends.
    pub silence: Duration,
    /// Whether each worker has a clock of its own, which differs by the seed; otherwise all have the machine's.
    pub clocks_differ: bool,
    /// Only these faults; empty means all that the backend has.
    pub only: Vec<Trouble>,
    /// How the workers' backends are broken on purpose: then the checks must find something.
    pub sabotage: Vec<Sabotage>,
    /// Where the page with the timeline goes.
    pub page: Option<PathBuf>,
    /// Where the whole history goes, as lines of JSON.
    pub history: Option<PathBuf>,
    /// A folder in which the history of each life of each worker is kept.
    pub keep: Option<PathBuf>,
}

/// The backends that chaos is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Servers of Consul on loopback.
    Consul,
    /// A directory, on a small file system of its own where the machine allows that.
    Filesystem,
}

impl Kind {
    /// As it is called in command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consul => "consul",
            Self::Filesystem => "filesystem",
        }
    }
}

impl Options {
    /// That backend for a minute, with everything else as it is by default.
    #[must_use]
    pub fn on(backend: Kind) -> Self {
        Self {
            backend,
            trouble: Duration::from_secs(60),
            seed: 1,
            workers: 4,
            servers: 3,
            silence: Duration::from_secs(3),
            clocks_differ: true,
            only: Vec::new(),
            sabotage: Vec::new(),
            page: None,
            history: None,
            keep: None,
        }
    }

    /// How long the cluster may take to be whole again once the faults are over: a session of which nothing was heard
    /// ends after its TTL twice, views are read anew once in each silence, requests that hang last eight seconds.
    #[must_use]
    pub fn heals_within(&self) -> Duration {
        Duration::from_secs(20) + self.silence * 4
    }

    /// The command that makes the same plan.
    #[must_use]
    pub fn replay(&self) -> String {
        let (backend, seconds, seed) = (self.backend.name(), self.trouble.as_secs(), self.seed);
        let mut text = format!("cargo xtask chaos --backend {backend} --seconds {seconds} --seed {seed}");
        let mut add = |words: String| text.push_str(&words);
        add(format!(" --workers {} --silence-ms {}", self.workers, self.silence.as_millis()));
        if self.backend == Kind::Consul {
            add(format!(" --servers {}", self.servers));
        }
        if !self.clocks_differ {
            add(" --clocks same".into());
        }
        if !self.only.is_empty() {
            add(format!(" --only {}", self.only.iter().map(|one| one.name()).collect::<Vec<_>>().join(",")));
        }
        if !self.sabotage.is_empty() {
            add(format!(" --sabotage {}", sabotage_names(&self.sabotage)));
        }
        text
    }

    /// Reads the words of a command line.
    ///
    /// # Errors
    /// A text for people: which word is not understood, and what there is.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = None;
        let given = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
        for kind in [Kind::Consul, Kind::Filesystem] {
            if given("--backend").is_some_and(|name| name == kind.name()) {
                options = Some(Self::on(kind));
            }
        }
        let mut options = options.ok_or("say `--backend consul` or `--backend filesystem`")?;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("`{word}` needs a value, or is not known"))?;
            let number = |from: u64, to: u64| match value.parse::<u64>() {
                Ok(number) if (from..=to).contains(&number) => Ok(number),
                _ => Err(format!("`{word} {value}`: a number from {from} to {to} is needed")),
            };
            match word.as_str() {
                "--backend" => {}
                "--seconds" => options.trouble = Duration::from_secs(number(1, 86_400)?),
                "--seed" => options.seed = number(0, u64::MAX)?,
                "--workers" => options.workers = number(2, 16)? as usize,
                "--servers" => options.servers = if number(1, 3)? == 1 { 1 } else { 3 },
                "--silence-ms" => options.silence = Duration::from_millis(number(1000, 60_000)?),
                "--clocks" => {
                    options.clocks_differ = match value.as_str() {
                        "same" => false,
                        "differ" => true,
                        _ => return Err(format!("`--clocks {value}`: there are `differ` and `same`")),
                    }
                }
                "--page" => options.page = Some(value.into()),
                "--history" => options.history = Some(value.into()),
                "--keep" => options.keep = Some(value.into()),
                "--only" => options.only = value.split(',').map(trouble).collect::<Result<_, _>>()?,
                "--sabotage" => options.sabotage = sabotages(value)?,
                _ => return Err(format!("unknown argument `{word}`; there are {KNOWN}")),
            }
        }
        // A plan without a fault would be a clean run that tried nothing.
        if let Some(never) = options.only.iter().find(|trouble| trouble.weight(&options) == 0) {
            let servers = if options.backend == Kind::Consul { " with so many servers" } else { "" };
            return Err(format!("there is no `{}` on {}{servers}", never.name(), options.backend.name()));
        }
        Ok(options)
    }
}

const KNOWN: &str = "--backend consul|filesystem, --seconds N, --seed S, --workers K, --servers 1|3, --silence-ms N, --clocks differ|same, \
                     --page FILE, --history FILE, --keep DIR, --only FAULT[,FAULT], --sabotage NAME[,NAME]";

fn trouble(name: &str) -> Result<Trouble, String> {
    let found = Trouble::ALL.into_iter().find(|trouble| trouble.name() == name);
    let names = || Trouble::ALL.map(Trouble::name).join(", ");
    found.ok_or_else(|| format!("there is no fault `{name}`; there are {}", names()))
}

fn sabotage_name(sabotage: Sabotage) -> String {
    let mut name = String::new();
    for letter in format!("{sabotage:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// What ways of breaking the backend are called in command lines.
pub(crate) fn sabotage_names(all: &[Sabotage]) -> String {
    all.iter().map(|one| sabotage_name(*one)).collect::<Vec<_>>().join(",")
}

/// The ways of breaking the backend that are called so.
pub(crate) fn sabotages(names: &str) -> Result<Vec<Sabotage>, String> {
    let one = |name: &str| Sabotage::ALL.into_iter().find(|one| sabotage_name(*one) == name);
    let there_are = sabotage_names(&Sabotage::ALL);
    let all = names.split(',').filter(|name| !name.is_empty());
    all.map(|name| one(name).ok_or_else(|| format!("there is no `{name}`; there are {there_are}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_understood_or_refused_by_name() {
        let line = "--backend consul --seconds 7 --seed 9 --workers 3 --only kill,pause --sabotage endless-deadline";
        let options = parsed(line).unwrap();
        assert_eq!((options.trouble.as_secs(), options.seed, options.workers), (7, 9, 3));
        assert_eq!(
            (options.only.as_slice(), options.sabotage.clone()),
            ([Trouble::Kill, Trouble::Pause].as_slice(), vec![Sabotage::EndlessDeadline])
        );
        for (line, said) in [
            ("", "--backend"),
            ("--backend etcd", "--backend"),
            ("--backend consul --seed", "--seed"),
            ("--backend consul --seconds 0", "--seconds"),
            ("--backend consul --only rain", "rain"),
            ("--backend filesystem --only kill,kill-server", "kill-server"),
            ("--backend consul --servers 1 --only kill-servers-leader", "kill-servers-leader"),
            ("--backend consul --clocks none", "--clocks"),
            ("--backend consul --sabotage rain", "rain"),
            ("--backend consul --sed 7", "--sed"),
        ] {
            let message = parsed(line).unwrap_err();
            assert!(message.contains(said), "`{line}`: {message}");
        }
    }

    #[test]
    fn what_is_said_for_a_replay_is_understood_as_the_same() {
        let options =
            parsed("--backend consul --servers 1 --only kill,slow --sabotage unfenced --silence-ms 1500 --clocks same")
                .unwrap();
        let again = options.replay();
        let again = parsed(again.strip_prefix("cargo xtask chaos ").unwrap()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{options:?}"));
    }
}
