//! What is soaked, for how long.

use std::time::Duration;

use crate::Leak;

/// What a soak runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceName {
    /// In this process.
    Embedded,
    /// A journal on a device in memory.
    Journal,
    /// A journal in a directory.
    Filesystem,
    /// A Consul agent that is started for it.
    Consul,
}

impl PlaceName {
    const ALL: [(&'static str, Self); 4] = [
        ("embedded", Self::Embedded),
        ("journal", Self::Journal),
        ("filesystem", Self::Filesystem),
        ("consul", Self::Consul),
    ];
}

/// What one soak is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What it runs on.
    pub place: PlaceName,
    /// For how long; of simulated time where time is simulated.
    pub length: Duration,
    /// Whether time is simulated: hours pass in seconds, with every renewal that belongs to them.
    pub simulated: bool,
    /// Where the directory is made; where the system has such by default.
    pub directory: Option<std::path::PathBuf>,
    /// What is leaked on purpose in each cycle.
    pub leak: Option<Leak>,
}

impl Options {
    /// The words that [`Options::parse`] understands.
    pub const WORDS: &'static str = "--backend embedded|journal|filesystem|consul (default filesystem), --minutes N \
        (default 15), --hours N (simulated; embedded and journal only), --directory FOLDER (filesystem), \
        --leak task|timer|thread|session|descriptor|connection|key|watch|file|check|memory (must fail; file: filesystem, \
        check: consul, watch: embedded)";

    /// Reads a command line.
    ///
    /// # Errors
    /// A text for people: which word is not understood, and which are.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let minutes = |minutes| Duration::from_secs(minutes * 60);
        let mut options =
            Self { place: PlaceName::Filesystem, length: minutes(15), simulated: false, directory: None, leak: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("`{word}` needs a value, or is not known"))?;
            let number = || match value.parse::<u64>() {
                Ok(number) if (1..=100_000).contains(&number) => Ok(number),
                _ => Err(format!("`{word} {value}`: not a number from 1 to 100000")),
            };
            match word.as_str() {
                "--backend" => {
                    let known = PlaceName::ALL.into_iter().find(|(name, _)| name == value);
                    options.place = known.ok_or_else(|| format!("`{value}`: there are {}", Self::WORDS))?.1;
                }
                "--minutes" => options.length = minutes(number()?),
                "--hours" => (options.length, options.simulated) = (minutes(number()? * 60), true),
                "--directory" => options.directory = Some(value.into()),
                "--leak" => {
                    let known = Leak::ALL.into_iter().find(|leak| leak.name() == value);
                    options.leak = Some(known.ok_or_else(|| format!("`{value}`: there are {}", Self::WORDS))?);
                }
                _ => return Err(format!("unknown argument `{word}`; there are {}", Self::WORDS)),
            }
        }
        if options.simulated && matches!(options.place, PlaceName::Filesystem | PlaceName::Consul) {
            return Err("`--hours` is simulated time, which disks and servers do not know: \
                 take `--backend embedded` or `journal`, or say `--minutes`"
                .into());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_choose_what_is_soaked_and_for_how_long() {
        let options = parsed("--backend consul --minutes 3 --leak key").unwrap();
        assert_eq!((options.place, options.length.as_secs()), (PlaceName::Consul, 180));
        assert_eq!((options.leak, options.simulated), (Some(Leak::Key), false));
        let options = parsed("--hours 2 --backend journal").unwrap();
        assert_eq!((options.simulated, options.length.as_secs()), (true, 7200));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in ["--hours 1", "--minutes 0", "--minutes x", "--backend etcd", "--minutes", "--leak", "--fast 1"] {
            assert!(parsed(line).is_err(), "`{line}` was accepted");
        }
    }
}
