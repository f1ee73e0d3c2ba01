mod backend;
mod checked;
mod storage;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::cleanup::CleanupStrategy;
use ha_core::job_result::{JobResultStoreOptions, OnClean};
use ha_core::{BackendSettings, Error, ErrorKind, PresenceOptions, ServicesOptions};

use super::value::{parse_attempts, parse_boolean, parse_number};
use super::{Configuration, HighAvailabilityMode, parse_duration};
use checked::{Ports, checked};

pub use checked::PortRange;
pub use storage::StorageSettings;
pub(super) use storage::{is_storage_key, storage_key, storage_keys, storage_names, storage_reference};

/// What services are made of: every option checked, with its default where it was not given.
///
/// Some options the library takes at each call, and the application hands them on: [`num_retained`](Self::num_retained),
/// [`cleanup`](Self::cleanup), [`job_manager_ports`](Self::job_manager_ports).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Which services are wanted.
    pub mode: HighAvailabilityMode,
    /// How they are set up, whatever backend they stand on.
    pub options: ServicesOptions,
    /// The settings of the backend's own.
    pub backend: BackendSettings,
    /// Where state is stored. `None`: it was not said, and there is no place that would do without.
    pub storage: Option<StorageSettings>,
    /// How many completed checkpoints of a job are kept: for
    /// [`create_recovered_completed_checkpoint_store`](crate::checkpoint::CheckpointRecoveryFactory::create_recovered_completed_checkpoint_store).
    pub num_retained: usize,
    /// When a failed clean-up is tried again: for [`ResourceCleaner::of`](crate::cleanup::ResourceCleaner::of).
    pub cleanup: CleanupStrategy,
    /// The ports that a job manager may listen at, in the order given; port 0 is any.
    pub job_manager_ports: Vec<PortRange>,
}

/// How long a session's silence may be, as sessions take it.
const SILENCE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(24 * 3600)];

impl Settings {
    pub(super) fn read(configuration: &Configuration) -> Result<Self, Error> {
        let mode = HighAvailabilityMode::of(configuration.get("high-availability.type"));
        checked(configuration, &mode)?;
        refuse_what_has_no_counterpart(configuration)?;
        let options = services_options(configuration)?;
        let backend = backend::settings(configuration, &mode)?;
        Ok(Self {
            storage: storage::settings(configuration, &mode, &backend)?,
            num_retained: num_retained(configuration)?,
            cleanup: cleanup(configuration)?,
            job_manager_ports: parsed(configuration, "high-availability.jobmanager.port", Ports::parse)?
                .map_or_else(|| vec![0..=0], |ports| ports.0),
            mode,
            options,
            backend,
        })
    }
}

/// The value of that key, if it is given.
///
/// # Errors
/// As `parse`, with the key and where it was given.
fn parsed<T>(
    configuration: &Configuration,
    key: &str,
    parse: impl Fn(&str) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let Some(entry) = configuration.entry(key) else { return Ok(None) };
    parse(&entry.value).map(Some).map_err(|error| entry.invalid(error))
}

/// The same error, at the key that is meant, if it is given.
fn at(configuration: &Configuration, key: &str, error: Error) -> Error {
    use std::error::Error as _;
    match (configuration.entry(key), error.source()) {
        (None, _) => error,
        (Some(entry), None) => entry.invalid(error),
        (Some(entry), Some(source)) => entry.invalid(format!("{error}: {source}")),
    }
}

fn services_options(configuration: &Configuration) -> Result<ServicesOptions, Error> {
    let default = ServicesOptions::default();
    let text = |key: &str| configuration.get(key).map(|value| value.trim().to_owned());
    let silence = parsed(configuration, "high-availability.session.silence", parse_duration)?;
    let session = SessionOptions {
        silence: silence.unwrap_or(default.session.silence),
        label: text("high-availability.session.label").unwrap_or_default(),
    };
    if !(SILENCE[0]..=SILENCE[1]).contains(&session.silence) {
        let [least, most] = SILENCE;
        let why = format!("from {least:?} to {most:?} are allowed");
        let error = Error::new(ErrorKind::Invalid, "silence").at(format!("{:?}", session.silence)).because(why);
        return Err(at(configuration, "high-availability.session.silence", error));
    }
    let handicap = parsed(configuration, "high-availability.handicap", parse_duration)?;
    let delete = parsed(configuration, "job-result-store.delete-on-commit", parse_boolean)?.unwrap_or(true);
    let options = ServicesOptions {
        // Flink's default, which is the same cluster.
        cluster_id: text("high-availability.cluster-id").unwrap_or_else(|| "/default".into()),
        root: text("high-availability.path.root").unwrap_or(default.root),
        session,
        handicap: handicap.unwrap_or(default.handicap),
        presence: presence(configuration)?,
        job_results: JobResultStoreOptions { on_clean: if delete { OnClean::Remove } else { OnClean::Keep } },
        formats: default.formats,
    };
    options.validate().map_err(|error| {
        let key = match error.subject() {
            "root" => "high-availability.path.root",
            "cluster_id" => "high-availability.cluster-id",
            "handicap" => "high-availability.handicap",
            "presence.advertise" => "high-availability.presence.advertise",
            _ => "high-availability.presence.bind",
        };
        at(configuration, key, error)
    })?;
    Ok(options)
}

