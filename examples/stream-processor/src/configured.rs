//! What a configuration file says, under what the command line says.
//!
//! Of the settings that the library hands out for each call, `num_retained` and `job_manager_ports` are used. `cleanup` is
//! not: this program cleans up after a job in steps of its own (`cluster::ending`), once under each leader. Nor is
//! `job-result-store.delete-on-commit`: results are kept for good, for they refuse a job that has ended. What the file says of
//! a fixed address of presence is refused, for several processes run on one host.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use ha::config::{PortRange, StorageSettings};
use ha::state::StorageOptions;
use ha::{BackendSettings, Configuration, Error, ErrorKind, PresenceOptions, ServicesOptions, Settings};

use crate::cli::{Arguments, ClusterArguments, Command, DemoArguments, LivenessArguments, Presence};

/// What a file says that has no word of its own on the command line. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// The backend's own settings, but where it is reached.
    pub backend: BackendSettings,
    /// How services are set up.
    pub options: ServicesOptions,
    /// Where state is stored.
    pub storage: Option<StorageSettings>,
    /// The cluster, if the file names one.
    pub cluster: Option<String>,
    /// How many completed checkpoints of a job are kept, if the file says it.
    pub retained: Option<usize>,
    /// The ports that a job manager may listen at, if the file says them and the command line does not.
    pub ports: Option<Vec<PortRange>>,
}

/// How many completed checkpoints are kept where no file says it.
const RETAINED: usize = 2;

impl Configured {
    /// How many completed checkpoints of a job are kept.
    #[must_use]
    pub fn retained(&self) -> usize {
        self.retained.unwrap_or(RETAINED)
    }

    /// The options of the state storage.
    #[must_use]
    pub fn storage_options(&self) -> StorageOptions {
        self.storage.as_ref().map(|storage| storage.options.clone()).unwrap_or_default()
    }
}

/// Why the program is not started.
#[derive(Debug)]
pub enum Unfit {
    /// The words are not understood, or ask for help.
    Words(clap::Error),
    /// The file is not in order.
    File(Error),
}