fn presence(configuration: &Configuration) -> Result<PresenceOptions, Error> {
    const ADVERTISE: &str = "high-availability.presence.advertise";
    let address = |text: &str| {
        text.trim().parse::<std::net::SocketAddr>().map_err(|_| {
            let any = std::net::SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
            Error::new(ErrorKind::Invalid, "address").at(super::shown(text)).because(format!("write it as {any}"))
        })
    };
    let advertise = parsed(configuration, ADVERTISE, address)?;
    let bind = parsed(configuration, "high-availability.presence.bind", |text| {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(PresenceOptions::Automatic),
            "off" => Ok(PresenceOptions::Off),
            _ => Ok(PresenceOptions::At { bind: address(text)?, advertise }),
        }
    })?;
    let presence = bind.unwrap_or_default();
    match (configuration.entry(ADVERTISE), &presence) {
        (Some(entry), PresenceOptions::Automatic | PresenceOptions::Off) => {
            Err(entry.invalid("there is no address to advertise: give one to high-availability.presence.bind"))
        }
        _ => Ok(presence),
    }
}

fn num_retained(configuration: &Configuration) -> Result<usize, Error> {
    const KEY: &str = "execution.checkpointing.num-retained";
    let retained = parsed(configuration, KEY, |text| match parse_number(text)? {
        0 => Err(Error::new(ErrorKind::Invalid, "number").at(0).because("at least 1 is kept")),
        number => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
    })?;
    Ok(retained.unwrap_or(1))
}

fn cleanup(configuration: &Configuration) -> Result<CleanupStrategy, Error> {
    let duration = |key: &str, default: u64| {
        Ok::<_, Error>(parsed(configuration, key, parse_duration)?.unwrap_or(Duration::from_secs(default)))
    };
    let attempts = |key: &str| Ok::<_, Error>(parsed(configuration, key, parse_attempts)?.flatten());
    let name = configuration.get("cleanup-strategy.type").unwrap_or("exponential-delay").trim().to_ascii_lowercase();
    let strategy = match name.as_str() {
        "none" | "off" | "disable" => CleanupStrategy::None,
        "fixed-delay" | "fixeddelay" => CleanupStrategy::FixedDelay {
            delay: duration("cleanup-strategy.fixed-delay.delay", 60)?,
            attempts: attempts("cleanup-strategy.fixed-delay.attempts")?,
        },
        // Nothing else is left: the value was checked.
        _ => CleanupStrategy::ExponentialDelay {
            initial_backoff: duration("cleanup-strategy.exponential-delay.initial-backoff", 1)?,
            max_backoff: duration("cleanup-strategy.exponential-delay.max-backoff", 3600)?,
            attempts: attempts("cleanup-strategy.exponential-delay.attempts")?,
        },
    };
    strategy.validate().map_err(|error| {
        let key = match error.subject() {
            "delay" => "cleanup-strategy.fixed-delay.delay",
            "initial_backoff" => "cleanup-strategy.exponential-delay.initial-backoff",
            _ => "cleanup-strategy.exponential-delay.max-backoff",
        };
        at(configuration, key, error)
    })?;
    Ok(strategy)
}

/// Options of Flink's whose other value would need what this library does not do.
fn refuse_what_has_no_counterpart(configuration: &Configuration) -> Result<(), Error> {
    const RECOVERY: &str = "high-availability.enable-job-recovery";
    let unsupported = |key: &str, why: &str| {
        let place = configuration.entry(key).map_or_else(|| key.to_owned(), super::configuration::Entry::place);
        Err(Error::new(ErrorKind::Unsupported, "configuration").at(place).because(why))
    };
    if parsed(configuration, RECOVERY, parse_boolean)? == Some(false) {
        return unsupported(
            RECOVERY,
            "leadership and stores stand on one backend here, and there are no stores that forget; a service that wants \
             leadership alone uses no stores; remove the key",
        );
    }
    const RESULTS: &str = "job-result-store.storage-path";
    if let Some(path) = configuration.get(RESULTS) {
        let trimmed = |text: &str| text.trim().trim_matches('/').to_owned();
        let cluster = configuration.get("high-availability.cluster-id").unwrap_or("/default");
        let storage = configuration.get("high-availability.storageDir").unwrap_or_default();
        let default = format!("{}/job-result-store/{}", storage.trim().trim_end_matches('/'), trimmed(cluster));
        if trimmed(path) != trimmed(&default) {
            return unsupported(
                RESULTS,
                "results of jobs are records of the backend here, written under the fence, and not files; remove the key",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