impl Unfit {
    /// Says so, as programs do, and gives the exit status.
    #[must_use]
    pub fn tell(self) -> ExitCode {
        match self {
            Self::Words(error) => {
                // A closed output changes nothing: the exit status says the same.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::File(error) => {
                eprintln!("stream-processor: {error}");
                ExitCode::from(2)
            }
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unfit {}

impl From<clap::Error> for Unfit {
    fn from(error: clap::Error) -> Self {
        Self::Words(error)
    }
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

impl Arguments {
    /// What the words of a command line ask for, and under them the file that `--config` names.
    ///
    /// # Errors
    /// [`Unfit`]: words that are not understood, or a file that is not in order.
    pub fn read<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Self, Unfit> {
        let matches = Self::command().try_get_matches_from(words)?;
        let mut arguments = Self::from_arg_matches(&matches)?;
        match (&mut arguments.command, matches.subcommand()) {
            (Some(command), Some((_, matches))) => command.configure(&Said(matches))?,
            _ => arguments.demo.configure(&Said(&matches))?,
        }
        Ok(arguments)
    }
}

/// The words that were really said.
struct Said<'m>(&'m ArgMatches);

impl Said<'_> {
    fn has(&self, id: &str) -> bool {
        self.0.value_source(id) == Some(ValueSource::CommandLine)
    }
}

/// A file that was read.
struct File {
    given: Configuration,
    settings: Settings,
}

impl File {
    fn read(path: &Path) -> Result<Self, Error> {
        let given = Configuration::from_yaml_file(path)?;
        Ok(Self { settings: given.settings()?, given })
    }

    fn gives(&self, key: &str) -> bool {
        self.given.get(key).is_some()
    }

    /// Which backend and where, and what else there is to know about it.
    fn backend(&self, said: &Said<'_>, backend: &mut String, endpoint: &mut String) -> Configured {
        let kind = self.settings.mode.type_name();
        if !said.has("backend") && self.gives("high-availability.type") {
            kind.clone_into(backend);
        }
        let storage = self.settings.storage.clone();
        let mut configured = Configured {
            backend: BackendSettings::new(),
            options: self.settings.options.clone(),
            // What is kept in memory by default is kept there by this program's own choice.
            storage: storage.filter(|s| self.gives("high-availability.storageDir") || !s.url.starts_with("memory:")),
            cluster: self.given.get("high-availability.cluster-id").map(|id| id.trim_matches('/').to_owned()),
            retained: self.gives("execution.checkpointing.num-retained").then_some(self.settings.num_retained),
            ports: None,
        };
        if backend == kind {
            let settings = &self.settings.backend;
            if !said.has("endpoint") {
                *endpoint = place_of(settings);
            }
            let others = settings.names().filter(|name| !PLACE.contains(name));
            configured.backend = others.filter_map(|name| Some((name, settings.get(name)?))).collect();
        }
        configured
    }

    fn liveness(&self, said: &Said<'_>, liveness: &mut LivenessArguments) -> Result<(), Error> {
        if !said.has("silence_ms") && self.gives("high-availability.session.silence") {
            // At most a day.
            liveness.silence_ms = u64::try_from(self.settings.options.session.silence.as_millis()).unwrap_or(u64::MAX);
        }
        if !said.has("presence") {
            match self.settings.options.presence {
                PresenceOptions::Automatic => {}
                PresenceOptions::Off => liveness.presence = Presence::Off,
                _ => {
                    return Err(Error::new(ErrorKind::Unsupported, "configuration")
                        .at("high-availability.presence.bind")
                        .because("several of this program's processes run on one host: write auto or off"));
                }
            }
        }
        Ok(())
    }
}

/// The settings that say where a backend is.
const PLACE: [&str; 4] = ["address", "host", "port", "directory"];

/// Where a backend is, as `--endpoint` says it.
fn place_of(settings: &BackendSettings) -> String {
    let whole = settings.get("address").or_else(|| settings.get("directory"));
    match (whole, settings.get("host"), settings.get("port")) {
        (Some(whole), _, _) => whole.to_owned(),
        (None, None, None) => String::new(),
        (None, host, port) => format!("{}:{}", host.unwrap_or("127.0.0.1"), port.unwrap_or("8500")),
    }
}

impl DemoArguments {
    fn configure(&mut self, said: &Said<'_>) -> Result<(), Error> {
        let Some(path) = &self.config else { return Ok(()) };
        let file = File::read(path)?;
        self.configured = file.backend(said, &mut self.backend, &mut self.endpoint);
        let given = self.configured.storage.as_ref().map(|storage| storage.url.clone());
        // What one member keeps in memory is not found by the next leader: a temporary directory then.
        let shared = given.filter(|url| !url.starts_with("memory:"));
        self.storage = self.storage.take().or(shared);
        file.liveness(said, &mut self.liveness)
    }
}

impl Command {
    fn configure(&mut self, said: &Said<'_>) -> Result<(), Error> {
        match self {
            Self::JobManager(arguments) => {
                let Some(file) = arguments.cluster.configure(said)? else { return Ok(()) };
                if !said.has("listen") && file.gives("high-availability.jobmanager.port") {
                    arguments.cluster.configured.ports = Some(file.settings.job_manager_ports.clone());
                }
                file.liveness(said, &mut arguments.liveness)
            }
            Self::Worker(arguments) => arguments.cluster.configure(said).map(drop),
            Self::Submit(arguments) => arguments.client.cluster.configure(said).map(drop),
            Self::Status(arguments) => arguments.client.cluster.configure(said).map(drop),
        }
    }
}

impl ClusterArguments {
    fn configure(&mut self, said: &Said<'_>) -> Result<Option<File>, Error> {
        let Some(path) = &self.config else { return Ok(None) };
        let file = File::read(path)?;
        self.configured = file.backend(said, &mut self.backend, &mut self.endpoint);
        if let Some(cluster) = self.configured.cluster.clone().filter(|_| !said.has("cluster_id")) {
            self.cluster_id = cluster;
        }
        Ok(Some(file))
    }
}

#[cfg(test)]
mod tests;
